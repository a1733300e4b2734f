import Foundation
import Glibc
import Kafka
import StageKit
import Testing
import TwinCore

@Suite("Snapshot stores that fail", .serialized, .tags(.integration))
struct SnapshotStoreTests {
    /// Whether this process may mount a file system, to have a disk that is full.
    private static let canMount: Bool = {
        guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        guard mount("tmpfs", directory.path, "tmpfs", 0, "size=64k") == 0 else { return false }
        umount(directory.path)
        return true
    }()

    /// The pipeline goes on without snapshots, says so, and loses nothing, even when workers die meanwhile.
    private static func goOn(url: String, _ findings: Findings) throws {
        let run = try PipelineRun(.embedded, seed: 5, records: 1_200)
        run.fleet.options = ["--snapshots-url", url, "--loop-snapshot-interval-milliseconds", "500"]
        try run.fleet.start(perStage: 1)
        let feeder = run.feed(seconds: 12)
        try run.pause(seconds: 6)
        for _ in 0..<3 { try run.killOne(pauseSecondsMax: 0.2) }
        let verdict = try run.finish(feeder)
        run.report("failing snapshots", verdict)
        findings.expectNone(verdict.violations)
        findings.expectNone(run.fleet.unexpected)
        let complaints = run.fleet.slots.filter { tail(run.fleet.log($0), lines: 1_000).contains("snapshot failed") }
        findings.expect(complaints.count == run.fleet.slots.count, "some stages do not say that snapshots fail")
    }

    @Test("A full disk costs the snapshots and nothing else", .timeLimit(.minutes(3)), .enabled(if: canMount))
    func fullDisk() async throws {
        try await checking { findings in
            let directory = try TemporaryDirectory()
            guard mount("tmpfs", directory.path, "tmpfs", 0, "size=64k") == 0 else { throw Trouble("no mount") }
            defer { umount2(directory.path, Int32(MNT_DETACH)) }
            _ = FileManager.default.createFile(
                atPath: "\(directory.path)/full", contents: Data(repeating: 0, count: 60 << 10))
            try Self.goOn(url: "file://\(directory.path)/snapshots", findings)
        }
    }

    @Test("A store that cannot be written costs the snapshots and nothing else", .timeLimit(.minutes(3)))
    func readOnly() async throws {
        try await checking { findings in
            // Nobody can make a directory there, root included.
            try Self.goOn(url: "file:///proc/twinscale", findings)
        }
    }
}
