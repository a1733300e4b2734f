import Foundation
import Glibc
import Kafka
import Runtime
import StageKit
import TwinCore
import Views

/// All views and how far they were read, in one file: what a server begins with instead of reading the topics' history
/// again. Any instance may write it and any may read it, as all fold the same topics; written beside and renamed, it is
/// whole or not there.
///
/// Counted sections: where reading goes on, the shards of the fleet, graph, ledger, orders, dead letters. Then a digest
/// over all of them.
struct ViewSnapshot {
    /// Why a file is not taken over.
    struct Fault: Error {
        let reason: String
    }

    private static let magic: UInt64 = 0x5457_494e_5649_4557
    /// Raised with every change of what views write.
    private static let version: UInt64 = 2

    let path: String
    /// Namespace, layout and epochs: what was read under others is another past.
    let origin: UInt64

    // MARK: writing

    /// Writes all views. Only the thread that folds may call it, so that all are of one moment.
    func write(_ store: ViewStore, _ positions: [KafkaPartition: Int64]) throws {
        let temporary = path + ".new"
        guard FileManager.default.createFile(atPath: temporary, contents: nil),
            let file = FileHandle(forWritingAtPath: temporary)
        else { throw Fault(reason: "'\(temporary)' cannot be written") }
        do {
            var sink = Sink(file: file)
            try sink.put { head(positions, into: &$0) }
            for shard in store.shards { try sink.put(shard.view) }
            try sink.put(store.graph)
            try sink.put(store.ledger)
            try sink.put(store.orders)
            try sink.put(store.letters)
            try sink.end()
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else { throw Fault(reason: "'\(path)' cannot be replaced") }
    }

    /// Writes sections one by one, so that only one is in memory.
    private struct Sink {
        let file: FileHandle
        var digest = Digest()

        mutating func put<View: RestorableView & ~Copyable>(_ view: Guarded<View>) throws {
            try put { coder in view.withLock { $0.freeze(into: &coder) } }
        }

        mutating func put(_ freeze: (inout StateCoder) -> Void) throws {
            var section = StateCoder()
            freeze(&section)
            section.bytes.withUnsafeBytes { digest.combine($0) }
            var length = StateCoder()
            length.write(UInt64(section.bytes.count))
            try file.write(contentsOf: length.bytes)
            try file.write(contentsOf: section.bytes)
        }

        mutating func end() throws {
            var tail = StateCoder()
            tail.write(digest.value)
            try file.write(contentsOf: tail.bytes)
            try file.synchronize()
            try file.close()
        }
    }

    private func head(_ positions: [KafkaPartition: Int64], into coder: inout StateCoder) {
        coder.write(Self.magic)
        coder.write(Self.version)
        coder.write(origin)
        coder.write(UInt64(positions.count))
        for (place, position) in positions {
            Array(place.topic.utf8).withUnsafeBytes { coder.write(bytes: $0) }
            coder.write(Int64(place.partition))
            coder.write(position)
        }
    }

    // MARK: reading

    /// Reads the file into fresh views; returns where to go on, or nil if there is no file. After a fault the views are
    /// to be thrown away.
    func read(into store: ViewStore) throws -> [KafkaPartition: Int64]? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        do {
            return try data.withUnsafeBytes { try read($0, into: store) }
        } catch let error as StateError {
            throw Fault(reason: "\(error)")
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer, into store: ViewStore) throws -> [KafkaPartition: Int64] {
        // Nothing is taken over before all of it is known to be whole.
        var check = StateDecoder(bytes)
        var digest = Digest()
        for _ in 0..<(store.shards.count + 5) { digest.combine(try check.readBytes()) }
        guard try check.readWord() == digest.value, check.isAtEnd else { throw Fault(reason: "the file is damaged") }
        var sections = StateDecoder(bytes)
        let positions = try positions(StateDecoder(try sections.readBytes()))
        for shard in store.shards { try Self.restore(shard.view, &sections) }
        try Self.restore(store.graph, &sections)
        try Self.restore(store.ledger, &sections)
        try Self.restore(store.orders, &sections)
        try Self.restore(store.letters, &sections)
        return positions
    }

    private static func restore<View: RestorableView & ~Copyable>(
        _ view: Guarded<View>, _ sections: inout StateDecoder
    ) throws {
        var decoder = StateDecoder(try sections.readBytes())
        try view.withLock { (view) throws(StateError) in try view.restore(from: &decoder) }
        guard decoder.isAtEnd else { throw Fault(reason: "a section is longer than what it holds") }
    }

    private func positions(_ head: StateDecoder) throws -> [KafkaPartition: Int64] {
        var head = head
        guard try head.readWord() == Self.magic else { throw Fault(reason: "it is no snapshot of views") }
        guard try head.readWord() == Self.version else { throw Fault(reason: "it is of another version") }
        guard try head.readWord() == origin else {
            throw Fault(reason: "it is of another namespace, layout or epoch")
        }
        var positions: [KafkaPartition: Int64] = [:]
        for _ in 0..<(try head.readCount(max: 1_000_000)) {
            let topic = String(decoding: try head.readBytes(), as: UTF8.self)
            let partition = Int32(truncatingIfNeeded: try head.readInt64())
            positions[KafkaPartition(topic, partition)] = try head.readInt64()
        }
        return positions
    }
}

extension ViewSnapshot {
    /// The file that is configured; nil if there is none.
    init?(_ configuration: ProgramConfiguration) {
        let path = configuration.text("api.views.snapshot")
        guard !path.isEmpty else { return nil }
        var digest = Digest()
        for topic in ViewFolder.topics {
            Array(configuration.naming.topic(topic).utf8).withUnsafeBytes { digest.combine($0) }
            digest.combine(UInt64(configuration.layout[topic]))
            digest.combine(UInt64(configuration.epoch(of: topic)))
        }
        self.init(path: path, origin: digest.value)
    }
}
