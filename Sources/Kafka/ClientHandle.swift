import CRdKafka
import Glibc
import Synchronization

/// A librdkafka client and the context its callbacks write into. Owned by exactly one of consumer, producer and admin,
/// which destroy it in their own order; `deinit` destroys at once what was never closed.
struct ClientHandle: ~Copyable {
    let client: OpaquePointer
    let context: ClientContext
    private var isAlive = true

    /// Builds a client. Throws, naming the property, for an unknown name or a value that librdkafka refuses.
    init(
        _ type: rd_kafka_type_t, properties: KafkaProperties, role: KafkaProperties.Role, groupID: String? = nil
    ) throws(KafkaError) {
        var resolved = try properties.resolved(for: role)
        if let groupID { resolved["group.id"] = groupID }
        let isCooperative = resolved["partition.assignment.strategy"] == "cooperative-sticky"
        let context = ClientContext(isCooperative: isCooperative)
        guard let configuration = rd_kafka_conf_new() else { throw KafkaError(refusing: "no memory for a client") }
        do throws(KafkaError) {
            for entry in resolved.entries { try Self.set(entry, in: configuration) }
        } catch {
            rd_kafka_conf_destroy(configuration)
            throw error
        }
        Self.setCallbacks(configuration, role: role)
        let retained = Unmanaged.passRetained(context)
        rd_kafka_conf_set_opaque(configuration, retained.toOpaque())
        let bearer = resolved["sasl.mechanisms"]?.uppercased() == "OAUTHBEARER"
        // Tokens are refreshed by librdkafka's own thread: admin clients are not polled between calls.
        if bearer { rd_kafka_conf_enable_sasl_queue(configuration, 1) }

        var failure = ""
        let client = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer -> OpaquePointer? in
            let made = rd_kafka_new(type, configuration, buffer.baseAddress, buffer.count)
            if made == nil, let base = buffer.baseAddress { failure = String(cString: base) }
            return made
        }
        guard let client else {
            rd_kafka_conf_destroy(configuration)
            retained.release()
            throw KafkaError(refusing: "creating a client: \(KafkaError.sentence(failure))")
        }
        if bearer, let error = rd_kafka_sasl_background_callbacks_enable(client) { rd_kafka_error_destroy(error) }
        self.client = client
        self.context = context
    }

    /// Destroys the client on a thread of its own and waits until the deadline. False if librdkafka has not let go by
    /// then; its threads are then left behind, which is harmless, as nothing of ours refers to them any more.
    mutating func destroy(flags: Int32, deadline: Deadline) -> Bool {
        guard isAlive else { return true }
        isAlive = false
        let address = UInt(bitPattern: client)
        let opaque = UInt(bitPattern: Unmanaged.passUnretained(context).toOpaque())
        return runDetached(deadline: deadline) {
            guard let client = OpaquePointer(bitPattern: address) else { return }
            rd_kafka_destroy_flags(client, flags)
            if let opaque = UnsafeRawPointer(bitPattern: opaque) {
                Unmanaged<ClientContext>.fromOpaque(opaque).release()
            }
        }
    }

    /// Hands the client over to an owner that destroys it and releases the context.
    mutating func surrender() -> (OpaquePointer, ClientContext) {
        isAlive = false
        return (client, context)
    }

    deinit {
        guard isAlive else { return }
        rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
        Unmanaged.passUnretained(context).release()
    }

    private static func set(_ entry: KafkaProperties.Entry, in configuration: OpaquePointer) throws(KafkaError) {
        var text = ""
        let result = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
            let result = rd_kafka_conf_set(configuration, entry.name, entry.value, buffer.baseAddress, buffer.count)
            if result != RD_KAFKA_CONF_OK, let base = buffer.baseAddress { text = String(cString: base) }
            return result
        }
        switch result {
        case RD_KAFKA_CONF_OK: return
        case RD_KAFKA_CONF_UNKNOWN:
            throw KafkaError(refusing: "property '\(entry.name)' is not known to librdkafka \(LibraryVersion.loaded)")
        default:
            // The library's text quotes the value.
            let detail = KafkaProperties.isSecret(entry.name) ? "value refused" : KafkaError.sentence(text)
            throw KafkaError(refusing: "property '\(entry.name)': \(detail)")
        }
    }

    private static func setCallbacks(_ configuration: OpaquePointer, role: KafkaProperties.Role) {
        rd_kafka_conf_set_log_cb(configuration) { client, level, facility, text in
            guard let client, let facility, let text else { return }
            ClientContext.from(rd_kafka_opaque(client))?
                .log(level: level, facility: String(cString: facility), text: String(cString: text))
        }
        rd_kafka_conf_set_error_cb(configuration) { client, code, text, opaque in
            let error = KafkaError(
                rd_kafka_resp_err_t(rawValue: code), doing: "connection", detail: text.map { String(cString: $0) })
            ClientContext.from(opaque)?.record(error: error)
        }
        switch role {
        case .consumer: rd_kafka_conf_set_rebalance_cb(configuration, onRebalance)
        case .producer: rd_kafka_conf_set_dr_msg_cb(configuration, onDelivery)
        case .admin: break
        }
    }
}

/// Counts what was not delivered; with `delivery.report.only.error` it is not called for anything else.
private func onDelivery(
    _ client: OpaquePointer?, _ message: UnsafePointer<rd_kafka_message_t>?, _ opaque: UnsafeMutableRawPointer?
) {
    guard let message, message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    let topic = message.pointee.rkt.flatMap { rd_kafka_topic_name($0) }.map { String(cString: $0) } ?? "?"
    let error = KafkaError(message.pointee.err, doing: "delivery to \(topic)[\(message.pointee.partition)]")
    ClientContext.from(opaque)?.recordDeliveryFailure(error)
}

/// Runs `work` on a new thread and waits for its end until the deadline. False if it is still running then.
private func runDetached(deadline: Deadline, _ work: @escaping @Sendable () -> Void) -> Bool {
    final class Job: Sendable {
        let work: @Sendable () -> Void
        nonisolated(unsafe) let done: UnsafeMutablePointer<sem_t>
        init(_ work: @escaping @Sendable () -> Void) {
            self.work = work
            done = .allocate(capacity: 1)
            sem_init(done, 0, 0)
        }
        deinit {
            sem_destroy(done)
            done.deallocate()
        }
    }
    let job = Job(work)
    var thread = pthread_t()
    let retained = Unmanaged.passRetained(job)
    let failed = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            let job = Unmanaged<Job>.fromOpaque(argument).takeRetainedValue()
            job.work()
            sem_post(job.done)
            return nil
        }, retained.toOpaque())
    if failed != 0 {
        retained.release()
        work()
        return true
    }
    pthread_detach(thread)
    var until = timespec()
    clock_gettime(CLOCK_REALTIME, &until)
    let wait = Int(deadline.remainingMilliseconds)
    until.tv_sec += wait / 1_000
    until.tv_nsec += wait % 1_000 * 1_000_000
    if until.tv_nsec >= 1_000_000_000 {
        until.tv_sec += 1
        until.tv_nsec -= 1_000_000_000
    }
    while sem_timedwait(job.done, &until) != 0 {
        if errno != EINTR { return false }
    }
    return true
}
