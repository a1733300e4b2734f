import Kafka
import TwinCore

/// Reads partitions of one topic for a tool: no group is joined, nothing is committed.
struct TopicReader: ~Copyable {
    /// Where one partition stands.
    struct Place {
        let partition: KafkaPartition
        /// The oldest offset there was when the reader was made.
        let low: Int64
        /// The offset after the last record there was.
        let end: Int64
        /// The next offset to read.
        var next: Int64
    }

    private static let requestTimeoutMilliseconds = 10_000

    private var consumer: Consumer
    private var batch = RecordBatch(recordsMax: 2_000)
    private(set) var places: [Place] = []

    private init(consumer: consuming Consumer, places: [Place]) {
        self.consumer = consumer
        self.places = places
    }

    /// Asks for the topic's partitions and their ends. Throws `ToolError` if there is no such topic.
    /// - Parameter only: the partitions that matter; all without it.
    static func open(_ broker: BrokerOptions, topic name: String, only: [Int32]? = nil) throws -> TopicReader {
        let admin = try Admin(properties: broker.properties)
        let found: TopicDescription?
        do throws(KafkaError) {
            found = try admin.describeTopic(name, timeoutMilliseconds: Self.requestTimeoutMilliseconds)
        } catch {
            admin.close(deadline: Deadline(milliseconds: 1_000))
            throw error
        }
        admin.close(deadline: Deadline(milliseconds: 1_000))
        guard let found else {
            throw ToolError(
                "there is no topic '\(name)' at \(broker.bootstrap)",
                hint:
                    "'twinscale topology' lists the pipeline's topics, 'twinscale topics apply' creates them; "
                    + "a parallel "
                    + "set is chosen with --namespace")
        }
        let ids = found.partitions.map(\.id)
        if let missing = only?.first(where: { !ids.contains($0) }) {
            throw ToolError("topic '\(name)' has no partition \(missing)", hint: "it has 0 to \(ids.count - 1)")
        }
        var consumer = try Consumer(properties: broker.properties, groupID: "twinscale.tool", topics: [name])
        let partitions = ids.filter { only?.contains($0) ?? true }.map { KafkaPartition(name, $0) }
        let deadline = Deadline(milliseconds: Self.requestTimeoutMilliseconds)
        let ends = try consumer.endsByFetching(
            partitions.map { PartitionStart($0, .beginning) }, deadline: deadline)
        var places: [Place] = []
        for (partition, end) in zip(partitions, ends) {
            let told = try consumer.watermarks(partition, timeoutMilliseconds: Self.requestTimeoutMilliseconds)
            let low = max(told.low, 0)
            let high = max(end ?? told.high, low)
            places.append(Place(partition: partition, low: low, end: high, next: low))
        }
        return TopicReader(consumer: consumer, places: places)
    }

    /// Begins each partition at its offset; offsets that retention has passed are moved up, those beyond the end down.
    mutating func start(_ offset: (Place) -> Int64) throws(KafkaError) {
        for index in places.indices {
            places[index].next = min(max(offset(places[index]), places[index].low), places[index].end)
        }
        try consumer.assign(places.map { PartitionStart($0.partition, .at($0.next)) })
    }

    /// The first offset in each partition whose record was written at or after `time`; the end where none was.
    mutating func offsets(at time: EventTime, _ broker: BrokerOptions) throws(KafkaError) -> [KafkaPartition: Int64] {
        var found: [KafkaPartition: Int64] = [:]
        let admin = try Admin(properties: broker.properties)
        var told: [Int64?] = []
        do throws(KafkaError) {
            told = try admin.offsets(
                atMilliseconds: time.milliseconds, in: places.map(\.partition),
                timeoutMilliseconds: Self.requestTimeoutMilliseconds)
        } catch {
            // A broker that does not know the question: the records know the answer.
            told = places.map { _ in nil }
        }
        admin.close(deadline: Deadline(milliseconds: 1_000))
        for (place, offset) in zip(places, told) {
            if let offset {
                found[place.partition] = offset
            } else {
                found[place.partition] = try search(time, in: place)
            }
        }
        return found
    }

    /// Binary search over records, whose timestamps rise but for small disorder.
    private mutating func search(_ time: EventTime, in place: Place) throws(KafkaError) -> Int64 {
        var low = place.low
        var high = place.end
        while low < high {
            let middle = low + (high - low) / 2
            guard let (offset, written) = try first(of: place.partition, from: middle) else {
                high = middle
                continue
            }
            if written < time.milliseconds { low = max(offset + 1, low + 1) } else { high = middle }
        }
        return low
    }

    /// Offset and timestamp of the first record at or beyond an offset; nil if none comes.
    private mutating func first(
        of partition: KafkaPartition, from offset: Int64
    ) throws(KafkaError) -> (offset: Int64, written: Int64)? {
        try consumer.assign([PartitionStart(partition, .at(offset))])
        let deadline = Deadline(milliseconds: 5_000)
        while !deadline.hasPassed {
            _ = try consumer.poll(into: &batch, timeoutMilliseconds: 50, recordsMax: 1)
            var found: (offset: Int64, written: Int64)?
            batch.forEach { record in
                if found == nil { found = (record.offset, record.timestampMilliseconds) }
            }
            if let found { return found }
            for case .end in batch.events { return nil }
        }
        return nil
    }

    /// Waits for records and gives them; `body` returns false to leave. Returns false once it has left, or, unless
    /// `follows`, once everything is read that was there when the reader was made.
    mutating func read(
        timeoutMilliseconds: Int = 100, follows: Bool, _ body: (borrowing Record) -> Bool
    ) throws -> Bool {
        if !follows, isDone { return false }
        _ = try consumer.poll(into: &batch, timeoutMilliseconds: timeoutMilliseconds)
        var hasLeft = false
        var places = self.places
        batch.forEach { record in
            guard !hasLeft, let index = places.firstIndex(where: { $0.partition.partition == record.partition }),
                follows || record.offset < places[index].end
            else { return }
            places[index].next = max(places[index].next, record.offset + 1)
            hasLeft = !body(record)
        }
        for event in batch.events {
            switch event {
            case .end(_, let partition, let offset):
                guard let index = places.firstIndex(where: { $0.partition.partition == partition }) else { continue }
                places[index].next = max(places[index].next, offset)
            case .failed(_, _, let error): if error.disposition != .retry { throw error }
            }
        }
        self.places = places
        return !hasLeft && (follows || !isDone)
    }

    /// Everything is read that was there when the reader was made.
    var isDone: Bool { places.allSatisfy { $0.next >= $0.end } }

    /// Records left of those that were there, and how many there were, by offsets.
    var progress: (done: Int, total: Int) {
        var (done, total) = (0, 0)
        for place in places {
            done += Int(min(place.next, place.end) - place.low)
            total += Int(place.end - place.low)
        }
        return (done, total)
    }

    consuming func close() {
        _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 500))
    }
}
