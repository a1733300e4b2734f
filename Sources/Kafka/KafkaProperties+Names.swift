import CRdKafka

extension KafkaProperties {
    /// Whether the loaded librdkafka knows a property of this name.
    package static func isKnown(_ name: String) -> Bool {
        guard let configuration = rd_kafka_conf_new() else { return true }
        defer { rd_kafka_conf_destroy(configuration) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
            rd_kafka_conf_set(configuration, canonical(name), "", buffer.baseAddress, buffer.count)
        } != RD_KAFKA_CONF_UNKNOWN
    }

    private static let withoutDefault = [
        "bootstrap.servers", "sasl.username", "sasl.password", "ssl.ca.location", "ssl.ca.pem",
        "ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.password", "ssl.key.pem",
        "ssl.keystore.location", "ssl.keystore.password", "ssl.crl.location", "ssl.cipher.suites", "client.rack",
        "group.instance.id", "debug", "sasl.oauthbearer.config", "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.secret", "sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url",
    ]

    /// The names of all properties that the loaded librdkafka knows, but for second names.
    package static var allNames: [String] {
        guard let configuration = rd_kafka_conf_new() else { return [] }
        defer { rd_kafka_conf_destroy(configuration) }
        var count = 0
        guard let pairs = rd_kafka_conf_dump(configuration, &count) else { return [] }
        defer { rd_kafka_conf_dump_free(pairs, count) }
        // Names and values in turn; those without a default are not among them.
        let named = stride(from: 0, to: count, by: 2).compactMap { index in pairs[index].map { String(cString: $0) } }
        return named + withoutDefault.filter { isKnown($0) && !named.contains($0) }
    }
}
