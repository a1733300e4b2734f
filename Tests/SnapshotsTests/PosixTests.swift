import Glibc
import Snapshots
import Testing
import TwinCore

@Suite struct PosixTests {
    /// A fresh directory, removed afterwards.
    private func withDirectory(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/snapshots-test-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in buffer.baseAddress.flatMap { mkdtemp($0) } }
        let path = String(cString: try #require(made))
        defer { removeTree(path) }
        try body(path)
    }

    private func removeTree(_ path: String) {
        let files = PosixFileSystem()
        for name in (try? files.list(path, entriesMax: 1_000)) ?? [] {
            let entry = "\(path)/\(name)"
            if (try? files.status(entry))?.isDirectory == true { removeTree(entry) } else { try? files.remove(entry) }
        }
        try? files.removeDirectory(path)
    }

    @Test func `snapshots live where the layout says`() throws {
        try withDirectory { root in
            let store = try DirectorySnapshotStore(root: "\(root)/deep/er/", namespace: "live", options: smallFrames)
            for offset in Int64(1)...5 { _ = try store.save(identity(offset), content(sections(offset))) }
            let directory = "\(root)/deep/er/live/twin-updater/1/observations@1-7"
            let names = try PosixFileSystem().list(directory, entriesMax: 100).sorted()
            #expect(names == (3...5).map { "0000000000000000000\($0).snapshot" })
            let other = try DirectorySnapshotStore(root: "\(root)/deep/er", namespace: "live", options: smallFrames)
            #expect(try everything(#require(try other.newestValid(task, incarnation: 1).reader)) == sections(5))
            let created = try #require(try other.list(task, incarnation: 1).first?.createdMilliseconds)
            #expect(abs(created / 1_000 - Int64(time(nil))) < 600)
            try other.removeAll(task, incarnation: nil)
            #expect(try other.listAll().isEmpty)
        }
    }

    @Test func `what others left there is no snapshot`() throws {
        try withDirectory { root in
            let store = try DirectorySnapshotStore(root: root, namespace: "live", options: smallFrames)
            _ = try store.save(identity(1), content(sections(1)))
            let directory = "\(root)/live/twin-updater/1/observations@1-7"
            let files = PosixFileSystem()
            for name in ["notes.txt", "1.snapshot", "00000000000000000002.snapshot", "99999999999999999999.snapshot"] {
                _ = try files.create("\(directory)/\(name)")
            }
            try files.makeDirectory("\(directory)/00000000000000000003.snapshot")
            try files.makeDirectory("\(root)/live/twin-updater/01")
            try files.makeDirectory("\(root)/live/twin-updater/1/observations@01-7")
            #expect(try store.listAll().map(\.offset) == [2, 1])
            let choice = try store.newestValid(task, incarnation: 1)
            #expect(choice.reader?.header.identity.offset == 1)
            #expect(choice.skipped.map(\.error.code) == [.corrupt])
        }
    }

    @Test func `a store that is a file, or not ours, is named`() throws {
        try withDirectory { root in
            _ = try PosixFileSystem().create("\(root)/file")
            let store = try DirectorySnapshotStore(root: "\(root)/file", namespace: "live")
            #expect(throws: SnapshotError.self) { try store.save(identity(1), content(sections(1))) }
            #expect(try store.listAll().isEmpty)
            // Nobody, not even root, may make a directory there.
            let denied = try DirectorySnapshotStore(root: "/proc/self", namespace: "live")
            #expect { try denied.save(identity(1), content(sections(1))) } throws: { error in
                [.denied, .missing, .failed].contains((error as? SnapshotError)?.code)
            }
        }
    }
}
