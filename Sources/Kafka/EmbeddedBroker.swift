import CRdKafka

/// librdkafka's in-process cluster: real Kafka protocol on loopback ports that it picks itself. For the demo and tests.
///
/// Memory only; a partition keeps at most 5 MB or 100 000 records. No admin requests over the wire: topics are made by
/// `createTopic`. Offsets by timestamp are not answered. Its calls may be made from any thread.
package final class EmbeddedBroker: Sendable {
    /// Kafka's request types by their protocol number, for `pushErrors`.
    package enum Request: Int16, Sendable {
        case produce = 0
        case fetch = 1
        case listOffsets = 2
        case metadata = 3
        case offsetCommit = 8
        case offsetFetch = 9
        case findCoordinator = 10
        case joinGroup = 11
        case heartbeat = 12
        case syncGroup = 14
        case initProducerID = 22
    }

    /// A fault to answer with.
    package enum Fault: Sendable {
        /// The connection breaks instead of an answer.
        case disconnect
        case notLeader
        case coordinatorMoved
        case requestTimedOut
        case messageTooLarge
        case topicAuthorizationFailed
        case groupAuthorizationFailed
        case outOfOrderSequence
        case unknownProducer
        case illegalGeneration
        case rebalanceInProgress
        case corruptMessage

        fileprivate var code: rd_kafka_resp_err_t {
            switch self {
            case .disconnect: RD_KAFKA_RESP_ERR__TRANSPORT
            case .notLeader: RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
            case .coordinatorMoved: RD_KAFKA_RESP_ERR_NOT_COORDINATOR
            case .requestTimedOut: RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
            case .messageTooLarge: RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            case .topicAuthorizationFailed: RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            case .groupAuthorizationFailed: RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
            case .outOfOrderSequence: RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER
            case .unknownProducer: RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID
            case .illegalGeneration: RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
            case .rebalanceInProgress: RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
            case .corruptMessage: RD_KAFKA_RESP_ERR_INVALID_MSG
            }
        }
    }

    // librdkafka serialises calls on a cluster through its own thread.
    private nonisolated(unsafe) let owner: OpaquePointer
    private nonisolated(unsafe) let cluster: OpaquePointer
    private let context: ClientContext

    /// The addresses to hand to clients, as `host:port,…`.
    package let bootstrapServers: String

    /// Starts `brokers` brokers, with ids from 1.
    package init(brokers: Int = 1) throws(KafkaError) {
        var handle = try ClientHandle(RD_KAFKA_PRODUCER, properties: ["client.id": "embedded"], role: .admin)
        guard let cluster = rd_kafka_mock_cluster_new(handle.client, Int32(clamping: max(brokers, 1))),
            let servers = rd_kafka_mock_cluster_bootstraps(cluster)
        else { throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, doing: "starting the embedded broker") }
        bootstrapServers = String(cString: servers)
        self.cluster = cluster
        (owner, context) = handle.surrender()
    }

    deinit {
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy_flags(owner, 0)
        Unmanaged.passUnretained(context).release()
    }

    /// Just enough properties to reach this cluster.
    package var properties: KafkaProperties { ["bootstrap.servers": bootstrapServers] }

    /// Makes a topic; one that exists is an error.
    package func createTopic(_ name: String, partitions: Int, replication: Int = 1) throws(KafkaError) {
        let code = rd_kafka_mock_topic_create(
            cluster, name, Int32(clamping: partitions), Int32(clamping: replication))
        try check(code, doing: "creating topic '\(name)'")
    }

    /// The next requests of this type are answered with these faults, in order.
    package func pushErrors(_ faults: [Fault], on request: Request) {
        let codes = faults.map(\.code)
        rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, codes.count, codes)
    }

    /// Forgets the faults that are still waiting for requests of this type.
    package func clearErrors(on request: Request) { rd_kafka_mock_clear_request_errors(cluster, request.rawValue) }

    /// Drops all connections of a broker (nil: of all) and accepts none. Leaders stay where they are.
    package func takeDown(broker: Int32? = nil) throws(KafkaError) {
        try check(rd_kafka_mock_broker_set_down(cluster, broker ?? -1), doing: "taking a broker down")
    }

    /// Accepts connections again.
    package func bringUp(broker: Int32? = nil) throws(KafkaError) {
        try check(rd_kafka_mock_broker_set_up(cluster, broker ?? -1), doing: "bringing a broker up")
    }

    /// Delays every answer of a broker (nil: of all).
    package func setRoundTrip(milliseconds: Int, broker: Int32? = nil) throws(KafkaError) {
        let code = rd_kafka_mock_broker_set_rtt(cluster, broker ?? -1, Int32(clamping: milliseconds))
        try check(code, doing: "setting the round-trip time")
    }

    /// Makes another broker the leader of a partition.
    package func moveLeader(of partition: KafkaPartition, to broker: Int32) throws(KafkaError) {
        let code = rd_kafka_mock_partition_set_leader(cluster, partition.topic, partition.partition, broker)
        try check(code, doing: "moving the leader of \(partition)")
    }

    /// Makes another broker the coordinator of a group.
    package func moveCoordinator(ofGroup group: String, to broker: Int32) throws(KafkaError) {
        let code = rd_kafka_mock_coordinator_set(cluster, "group", group, broker)
        try check(code, doing: "moving the coordinator of '\(group)'")
    }

    private func check(_ code: rd_kafka_resp_err_t, doing: String) throws(KafkaError) {
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, doing: doing) }
    }
}
