import CRdKafka
import Synchronization

/// librdkafka's rebalance callback: runs on the polling thread, inside the poll. It only writes down what happened and
/// ends the poll; the consumer's owner answers. While closing nobody is there to answer, so it answers itself.
func onRebalance(
    _ client: OpaquePointer?, _ code: rd_kafka_resp_err_t,
    _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?, _ opaque: UnsafeMutableRawPointer?
) {
    guard let client, let context = ClientContext.from(opaque) else { return }
    if context.isClosing.load(ordering: .acquiring) {
        letGo(of: list, client: client, context: context, code: code)
        return
    }
    let partitions = list.map { UnsafePointer($0).partitions } ?? []
    switch code {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
        context.append(.assigned(partitions))
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
        let isLost = rd_kafka_assignment_lost(client) != 0
        context.append(isLost ? .lost(partitions) : .revoked(partitions))
    default:
        // Nothing is decided; librdkafka waits for an empty answer before it tries again.
        rd_kafka_assign(client, nil)
        context.append(.failed(KafkaError(code, doing: "rebalancing")))
    }
    rd_kafka_yield(client)
}

private func letGo(
    of list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?, client: OpaquePointer, context: ClientContext,
    code: rd_kafka_resp_err_t
) {
    guard context.isCooperative, code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, let list else {
        rd_kafka_assign(client, nil)
        return
    }
    if let error = rd_kafka_incremental_unassign(client, list) { rd_kafka_error_destroy(error) }
}
