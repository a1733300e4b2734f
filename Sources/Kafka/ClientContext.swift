import CRdKafka
import Synchronization

/// One line of librdkafka's log.
package struct KafkaLogLine: Sendable, Equatable {
    /// Syslog's levels: 3 error, 4 warning, 5 notice, 6 information, 7 debug.
    package let level: Int32
    /// librdkafka's short word for the kind, such as `FAIL` or `REQTMOUT`.
    package let facility: String
    package let text: String
}

/// What librdkafka's callbacks leave behind for the thread that owns the client. One per client, as a configuration has
/// one slot for an opaque pointer. Logs come from librdkafka's own threads, hence the lock; nothing here is hot.
final class ClientContext: Sendable {
    static let logLinesMax = 256

    struct Contents {
        var logs: [KafkaLogLine] = []
        var logsDropped = 0
        /// The last thing that kept the client from its brokers: credentials, certificates, names, connections.
        var lastError: KafkaError?
        var isEveryBrokerDown = false
        var rebalances: [Rebalance] = []
        var deliveryFailures = 0
        var firstDeliveryFailure: KafkaError?
    }

    let contents = Mutex(Contents())
    /// Raised by `close`: from then on the rebalance callback answers by itself.
    let isClosing = Atomic<Bool>(false)
    /// Answers are incremental (cooperative protocol) instead of whole (eager).
    let isCooperative: Bool
    /// Mirrors `contents.rebalances.isEmpty`, to be read on every poll without the lock.
    let hasRebalance = Atomic<Bool>(false)

    init(isCooperative: Bool) { self.isCooperative = isCooperative }

    static func from(_ opaque: UnsafeMutableRawPointer?) -> ClientContext? {
        opaque.map { Unmanaged<ClientContext>.fromOpaque($0).takeUnretainedValue() }
    }

    func log(level: Int32, facility: String, text: String) {
        // One set of properties serves all roles; that a producer ignores a consumer's is meant.
        if facility == "CONFWARN", text.contains("property and will be ignored") { return }
        contents.withLock { contents in
            if contents.logs.count >= Self.logLinesMax {
                contents.logs.removeFirst()
                contents.logsDropped += 1
            }
            contents.logs.append(KafkaLogLine(level: level, facility: facility, text: text))
        }
    }

    func record(error: KafkaError) {
        contents.withLock { contents in
            if error.code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN.rawValue { contents.isEveryBrokerDown = true }
            // "All brokers down" says less than the reason that preceded it.
            if contents.lastError == nil || error.code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN.rawValue,
                contents.lastError?.disposition != .stopBroken || error.disposition == .stopBroken
            {
                contents.lastError = error
            }
        }
    }

    /// A sign of life from a broker.
    func recordContact() {
        contents.withLock { contents in
            contents.isEveryBrokerDown = false
            contents.lastError = nil
        }
    }

    func recordDeliveryFailure(_ error: KafkaError) {
        contents.withLock { contents in
            contents.deliveryFailures += 1
            if contents.firstDeliveryFailure == nil { contents.firstDeliveryFailure = error }
        }
    }

    func append(_ rebalance: Rebalance) {
        contents.withLock { $0.rebalances.append(rebalance) }
        hasRebalance.store(true, ordering: .releasing)
    }

    func takeRebalance() -> Rebalance? {
        guard hasRebalance.load(ordering: .acquiring) else { return nil }
        return contents.withLock { contents in
            guard !contents.rebalances.isEmpty else { return nil }
            let first = contents.rebalances.removeFirst()
            hasRebalance.store(!contents.rebalances.isEmpty, ordering: .releasing)
            return first
        }
    }

    func drainLogs() -> [KafkaLogLine] {
        contents.withLock { contents in
            var lines = contents.logs
            contents.logs = []
            if contents.logsDropped > 0 {
                let text = "\(contents.logsDropped) older lines dropped"
                lines.insert(KafkaLogLine(level: 4, facility: "RING", text: text), at: 0)
                contents.logsDropped = 0
            }
            return lines
        }
    }

    /// `error` itself, or, if it only says that no answer came, the reason for which none could come: a time-out
    /// behind wrong credentials is a matter of credentials.
    func explain(_ error: KafkaError) -> KafkaError {
        guard error.disposition == .retry, let cause = contents.withLock({ $0.lastError }) else { return error }
        return cause.with(doing: error)
    }
}

extension KafkaError {
    /// This error as the cause of `other`, which says what was being done.
    fileprivate func with(doing other: KafkaError) -> KafkaError {
        let doing = other.reason.prefix { $0 != ":" }
        return KafkaError(rd_kafka_resp_err_t(rawValue: code), doing: String(doing), detail: reason)
    }
}
