import Synchronization

/// A run of immutable bytes of a frozen state, for example one memory page. It is read on a background thread
/// while the state lives on, so its bytes must never change once it is part of a snapshot.
package protocol SnapshotChunk: Sendable {
    /// Bytes of the chunk; never changes.
    var byteCount: Int { get }

    /// Gives the bytes, `byteCount` of them, for the time of the call.
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void)
}

extension Array: SnapshotChunk where Element == UInt8 {
    /// The array's count.
    package var byteCount: Int { count }

    /// Gives the array's bytes.
    package func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { withUnsafeBytes(body) }
}

/// One part of a snapshot, read back by its tag. Its bytes are those of the chunks, one after the other; how they
/// were cut into chunks is forgotten.
package struct SnapshotSection: Sendable {
    /// The stage's name for it, unique in a snapshot.
    package var tag: UInt32
    /// Its bytes in order.
    package var chunks: [any SnapshotChunk]

    /// A section of these chunks.
    package init(tag: UInt32, chunks: [any SnapshotChunk]) {
        self.tag = tag
        self.chunks = chunks
    }
}

/// The frozen state on its way into a store. It can be written once; each chunk is let go as soon as its bytes have
/// been handed to the compressor, so that a bounded pool of copied pages drains while the writing goes on.
package final class SnapshotContent: Sendable {
    private let sections: Mutex<[SnapshotSection]?>
    private let cancelled = Atomic<Bool>(false)

    /// The sections in the order in which they are written.
    package init(_ sections: [SnapshotSection]) { self.sections = Mutex(sections) }

    /// Asks a writing under way to stop at the next frame; it then fails with `cancelled` and leaves nothing behind.
    package func cancel() { cancelled.store(true, ordering: .relaxed) }

    /// True once `cancel` was called.
    package var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    /// The sections, once. Throws `invalid` the second time.
    func take() throws(SnapshotError) -> [SnapshotSection] {
        let taken = sections.withLock { held -> [SnapshotSection]? in
            defer { held = nil }
            return held
        }
        guard let taken else { throw SnapshotError(.invalid, "this content was already written once") }
        return taken
    }
}
