import CRdKafka

/// What went wrong at the border to Kafka, sorted by what the caller must do about it.
///
/// Made only in this module, from librdkafka's codes; nobody outside decides by code. `name` and `code` are for logs.
package struct KafkaError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the caller must do.
    package enum Disposition: String, Sendable {
        /// Nothing is lost; do the same again, with backoff.
        case retry
        /// The client or the membership is void: rebuild it, restore the tasks and replay from the last commit.
        case restoreAndReplay = "restore and replay"
        /// Another instance has taken this identity; stop, it goes on without us.
        case stopFenced = "stop, fenced"
        /// This one record can never be accepted; everything else can.
        case deadLetter = "dead letter"
        /// Configuration, permission or data that only an operator can mend; stop.
        case stopBroken = "stop, broken"
    }

    package let disposition: Disposition
    /// librdkafka's code: negative for local errors, positive for the broker's. For logs only.
    package let code: Int32
    /// The code's name as in Kafka's documentation, such as `_TRANSPORT` or `MSG_SIZE_TOO_LARGE`.
    package let name: String
    /// One line, lower-case, factual: what was being done, then what happened.
    package let reason: String

    package var description: String { "\(reason) (\(name); \(disposition.rawValue))" }

    /// An error of librdkafka or of the broker, met while `doing` something; `detail` replaces the library's text.
    init(_ code: rd_kafka_resp_err_t, doing: String, detail: String? = nil) {
        self.disposition = Self.disposition(of: code)
        self.code = code.rawValue
        self.name = String(cString: rd_kafka_err2name(code))
        let text = detail.flatMap { $0.isEmpty ? nil : $0 } ?? Self.text(of: code)
        self.reason = "\(doing): \(Self.sentence(text))"
    }

    /// A refusal of our own, for configuration that cannot work.
    init(refusing reason: String) {
        self.disposition = .stopBroken
        self.code = RD_KAFKA_RESP_ERR__INVALID_ARG.rawValue
        self.name = "_INVALID_ARG"
        self.reason = reason
    }

    /// Reads and destroys `error`: the only way an `rd_kafka_error_t` is handled, so that none leaks. A fatal error
    /// of a client voids it, whatever its code, unless the code says something stronger.
    init(consuming error: OpaquePointer, doing: String) {
        let code = rd_kafka_error_code(error)
        let detail = rd_kafka_error_string(error).map { String(cString: $0) }
        let made = KafkaError(code, doing: doing, detail: detail)
        self = rd_kafka_error_is_fatal(error) != 0 ? made.fatal : made
        rd_kafka_error_destroy(error)
    }

    /// The fatal error that `client` has raised, or nil if it has raised none.
    init?(fatalOf client: OpaquePointer, doing: String) {
        let length = 512
        let found = withUnsafeTemporaryAllocation(of: CChar.self, capacity: length) { buffer -> KafkaError? in
            guard let base = buffer.baseAddress else { return nil }
            base.initialize(repeating: 0, count: length)
            let code = rd_kafka_fatal_error(client, base, length)
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
            return KafkaError(code, doing: doing, detail: String(cString: base)).fatal
        }
        guard let found else { return nil }
        self = found
    }

    private init(_ other: KafkaError, disposition: Disposition) {
        self.disposition = disposition
        self.code = other.code
        self.name = other.name
        self.reason = other.reason
    }

    /// The same error, raised as fatal: what could have been retried needs a new client now.
    var fatal: KafkaError {
        switch disposition {
        case .retry, .deadLetter: KafkaError(self, disposition: .restoreAndReplay)
        case .restoreAndReplay, .stopFenced, .stopBroken: self
        }
    }

    private static func text(of code: rd_kafka_resp_err_t) -> String {
        rd_kafka_err2str(code).map { String(cString: $0) } ?? "unknown error"
    }

    /// librdkafka's text as the middle of a sentence: no "Local:" or "Broker:" in front, no capital, one line.
    static func sentence(_ text: String) -> String {
        var line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        for prefix in ["Local: ", "Broker: "] where line.hasPrefix(prefix) { line.removeFirst(prefix.count) }
        // An acronym ("SASL", "SSL") or a name keeps its capitals.
        let second = line.dropFirst().first
        if let first = line.first, first.isUppercase, second?.isLowercase ?? true {
            line = first.lowercased() + line.dropFirst()
        }
        return line
    }
}
