import CZlib
import Glibc
import Testing

@testable import Backtest

/// A directory of its own that goes away with the test.
final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/twinscale-backtest-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw BacktestError(.file, "no scratch directory") }
        path = String(cString: made)
    }

    deinit { removeAll(path) }

    private func removeAll(_ directory: String) {
        for name in names(in: directory) {
            let inner = "\(directory)/\(name)"
            if unlink(inner) != 0 { removeAll(inner) }
        }
        rmdir(directory)
    }

    private func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        guard let stream = fopen(file, "wb") else { throw BacktestError(.file, "cannot write \(file)") }
        defer { fclose(stream) }
        guard fwrite(bytes, 1, bytes.count, stream) == bytes.count else {
            throw BacktestError(.file, "cannot write \(file)")
        }
        return file
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    func read(_ name: String) throws -> [UInt8] {
        let file = try InputFile(path: name.hasPrefix("/") ? name : "\(path)/\(name)")
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = try room.withUnsafeMutableBytes { (room) throws(BacktestError) in try file.read(into: room) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: room[0..<count])
        }
    }

    func text(_ name: String) throws -> String { String(decoding: try read(name), as: UTF8.self) }
}

/// One gzip member.
func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    guard
        deflateInit2_(
            &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
            == Z_OK
    else { return [] }
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: bytes.count + bytes.count / 100 + 256)
    let count = input.withUnsafeMutableBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target in
            stream.next_in = source.baseAddress
            stream.avail_in = uInt(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = uInt(target.count)
            _ = deflate(&stream, Z_FINISH)
            return target.count - Int(stream.avail_out)
        }
    }
    return Array(output[0..<count])
}

extension BacktestTests {
    /// Rows of the first few series of a trace, at least `rowsMin` of them.
    func rows(
        of name: String, in traces: String, rowsMin: Int
    ) throws -> [(time: Int, series: Substring, value: Substring)] {
        let text = String(decoding: try scratch.read("\(traces)/\(name).csv.gz"), as: UTF8.self)
        var counts: [Substring: Int] = [:]
        let all = text.split(separator: "\n").dropFirst().compactMap { line -> (Int, Substring, Substring)? in
            guard let first = line.firstIndex(of: ","), let last = line.lastIndex(of: ","), first < last,
                let time = Int(line[..<first])
            else { return nil }
            let series = line[line.index(after: first)..<last]
            counts[series, default: 0] += 1
            return (time, series, line[line.index(after: last)...])
        }
        var chosen: Set<Substring> = []
        var count = 0
        for series in counts.keys.sorted() where count < rowsMin {
            chosen.insert(series)
            count += counts[series] ?? 0
        }
        return all.filter { chosen.contains($0.1) }
    }
}
