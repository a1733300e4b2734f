/// librdkafka properties by name, in the order in which they were set.
///
/// What an operator writes under `kafka.` becomes one of these and is laid over the design's defaults by
/// `KafkaProperties.resolved(for:)`. Its description never shows a secret.
package struct KafkaProperties: Sendable, Equatable, ExpressibleByDictionaryLiteral, CustomStringConvertible {
    /// One property, under its first name.
    package struct Entry: Sendable, Equatable {
        package let name: String
        package var value: String
    }

    package private(set) var entries: [Entry] = []

    package init() {}

    package init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { self[name] = value }
    }

    /// Properties from name–value pairs; a later pair wins over an earlier one of the same meaning.
    package init(_ pairs: some Swift.Sequence<(String, String)>) {
        for (name, value) in pairs { self[name] = value }
    }

    /// The value of a property, under any of its names. Setting nil removes it.
    package subscript(name: String) -> String? {
        get {
            let name = Self.canonical(name)
            return entries.first { $0.name == name }?.value
        }
        set {
            let name = Self.canonical(name)
            let index = entries.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (nil, let value?): entries.append(Entry(name: name, value: value))
            case (let index?, nil): entries.remove(at: index)
            case (nil, nil): break
            }
        }
    }

    /// `name=value` pairs, secrets shown as `***`.
    package var description: String {
        entries.map { "\($0.name)=\(Self.isSecret($0.name) ? "***" : $0.value)" }.joined(separator: " ")
    }

    /// True for all properties but those that are known to be harmless: what is new or misspelt may be a password.
    package static func isSecret(_ name: String) -> Bool {
        let name = canonical(name)
        return !harmless.contains(name) && !defaultNames.contains(name)
    }

    private static let defaultNames = (common + consumer + producer).map(\.name)

    /// Beside those that the design sets.
    private static let harmless = [
        "bootstrap.servers", "security.protocol", "sasl.mechanisms", "sasl.username", "ssl.ca.location",
        "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location",
        "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification", "ssl.cipher.suites",
        "broker.address.family", "broker.address.ttl", "broker.version.fallback", "api.version.request",
        "client.rack", "client.dns.lookup", "debug", "log_level", "log.connection.close", "statistics.interval.ms",
        "group.instance.id", "max.poll.interval.ms", "message.max.bytes", "receive.message.max.bytes",
        "message.copy.max.bytes", "batch.size", "batch.num.messages", "retries", "retry.backoff.ms",
        "retry.backoff.max.ms", "max.in.flight.requests.per.connection", "request.timeout.ms", "socket.timeout.ms",
        "socket.connection.setup.timeout.ms", "socket.max.fails", "socket.send.buffer.bytes",
        "socket.receive.buffer.bytes", "connections.max.idle.ms", "reconnect.backoff.ms", "metadata.max.age.ms",
        "topic.metadata.refresh.interval.ms", "fetch.min.bytes", "fetch.max.bytes", "fetch.error.backoff.ms",
        "transaction.timeout.ms", "sticky.partitioning.linger.ms", "compression.level", "allow.auto.create.topics",
        "sasl.kerberos.service.name", "sasl.oauthbearer.method", "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.scope", "internal.termination.signal",
    ]

    /// librdkafka knows some properties under two names; a fixed one must not be reached through the other.
    static func canonical(_ name: String) -> String {
        let name = name.filter { !$0.isWhitespace }
        switch name {
        case "metadata.broker.list": return "bootstrap.servers"
        case "request.required.acks": return "acks"
        case "compression.codec": return "compression.type"
        case "delivery.timeout.ms": return "message.timeout.ms"
        case "auto.commit.enable": return "enable.auto.commit"
        case "sasl.mechanism": return "sasl.mechanisms"
        case "queue.buffering.max.ms": return "linger.ms"
        case "max.in.flight": return "max.in.flight.requests.per.connection"
        case "max.partition.fetch.bytes": return "fetch.message.max.bytes"
        case "message.send.max.retries": return "retries"
        default: return name
        }
    }
}
