import CRdKafka
import Synchronization

/// An idempotent, gapless producer, confined to one thread. There is no other kind here.
///
/// Acknowledged means: `flush` returned. It throws if anything is still outstanding, if anything failed since the last
/// flush, or if the producer is fatally broken, as librdkafka's own flush also succeeds over failed messages.
package struct Producer: ~Copyable {
    /// A topic that was looked up once; an index into the producer that made it.
    package struct Topic: Sendable, Hashable {
        let index: Int
    }

    var handle: ClientHandle
    private var topics: [(name: String, handle: OpaquePointer)] = []

    /// Throws for properties that are unknown, malformed or fixed by the design. Does not connect yet.
    package init(properties: KafkaProperties) throws(KafkaError) {
        handle = try ClientHandle(RD_KAFKA_PRODUCER, properties: properties, role: .producer)
    }

    /// The topic of this name, made once and kept.
    package mutating func topic(_ name: String) throws(KafkaError) -> Topic {
        if let index = topics.firstIndex(where: { $0.name == name }) { return Topic(index: index) }
        guard let made = rd_kafka_topic_new(handle.client, name, nil) else {
            throw KafkaError(rd_kafka_last_error(), doing: "opening topic '\(name)'")
        }
        topics.append((name, made))
        return Topic(index: topics.count - 1)
    }

    /// Queues one record; its bytes are copied. Nil is a null key, and a tombstone; empty is neither.
    /// While the queue is full it waits for room until the deadline.
    /// Throws `deadLetter` for a record that is too large, `retry` if the queue stayed full.
    package mutating func produce(
        to topic: Topic, partition: Int32, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
        deadline: Deadline
    ) throws(KafkaError) {
        let target = topics[topic.index]
        while true {
            let result = rd_kafka_produce(
                target.handle, partition, RD_KAFKA_MSG_F_COPY, Self.start(of: value),
                value?.count ?? 0, Self.start(of: key), key?.count ?? 0, nil)
            if result == 0 { return }
            let code = rd_kafka_last_error()
            guard code == RD_KAFKA_RESP_ERR__QUEUE_FULL, !deadline.hasPassed else {
                throw failure(code, doing: "producing to \(target.name)[\(partition)]")
            }
            serve(forMilliseconds: min(deadline.remainingMilliseconds, 10))
        }
    }

    /// Queues one record with headers. Slower: for dead letters and other rare records only.
    package mutating func produce(
        to topic: Topic, partition: Int32, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
        headers: [(name: String, value: [UInt8])], deadline: Deadline
    ) throws(KafkaError) {
        let target = topics[topic.index]
        let list = rd_kafka_headers_new(headers.count)
        for header in headers {
            header.value.withUnsafeBytes { _ = rd_kafka_header_add(list, header.name, -1, $0.baseAddress, $0.count) }
        }
        var arguments = [rd_kafka_vu_t](repeating: rd_kafka_vu_t(), count: 6)
        arguments[0].vtype = RD_KAFKA_VTYPE_RKT
        arguments[0].u.rkt = target.handle
        arguments[1].vtype = RD_KAFKA_VTYPE_PARTITION
        arguments[1].u.i32 = partition
        arguments[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS
        arguments[2].u.i = RD_KAFKA_MSG_F_COPY
        arguments[3].vtype = RD_KAFKA_VTYPE_VALUE
        arguments[3].u.mem.ptr = Self.start(of: value)
        arguments[3].u.mem.size = value?.count ?? 0
        arguments[4].vtype = RD_KAFKA_VTYPE_KEY
        arguments[4].u.mem.ptr = Self.start(of: key)
        arguments[4].u.mem.size = key?.count ?? 0
        while true {
            // A copy for each attempt, since on success, and on success only, librdkafka owns what it was given.
            let copy = rd_kafka_headers_copy(list)
            arguments[5].vtype = RD_KAFKA_VTYPE_HEADERS
            arguments[5].u.headers = copy
            guard let error = rd_kafka_produceva(handle.client, arguments, arguments.count) else { break }
            rd_kafka_headers_destroy(copy)
            let isFull = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL
            if isFull, !deadline.hasPassed {
                rd_kafka_error_destroy(error)
                rd_kafka_poll(handle.client, min(deadline.remainingMilliseconds, 10))
                continue
            }
            rd_kafka_headers_destroy(list)
            throw KafkaError(consuming: error, doing: "producing to \(target.name)[\(partition)]")
        }
        rd_kafka_headers_destroy(list)
    }

    /// Serves callbacks without waiting: keeps fatal errors and connection state fresh between flushes.
    package func serve() { serve(forMilliseconds: 0) }

    /// Serves callbacks and waits for the first as long.
    func serve(forMilliseconds wait: Int32) { rd_kafka_poll(handle.client, wait) }

    func handle(of topic: Topic) -> OpaquePointer { topics[topic.index].handle }

    func name(of topic: Topic) -> String { topics[topic.index].name }

    /// Records queued or on the way, not yet acknowledged.
    package var outstanding: Int { Int(rd_kafka_outq_len(handle.client)) }

    /// librdkafka's log lines since the last call, bounded.
    package func drainLogs() -> [KafkaLogLine] { handle.context.drainLogs() }

    /// The last thing that kept the client from its brokers, until the next successful flush.
    package var connectionError: KafkaError? { handle.context.contents.withLock { $0.lastError } }

    /// An address that is not null: librdkafka reads a null one as "no key", "tombstone".
    /// librdkafka's calls ask for a mutable one, and copy.
    static func start(of bytes: UnsafeRawBufferPointer?) -> UnsafeMutableRawPointer? {
        guard let bytes else { return nil }
        return UnsafeMutableRawPointer(mutating: bytes.baseAddress) ?? UnsafeMutableRawPointer(bitPattern: 1)
    }

    func failure(_ code: rd_kafka_resp_err_t, doing: String) -> KafkaError {
        KafkaError(fatalOf: handle.client, doing: doing) ?? KafkaError(code, doing: doing)
    }

    mutating func releaseTopics() {
        for topic in topics { rd_kafka_topic_destroy(topic.handle) }
        topics = []
    }

    deinit {
        for topic in topics { rd_kafka_topic_destroy(topic.handle) }
    }
}
