import CRdKafka

/// The version of librdkafka that is loaded, which may be newer than the one built against.
package struct LibraryVersion: Comparable, Sendable, CustomStringConvertible {
    /// `0xMMmmrr`: major, minor, revision, one byte each.
    let packed: Int32

    package init(_ major: Int32, _ minor: Int32, _ revision: Int32) {
        packed = (major & 0xff) << 16 | (minor & 0xff) << 8 | revision & 0xff
    }

    /// The library in this process.
    package static var loaded: LibraryVersion {
        let version = rd_kafka_version()
        return LibraryVersion(version >> 24 & 0xff, version >> 16 & 0xff, version >> 8 & 0xff)
    }

    /// The first version in which a commit during a cooperative rebalance no longer loses the assignment
    /// (confluentinc/librdkafka#4059, mended by #4908).
    package static let cooperativeCommits = LibraryVersion(2, 10, 0)

    /// The first version with `fetch.queue.backoff.ms`.
    package static let fetchQueueBackoff = LibraryVersion(2, 2, 0)

    package static func < (a: LibraryVersion, b: LibraryVersion) -> Bool { a.packed < b.packed }

    package var description: String { "\(packed >> 16).\(packed >> 8 & 0xff).\(packed & 0xff)" }
}
