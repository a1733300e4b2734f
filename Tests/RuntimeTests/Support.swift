import Glibc
import Kafka
import Logging
import Messages
import StageKit
import Synchronization
import Testing
import TwinCore

@testable import Runtime

/// Long enough for any step here on a busy machine, short enough to notice a hang.
let patienceMilliseconds: Int64 = 25_000

/// An embedded broker with the topics of the echo stage, and a snapshot directory.
final class Stand: Sendable {
    let broker: EmbeddedBroker
    let partitions: Int
    let directory: String

    init(partitions: Int = 4, topics: [String] = ["observations", "forecasts", "deadletters"]) throws {
        broker = try EmbeddedBroker()
        self.partitions = partitions
        var template = Array("/tmp/twinscale-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw StageFailure(.broken, "no temporary directory") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for topic in topics { try broker.createTopic(topic, partitions: partitions) }
    }

    deinit { removeTree(directory) }

    func configuration(_ more: [String] = []) throws -> RuntimeConfiguration {
        try RuntimeConfiguration(
            stage: .twinUpdater,
            arguments: [
                "--kafka", "bootstrap.servers=\(broker.bootstrapServers)", "--partitions", "\(partitions)",
                "--snapshots-url", "file://\(directory)", "--loop-snapshot-interval-milliseconds", "300",
                "--loop-commit-interval-milliseconds", "50", "--start-timeout-milliseconds", "8000",
                // A crashed worker's partitions are given away sooner.
                "--kafka", "session.timeout.ms=4500", "--kafka", "heartbeat.interval.ms=800",
                "--loop-revoke-timeout-milliseconds", "1500",
            ] + more)
    }

    func service(_ more: [String] = []) throws -> StageService {
        StageService(echo(), try configuration(more), log: quietLog())
    }
}

private func removeTree(_ path: String) {
    chmod(path, 0o755)
    if let directory = opendir(path) {
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { removeTree("\(path)/\(name)") }
        }
        closedir(directory)
        rmdir(path)
    } else {
        unlink(path)
    }
}

/// Shown only when `TWINSCALE_TEST_LOG` is set.
func quietLog() -> Logger {
    let isLoud = getenv("TWINSCALE_TEST_LOG") != nil
    return Logger(label: "test") { label in
        LineLogHandler(label: label, level: isLoud ? .debug : .critical, format: .logfmt)
    }
}

/// One output entry of the echo stage, with its number.
struct Echo: Equatable, Comparable, Sendable {
    var sequence: Sequence
    var resource: String
    var value: Double

    static func < (a: Echo, b: Echo) -> Bool { a.sequence < b.sequence }
}

/// Plays the normalizer: numbered frames of samples into the partitions of `observations`, and remembers what it sent.
final class Sender {
    private var producer: Producer
    private let stand: Stand
    private var writers: [SenderLane]

    init(_ stand: Stand) throws {
        self.stand = stand
        producer = try Producer(properties: stand.broker.properties)
        writers = (0..<stand.partitions).map { _ in SenderLane() }
    }

    /// Sends `frames` frames of `samples` samples each to every partition and waits for them.
    func send(frames: Int, samples: Int) throws {
        let topic = try producer.topic("observations")
        for _ in 0..<frames {
            for partition in writers.indices {
                let bytes = writers[partition].frame(partition: Int32(partition), samples: samples)
                try produce(bytes, to: topic, partition)
            }
        }
        try producer.flush(timeoutMilliseconds: 10_000)
    }

    /// As `send`, while the broker answers with faults that may hit us too: what was refused is sent again by a new
    /// producer. A frame that was written all the same is a repeat, which the stage must recognise.
    func sendRetrying(frames: Int, samples: Int) throws {
        for _ in 0..<frames {
            for partition in writers.indices {
                let bytes = writers[partition].frame(partition: Int32(partition), samples: samples)
                try sendRaw(bytes, partition: partition)
            }
        }
    }

    private func produce(_ bytes: [UInt8]?, to topic: Producer.Topic, _ partition: Int) throws(KafkaError) {
        var failure: KafkaError?
        (bytes ?? []).withUnsafeBytes { value in
            do throws(KafkaError) {
                try producer.produce(
                    to: topic, partition: Int32(partition), key: nil, value: bytes == nil ? nil : value,
                    deadline: Deadline(milliseconds: 10_000))
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    func sendRaw(_ bytes: [UInt8]?, partition: Int) throws {
        for attempt in 0... {
            do throws(KafkaError) {
                let topic = try producer.topic("observations")
                try produce(bytes, to: topic, partition)
                try producer.flush(timeoutMilliseconds: 10_000)
                return
            } catch {
                guard attempt < 5 else { throw error }
                var fresh = try Producer(properties: stand.broker.properties)
                swap(&fresh, &producer)
                _ = fresh.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000))
            }
        }
    }

    /// What an undisturbed fold of everything sent to a partition says.
    func expected(_ partition: Int) -> [Echo] { writers[partition].expected() }

    /// Frames sent to each partition.
    var framesSent: Int64 { writers.map(\.frames).min() ?? 0 }

    func samplesSent(_ partition: Int) -> Int { writers[partition].sent.count }
}

/// What one partition was sent.
struct SenderLane {
    private(set) var sent: [(frame: Int64, resource: String, value: Double)] = []
    private var inputOffset: Int64 = 0
    private var last = Sequence.none
    private(set) var frames: Int64 = 0
    private let names = NameTable(namesMax: 64)

    mutating func frame(partition: Int32, samples: Int) -> [UInt8] {
        var writer = FrameWriter()
        for index in 0..<samples {
            let resource = "r\((sent.count * 7 + Int(partition)) % 13)"
            let value = Double((sent.count * 31) % 97)
            let sequence = Sequence(offset: inputOffset, index: Int64(index))
            let name = names.intern(resource) ?? 0
            let time = EventTime(seconds: Int64(1_700_000_000 + sent.count))
            writer.append(
                Entry(kind: .sample, resource: name, object: name, time: time, value: value), sequence: sequence,
                previous: last
            ) { names.bytes(of: $0) }
            last = sequence
            sent.append((frames, resource, value))
        }
        inputOffset += 1
        frames += 1
        let task = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: partition)
        return writer.finish(sender: task, incarnation: 1)
    }

    func expected() -> [Echo] {
        var counts: [String: (Double, Double)] = [:]
        var echoes: [Echo] = []
        var ordinal: Int64 = 0
        var frame: Int64 = -1
        for sample in sent {
            ordinal = sample.frame == frame ? ordinal + 1 : 0
            frame = sample.frame
            var (count, sum) = counts[sample.resource] ?? (0, 0)
            count += 1
            sum += sample.value
            counts[sample.resource] = (count, sum)
            echoes.append(
                Echo(
                    sequence: Sequence(offset: sample.frame, index: ordinal), resource: sample.resource,
                    value: count * 1_000 + sum))
        }
        return echoes
    }
}

/// Everything that the echo stage wrote into one partition of `forecasts`, in order, repeats included.
func outputs(_ stand: Stand, partition: Int) throws -> [Echo] {
    var consumer = try Consumer(properties: stand.broker.properties, groupID: "reader")
    var batch = RecordBatch(recordsMax: 1_000)
    try consumer.assign([PartitionStart(KafkaPartition("forecasts", Int32(partition)), .beginning)])
    let reader = FrameReader()
    var echoes: [Echo] = []
    let end = monotonicMilliseconds() + patienceMilliseconds
    reading: while monotonicMilliseconds() < end {
        _ = try consumer.poll(into: &batch, timeoutMilliseconds: 50)
        try batch.forEach { record in
            guard let value = record.value else { return }
            try reader.decode(value)
            for (entry, sequence) in zip(reader.entries, reader.sequences) {
                let name = String(decoding: reader.names[Int(entry.resource) - 1], as: UTF8.self)
                echoes.append(Echo(sequence: sequence, resource: name, value: entry.value))
            }
        }
        for case .end in batch.events { break reading }
    }
    _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 1_000))
    return echoes
}

/// The outputs equal the fold once repeats are dropped; a repeat must be the same entry.
func check(_ stand: Stand, _ sender: Sender, _ comment: Comment = "") throws {
    for partition in 0..<stand.partitions {
        var seen: [Echo] = []
        for echo in try outputs(stand, partition: partition).sorted() where seen.last != echo { seen.append(echo) }
        let expected = sender.expected(partition)
        #expect(seen.count == expected.count, "partition \(partition) \(comment)")
        #expect(seen == expected, "partition \(partition) \(comment)")
    }
}

/// Waits until `isDone` holds; a test that waits in vain fails.
func wait(_ what: Comment, _ isDone: () -> Bool) async throws {
    let end = monotonicMilliseconds() + patienceMilliseconds
    while !isDone() {
        guard monotonicMilliseconds() < end else {
            Issue.record("waited in vain: \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// Waits until every task of the only worker has a durable snapshot. A snapshot is due at a commit, so input must come.
func waitForSnapshots(_ service: StageService, _ sender: Sender, atLeast offset: Int64 = 1) async throws {
    let end = monotonicMilliseconds() + patienceMilliseconds
    while monotonicMilliseconds() < end {
        let tasks = service.board.current.tasks
        if tasks.count == 4, tasks.allSatisfy({ ($0.snapshotOffset ?? 0) >= offset }) { return }
        try sender.send(frames: 1, samples: 20)
        try await Task.sleep(for: .milliseconds(200))
    }
    Issue.record("waited in vain for snapshots")
}

extension StageService {
    /// Samples folded by all tasks, replayed ones included.
    var committed: [Int64] {
        board.current.tasks.sorted { $0.task.partition < $1.task.partition }.map(\.committedOffset)
    }

    func hasCommitted(_ offset: Int64, partitions: Int) -> Bool {
        let committed = committed
        return committed.count == partitions && committed.allSatisfy { $0 >= offset }
    }
}

/// Sends raw bytes to a health server and returns all that comes back.
func talk(_ server: HealthServer, _ request: String) -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = server.address.port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let isConnected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    guard isConnected else { return "" }
    _ = Array(request.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { break }
        answer += buffer.prefix(count)
    }
    return String(decoding: answer, as: UTF8.self)
}
