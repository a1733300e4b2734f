import CRdKafka

/// One setting of a topic, as the broker holds it.
package struct TopicSetting: Sendable, Equatable {
    package let name: String
    /// Nil where the broker keeps it secret.
    package let value: String?
    /// Nobody has set it for this topic.
    package let isDefault: Bool
}

extension Admin {
    /// A topic's settings, by name.
    package func describeSettings(
        ofTopic name: String, timeoutMilliseconds: Int
    ) throws(KafkaError) -> [TopicSetting] {
        let doing = "describing the settings of topic '\(name)'"
        try requireController(doing: doing, timeoutMilliseconds: timeoutMilliseconds)
        var resources: [OpaquePointer?] = [rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name)]
        defer { for resource in resources { rd_kafka_ConfigResource_destroy(resource) } }
        return try request(
            RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, doing: doing, timeoutMilliseconds: timeoutMilliseconds,
            send: { options, replies throws(KafkaError) in
                rd_kafka_DescribeConfigs(handle.client, &resources, resources.count, options, replies)
            },
            body: { event throws(KafkaError) in
                var count = 0
                let results = rd_kafka_DescribeConfigs_result_resources(
                    rd_kafka_event_DescribeConfigs_result(event), &count)
                let found = UnsafeBufferPointer(start: results, count: count)
                try Self.throwFirstError(found, doing: doing)
                return found.flatMap { Self.settings(of: $0) }.sorted { $0.name < $1.name }
            })
    }

    private static func settings(of resource: OpaquePointer?) -> [TopicSetting] {
        var count = 0
        let entries = rd_kafka_ConfigResource_configs(resource, &count)
        return UnsafeBufferPointer(start: entries, count: count).compactMap { entry in
            guard let name = rd_kafka_ConfigEntry_name(entry) else { return nil }
            return TopicSetting(
                name: String(cString: name), value: rd_kafka_ConfigEntry_value(entry).map { String(cString: $0) },
                isDefault: rd_kafka_ConfigEntry_is_default(entry) > 0)
        }
    }

    /// Sets a topic's settings to exactly these; every setting that is not listed falls back to the broker's default,
    /// as the old request, the only one that librdkafka 2.0 knows, replaces the whole set.
    package func replaceSettings(
        ofTopic name: String, with settings: [(name: String, value: String)], timeoutMilliseconds: Int
    ) throws(KafkaError) {
        let doing = "changing the settings of topic '\(name)'"
        var resources: [OpaquePointer?] = [rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name)]
        defer { for resource in resources { rd_kafka_ConfigResource_destroy(resource) } }
        for setting in settings {
            try check(
                rd_kafka_ConfigResource_set_config(resources[0], setting.name, setting.value), doing: doing)
        }
        try request(
            RD_KAFKA_ADMIN_OP_ALTERCONFIGS, doing: doing, timeoutMilliseconds: timeoutMilliseconds,
            send: { options, replies throws(KafkaError) in
                rd_kafka_AlterConfigs(handle.client, &resources, resources.count, options, replies)
            },
            body: { event throws(KafkaError) in
                var count = 0
                let results = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count)
                try Self.throwFirstError(UnsafeBufferPointer(start: results, count: count), doing: doing)
            })
    }

    private static func throwFirstError(
        _ resources: UnsafeBufferPointer<OpaquePointer?>, doing: String
    ) throws(KafkaError) {
        for resource in resources {
            let code = rd_kafka_ConfigResource_error(resource)
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
            let detail = rd_kafka_ConfigResource_error_string(resource).map { String(cString: $0) }
            throw KafkaError(code, doing: doing, detail: detail)
        }
    }
}
