import HTTPTypes
import Messages
import TwinCore
import Views

extension Services {
    /// Writes records, or says why not.
    func write(_ records: [OrderRecord]) async throws(Problem) {
        do throws(OrderError) { try await sink.write(records) } catch {
            guard error.isTemporary else {
                throw Problem(.badRequest, "refused", "the broker refuses it: \(error.reason)")
            }
            throw Problem(
                .serviceUnavailable, "brokerUnavailable", "it could not be written: \(error.reason)",
                headers: [.retryAfter: "1"])
        }
    }

    /// Now, in event time: what the views have reached; nil before the first sample.
    var eventTime: EventTime? { store.reached() }
}

extension JSONValue {
    /// A moment as RFC 3339 text.
    init(_ time: EventTime) {
        var bytes: [UInt8] = []
        self = ISO8601.write(time, to: &bytes) ? .string(String(decoding: bytes, as: UTF8.self)) : .null
    }
}
