extension KafkaProperties {
    /// What a client is for; decides which defaults it gets.
    package enum Role: Sendable {
        case consumer, producer, admin
    }

    /// A property that the design sets, and why.
    struct Default {
        let name: String
        let value: String
        /// The design rests on it: another value from outside is refused.
        let isFixed: Bool
        let reason: String
    }

    private static func fixed(_ name: String, _ value: String, _ reason: String) -> Default {
        Default(name: name, value: value, isFixed: true, reason: reason)
    }

    private static func preset(_ name: String, _ value: String, _ reason: String) -> Default {
        Default(name: name, value: value, isFixed: false, reason: reason)
    }

    static let common: [Default] = [
        fixed("log.queue", "false", "logs go to a bounded ring, not through the poll that may be stuck"),
        preset("client.id", "twinscale", "names us in the broker's logs and quotas"),
        preset("socket.keepalive.enable", "true", "a firewall that forgets the connection is noticed"),
        preset("socket.nagle.disable", "true", "a commit is one small request that somebody waits for"),
        preset("socket.timeout.ms", "15000", "a broker that keeps its connections and never answers is noticed"),
        preset("reconnect.backoff.max.ms", "1000", "a restarted broker is found within a second, not ten"),
    ]

    static let consumer: [Default] = [
        fixed("enable.auto.commit", "false", "offsets are committed only when all outputs are acknowledged"),
        fixed("enable.auto.offset.store", "false", "the task loop knows what is processed, the client does not"),
        fixed("auto.offset.reset", "error", "a missing offset is an operator's decision, never a silent restart"),
        fixed("enable.partition.eof", "true", "one of the ways in which a replay learns that it has arrived"),
        fixed("group.protocol", "classic", "assignments are answered by this module, not by the broker"),
        preset("isolation.level", "read_committed", "producers of external topics may use transactions"),
        preset("check.crcs", "true", "a flipped bit must not become state"),
        preset("partition.assignment.strategy", "range", "predictable shares; eager is safe with any library"),
        preset("session.timeout.ms", "6000", "a killed worker is replaced within seconds; recovery waits for this"),
        preset("heartbeat.interval.ms", "1500", "a quarter of the session: three may be lost"),
        preset("fetch.wait.max.ms", "50", "how long a broker that polls lets a lone record wait"),
        preset("fetch.message.max.bytes", "4194304", "frames are large; one fetch should carry many"),
        preset("queued.min.messages", "2000000", "a full queue stops fetching for a second before 2.2; bytes bound it"),
        preset("queued.max.messages.kbytes", "65536", "the bound on prefetched bytes, all partitions together"),
        preset("fetch.queue.backoff.ms", "5", "from 2.2.0: how long fetching rests when the queue is full"),
    ]

    static let producer: [Default] = [
        fixed("enable.idempotence", "true", "a retried batch is written once and in order"),
        fixed("acks", "all", "acknowledged means on every replica in sync"),
        fixed("message.timeout.ms", "0", "a frame is never given up while its sender lives; a gap stops the receiver"),
        fixed("enable.gapless.guarantee", "true", "a lost message is fatal at once, before a later one is written"),
        fixed("delivery.report.only.error", "true", "acknowledged records cost nothing; only failures are reported"),
        preset("compression.type", "lz4", "cheaper than none on both sides; zstd costs us more and the broker less"),
        preset("linger.ms", "50", "the flush before a commit ends the wait; until then, few large batches cost less"),
        preset("queue.buffering.max.messages", "1000000", "the bytes bound the queue, not the number"),
        preset("queue.buffering.max.kbytes", "65536", "the bound on bytes not yet acknowledged"),
    ]

    static func defaults(for role: Role) -> [Default] {
        switch role {
        case .consumer: common + consumer
        case .producer: common + producer
        case .admin: common
        }
    }

    /// Set by this module from its own arguments; never through a property.
    private static let owned = ["group.id", "transactional.id", "test.mock.num.brokers"]

    /// The design's defaults for `role` with these properties laid over them. Throws for a property that the design
    /// fixes to another value, for one that has an argument of its own, and for an assignment strategy that the loaded
    /// library cannot be trusted with.
    package func resolved(
        for role: Role, version: LibraryVersion = .loaded
    ) throws(KafkaError) -> KafkaProperties {
        try rejectFixed(version: version)
        var result = KafkaProperties()
        for entry in Self.defaults(for: role) where Self.isKnown(entry.name, to: version) {
            result[entry.name] = entry.value
        }
        for entry in entries { result[entry.name] = entry.value }
        return result
    }

    private func rejectFixed(version: LibraryVersion) throws(KafkaError) {
        // The operator writes one set for all clients, so every role's fixed properties hold for each.
        let fixed = (Self.common + Self.consumer + Self.producer).filter(\.isFixed)
        for entry in entries {
            if Self.owned.contains(entry.name) {
                throw KafkaError(refusing: "property '\(entry.name)' is set by twinscale itself and cannot be given")
            }
            if let rule = fixed.first(where: { $0.name == entry.name }), !Self.same(rule.value, entry.value) {
                throw KafkaError(
                    refusing: "property '\(entry.name)' is fixed to '\(rule.value)', not '\(entry.value)': "
                        + rule.reason)
            }
        }
        try Self.checkStrategy(self["partition.assignment.strategy"], version: version)
    }

    private static func checkStrategy(_ strategy: String?, version: LibraryVersion) throws(KafkaError) {
        switch strategy {
        case nil, "range", "roundrobin": return
        case "cooperative-sticky":
            guard version >= .cooperativeCommits else {
                throw KafkaError(
                    refusing: "partition.assignment.strategy=cooperative-sticky needs librdkafka "
                        + "\(LibraryVersion.cooperativeCommits) or newer, loaded is \(version): before it a commit "
                        + "during a rebalance loses the assignment (confluentinc/librdkafka#4059)")
            }
        case let other?:
            throw KafkaError(
                refusing: "partition.assignment.strategy is '\(other)', not range, roundrobin or cooperative-sticky")
        }
    }

    private static func isKnown(_ name: String, to version: LibraryVersion) -> Bool {
        switch name {
        case "fetch.queue.backoff.ms": version >= .fetchQueueBackoff
        case "group.protocol": version >= LibraryVersion(2, 4, 0)
        default: true
        }
    }

    /// Equal as librdkafka reads them: `-1` and `all` are the same acknowledgement.
    private static func same(_ a: String, _ b: String) -> Bool {
        func reading(_ value: String) -> String {
            switch value.lowercased() {
            case "-1": "all"
            case "1", "t", "yes": "true"
            case "f", "no": "false"
            default: value.lowercased()
            }
        }
        return reading(a) == reading(b)
    }
}
