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

    /// Waits until the views show what was written or is being read, a second at most. False if they still don't.
    @discardableResult
    func comes(_ isThere: () -> Bool) async -> Bool {
        for _ in 0..<40 {
            if isThere() { return true }
            guard (try? await Task.sleep(for: .milliseconds(25))) != nil else { break }
        }
        return isThere()
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
