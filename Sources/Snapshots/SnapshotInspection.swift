/// What can be said about one snapshot, for people and tools.
package struct SnapshotInspection: Sendable {
    /// One section's sizes.
    package struct Section: Hashable, Sendable {
        /// Its tag.
        package var tag: UInt32
        /// Number of its frames.
        package var frames: Int
        /// Uncompressed bytes.
        package var contentBytes: Int
        /// Compressed bytes.
        package var storedBytes: Int
    }

    /// What the store's listing says.
    package var info: SnapshotInfo
    /// Nil if not even the header is valid, or the stored bytes do not match it.
    package var header: SnapshotHeader?
    /// In the order of the content; empty if unknown.
    package var sections: [Section]
    /// Uncompressed bytes over stored bytes, header included; 0 if unknown.
    package var ratio: Double
    /// Why it is not valid, or nil if it is, to the depth that was asked for.
    package var problem: SnapshotError?
    /// Time spent reading and verifying.
    package var verifySeconds: Double
}

extension SnapshotStore {
    /// Reads a snapshot and says what it is. Never throws: what is wrong stands in `problem`.
    ///
    /// - Parameter verifyingContent: also decompresses everything. Without it the header and the stored bytes are
    ///   checked against their digests.
    package func inspect(_ info: SnapshotInfo, verifyingContent: Bool) -> SnapshotInspection {
        let start = monotonicNanoseconds()
        var inspection = SnapshotInspection(
            info: info, header: nil, sections: [], ratio: 0, problem: nil, verifySeconds: 0)
        do throws(SnapshotError) {
            let reader = try open(info)
            let header = reader.header
            inspection.header = header
            inspection.sections = header.sections.map { section in
                SnapshotInspection.Section(
                    tag: section.tag, frames: section.frames.count, contentBytes: section.contentBytes,
                    storedBytes: section.storedBytes)
            }
            inspection.ratio = Double(header.contentBytes) / Double(max(info.bytes, 1))
            if verifyingContent { try reader.verifyContent() }
        } catch { inspection.problem = error }
        inspection.verifySeconds = Double(monotonicNanoseconds() &- start) / 1e9
        return inspection
    }
}
