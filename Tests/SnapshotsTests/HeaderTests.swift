import Snapshots
import TestKit
import Testing
import TwinCore

@Suite struct HeaderTests {
    private func header() -> SnapshotHeader {
        SnapshotHeader(
            identity: identity(1_234_567), frameBytes: 4_096,
            sections: [
                SnapshotSectionEntry(
                    tag: 1, contentBytes: 5_000,
                    frames: [
                        SnapshotFrame(storedBytes: 100, contentBytes: 4_096, storedDigest: 11, contentDigest: 12),
                        SnapshotFrame(storedBytes: 60, contentBytes: 904, storedDigest: 13, contentDigest: 14),
                    ]),
                SnapshotSectionEntry(tag: 7, contentBytes: 0, frames: []),
            ])
    }

    private func decode(_ bytes: [UInt8]) throws(SnapshotError) -> SnapshotHeader {
        var result: Result<SnapshotHeader, SnapshotError> = .failure(SnapshotError(.missing, ""))
        bytes.withUnsafeBytes { buffer in
            do throws(SnapshotError) {
                result = .success(try SnapshotHeader(decoding: buffer))
            } catch { result = .failure(error) }
        }
        return try result.get()
    }

    /// As `header()` was first encoded; a change of these bytes is a change of the format's version.
    private let golden =
        "5457494e534e4150" + "0100" + "0000" + "a0000000" + "0700000001000702" + "87d6120000000000"
        + "0100000000000000" + "edfe000000000000" + "03000000" + "02000000" + "02000000" + "00100000"

    @Test func `the encoded bytes stay what they are`() throws {
        let bytes = header().encoded()
        let hex = bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
        #expect(bytes.count == header().encodedBytes)
        #expect(hex.hasPrefix(golden))
        let sections =
            "0100000002000000" + "8813000000000000" + "6400000000100000" + "0b000000000000000c00000000000000"
            + "3c00000088030000" + "0d000000000000000e00000000000000" + "0700000000000000" + "0000000000000000"
        #expect(hex.dropFirst(golden.count + 16).hasPrefix(sections))
        #expect(hex.hasSuffix(goldenChecksum))
        #expect(hex.dropFirst(golden.count).hasPrefix(goldenContentDigest))
    }

    private let goldenContentDigest = "1482d4c5a3ce11cf"
    private let goldenChecksum = "c8eb18c326834ccf"

    @Test func `a header survives the round trip`() throws {
        #expect(try decode(header().encoded()) == header())
    }

    @Test func `every single changed bit and every truncation is refused`() throws {
        let bytes = header().encoded()
        for bit in 0..<(bytes.count * 8) {
            var changed = bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: SnapshotError.self) { try decode(changed) }
        }
        for count in 0..<bytes.count {
            #expect(throws: SnapshotError.self) { try decode(Array(bytes.prefix(count))) }
        }
    }

    @Test(arguments: [UInt64](1...8))
    func `garbage with a right checksum never crashes and never claims more than its bytes`(seed: UInt64) throws {
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        let bytes = header().encoded()
        for _ in 0..<2_000 {
            var changed = bytes
            for _ in 0...generator.below(4) {
                let index = 16 + generator.below(bytes.count - 24)
                let values: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: generator.next())]
                changed[index] = values[generator.below(6)]
            }
            var digest = Digest()
            changed.prefix(changed.count - 8).withUnsafeBytes { digest.combine($0) }
            withUnsafeBytes(of: digest.value.littleEndian) { changed.replaceSubrange((changed.count - 8)..., with: $0) }
            if let decoded = try? decode(changed) { #expect(decoded.encoded() == changed) }
        }
        for _ in 0..<2_000 {
            let noise = (0..<generator.below(300)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            #expect(throws: SnapshotError.self) { try decode(noise) }
            #expect(throws: SnapshotError.self) { try decode(Array(bytes.prefix(16)) + noise) }
        }
    }

    @Test func `another version of the format is named as such`() {
        var bytes = header().encoded()
        bytes[8] = 2
        let changed = bytes
        #expect { try decode(changed) } throws: { ($0 as? SnapshotError)?.code == .unsupported }
    }
}
