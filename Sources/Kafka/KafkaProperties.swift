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

    /// True for properties that carry passwords, keys or tokens.
    package static func isSecret(_ name: String) -> Bool {
        let name = canonical(name)
        let words = ["password", "secret", "oauthbearer.config", "jaas", "kinit.cmd", "token", "key.pem", "assertion"]
        return words.contains { name.contains($0) }
    }

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
