import CRdKafka

/// A topic to create.
package struct TopicSpecification: Sendable, Equatable {
    package let name: String
    package let partitions: Int
    /// Nil: the broker's default.
    package let replication: Int?
    /// Topic settings, such as `cleanup.policy`, in order.
    package let settings: [(name: String, value: String)]

    package init(
        name: String, partitions: Int, replication: Int? = nil, settings: [(name: String, value: String)] = []
    ) {
        self.name = name
        self.partitions = partitions
        self.replication = replication
        self.settings = settings
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.name == b.name && a.partitions == b.partitions && a.replication == b.replication
            && a.settings.elementsEqual(b.settings) { $0 == $1 }
    }
}

/// What the cluster says about a topic.
package struct TopicDescription: Sendable, Equatable {
    package let name: String
    /// Ascending; `leader` is nil while a partition has none.
    package let partitions: [(id: Int32, leader: Int32?, replicas: Int, inSync: Int)]

    package static func == (a: Self, b: Self) -> Bool {
        a.name == b.name && a.partitions.elementsEqual(b.partitions) { $0 == $1 }
    }
}

/// The cluster as one of its brokers describes it.
package struct ClusterDescription: Sendable, Equatable {
    /// One broker, by its id and where it listens.
    package struct Broker: Sendable, Equatable {
        package let id: Int32
        package let host: String
        package let port: Int
    }

    package let brokers: [Broker]
    /// By name, ascending; internal topics included.
    package let topics: [TopicDescription]
}

extension Admin {
    /// Creates topics. Those that exist already are left as they are. Throws the first refusal; the others may stand.
    package func createTopics(_ topics: [TopicSpecification], timeoutMilliseconds: Int) throws(KafkaError) {
        guard !topics.isEmpty else { return }
        let doing = "creating topic"
        try requireController(doing: doing, timeoutMilliseconds: timeoutMilliseconds)
        var made: [OpaquePointer?] = []
        defer { for topic in made { rd_kafka_NewTopic_destroy(topic) } }
        for topic in topics { made.append(try Self.newTopic(topic)) }
        try request(
            RD_KAFKA_ADMIN_OP_CREATETOPICS, doing: doing, timeoutMilliseconds: timeoutMilliseconds,
            send: { options, replies throws(KafkaError) in
                rd_kafka_CreateTopics(handle.client, &made, made.count, options, replies)
            },
            body: { event throws(KafkaError) in
                var count = 0
                let results = rd_kafka_CreateTopics_result_topics(
                    rd_kafka_event_CreateTopics_result(event), &count)
                try Self.throwFirstError(results, count, doing: doing) { $0 == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS }
            })
    }

    private static func newTopic(_ topic: TopicSpecification) throws(KafkaError) -> OpaquePointer {
        var text = ""
        let made = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer -> OpaquePointer? in
            let made = rd_kafka_NewTopic_new(
                topic.name, Int32(clamping: topic.partitions), Int32(clamping: topic.replication ?? -1),
                buffer.baseAddress, buffer.count)
            if made == nil, let base = buffer.baseAddress { text = String(cString: base) }
            return made
        }
        guard let made else {
            throw KafkaError(refusing: "creating topic '\(topic.name)': \(KafkaError.sentence(text))")
        }
        for setting in topic.settings {
            _ = rd_kafka_NewTopic_set_config(made, setting.name, setting.value)
        }
        return made
    }

    /// Deletes topics with everything in them. Those that do not exist are passed over.
    package func deleteTopics(_ names: [String], timeoutMilliseconds: Int) throws(KafkaError) {
        guard !names.isEmpty else { return }
        let doing = "deleting topic"
        try requireController(doing: doing, timeoutMilliseconds: timeoutMilliseconds)
        var made: [OpaquePointer?] = names.map { rd_kafka_DeleteTopic_new($0) }
        defer { for topic in made { rd_kafka_DeleteTopic_destroy(topic) } }
        try request(
            RD_KAFKA_ADMIN_OP_DELETETOPICS, doing: doing, timeoutMilliseconds: timeoutMilliseconds,
            send: { options, replies throws(KafkaError) in
                rd_kafka_DeleteTopics(handle.client, &made, made.count, options, replies)
            },
            body: { event throws(KafkaError) in
                var count = 0
                let results = rd_kafka_DeleteTopics_result_topics(
                    rd_kafka_event_DeleteTopics_result(event), &count)
                try Self.throwFirstError(results, count, doing: doing) { $0 == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART }
            })
    }

    /// All brokers and all topics.
    package func describeCluster(timeoutMilliseconds: Int) throws(KafkaError) -> ClusterDescription {
        try metadata(timeoutMilliseconds: timeoutMilliseconds)
    }

    /// One topic, or nil if there is none of this name. Asks for all topics: a question for one by name makes a broker
    /// that creates topics on demand create it.
    package func describeTopic(_ name: String, timeoutMilliseconds: Int) throws(KafkaError) -> TopicDescription? {
        try metadata(timeoutMilliseconds: timeoutMilliseconds).topics.first { $0.name == name }
    }

    /// Asks for one topic by name, so that a broker that creates topics on demand creates it.
    package func touch(_ topic: String, timeoutMilliseconds: Int) throws(KafkaError) {
        guard let made = rd_kafka_topic_new(handle.client, topic, nil) else {
            throw KafkaError(rd_kafka_last_error(), doing: "asking for topic '\(topic)'")
        }
        defer { rd_kafka_topic_destroy(made) }
        var pointer: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(handle.client, 0, made, &pointer, Int32(clamping: timeoutMilliseconds))
        if let pointer { rd_kafka_metadata_destroy(pointer) }
        try check(code, doing: "asking for topic '\(topic)'")
    }

    /// Orders about topics go to the controller. The embedded broker names one that is not there, and librdkafka would
    /// wait for it in vain: said at once instead.
    func requireController(doing: String, timeoutMilliseconds: Int) throws(KafkaError) {
        let brokers = try metadata(timeoutMilliseconds: timeoutMilliseconds).brokers
        let controller = rd_kafka_controllerid(handle.client, Int32(clamping: timeoutMilliseconds))
        if controller < 0 { throw explain(RD_KAFKA_RESP_ERR__TIMED_OUT, doing: "\(doing): waiting for a controller") }
        guard brokers.contains(where: { $0.id == controller }) else {
            throw KafkaError(
                RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, doing: doing, detail: "the broker answers no admin requests")
        }
    }

    private func metadata(timeoutMilliseconds: Int) throws(KafkaError) -> ClusterDescription {
        let doing = "asking for metadata"
        var pointer: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(handle.client, 1, nil, &pointer, Int32(clamping: timeoutMilliseconds))
        try check(code, doing: doing)
        guard let pointer else { throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, doing: doing) }
        defer { rd_kafka_metadata_destroy(pointer) }
        let brokers = UnsafeBufferPointer(start: pointer.pointee.brokers, count: Int(pointer.pointee.broker_cnt))
        var topics: [TopicDescription] = []
        for found in UnsafeBufferPointer(start: pointer.pointee.topics, count: Int(pointer.pointee.topic_cnt)) {
            let name = found.topic.map { String(cString: $0) } ?? ""
            switch found.err {
            case RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
                topics.append(TopicDescription(name: name, found))
            case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: continue
            default: throw KafkaError(found.err, doing: "describing topic '\(name)'")
            }
        }
        return ClusterDescription(
            brokers: brokers.map {
                .init(id: $0.id, host: $0.host.map { String(cString: $0) } ?? "", port: Int($0.port))
            },
            topics: topics.sorted { $0.name < $1.name })
    }
}

extension TopicDescription {
    init(name: String, _ topic: rd_kafka_metadata_topic) {
        let found = UnsafeBufferPointer(start: topic.partitions, count: Int(topic.partition_cnt))
        self.init(
            name: name,
            partitions: found.map { partition in
                (
                    partition.id, partition.leader >= 0 ? partition.leader : nil, Int(partition.replica_cnt),
                    Int(partition.isr_cnt)
                )
            }.sorted { $0.0 < $1.0 })
    }
}
