import CZlib

/// gzip of whole answers.
enum Gzip {
    /// Shorter ones are sent as they are.
    static let bytesMin = 1_024

    /// The bytes as one gzip member, at the fastest level; nil if that is no gain.
    static func compress(_ bytes: [UInt8], level: Int32 = 1) -> [UInt8]? {
        var stream = z_stream()
        // 15 + 16: the largest window, gzip's frame.
        guard
            deflateInit2_(
                &stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { return nil }
        defer { deflateEnd(&stream) }
        var input = bytes
        guard input.count < Int32.max else { return nil }
        return input.withUnsafeMutableBufferPointer { source -> [UInt8]? in
            let room = source.count - 32
            guard room > 64 else { return nil }
            var isDone = false
            let output = [UInt8](unsafeUninitializedCapacity: room) { target, count in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(target.count)
                isDone = deflate(&stream, Z_FINISH) == Z_STREAM_END
                count = isDone ? target.count - Int(stream.avail_out) : 0
            }
            return isDone ? output : nil
        }
    }

    /// The content of a gzip stream; nil if it is none, or larger than `bytesMax`.
    static func decompress(_ bytes: [UInt8], bytesMax: Int) -> [UInt8]? {
        var stream = z_stream()
        // 15 + 16: any window, gzip's frame only.
        guard inflateInit2_(&stream, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var input = bytes
        guard input.count < Int32.max else { return nil }
        return input.withUnsafeMutableBufferPointer { source -> [UInt8]? in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(source.count)
            var output: [UInt8] = []
            var room = [UInt8](repeating: 0, count: 65_536)
            while true {
                let (status, count) = room.withUnsafeMutableBufferPointer { target -> (Int32, Int) in
                    stream.next_out = target.baseAddress
                    stream.avail_out = UInt32(target.count)
                    let status = inflate(&stream, Z_NO_FLUSH)
                    return (status, target.count - Int(stream.avail_out))
                }
                guard status == Z_OK || status == Z_STREAM_END, output.count + count <= bytesMax else { return nil }
                output.append(contentsOf: room[..<count])
                if status == Z_STREAM_END { return stream.avail_in == 0 ? output : nil }
                if count == 0, stream.avail_in == 0 { return nil }
            }
        }
    }

    /// Whether an `Accept-Encoding` header wants gzip.
    static func isAccepted(_ header: String?) -> Bool {
        guard let header, header.utf8.count <= 1_024 else { return false }
        for part in header.split(separator: ",") {
            let words = part.split(separator: ";").map { $0.filter { !$0.isWhitespace } }
            guard words.first?.lowercased() == "gzip" || words.first == "*" else { continue }
            return !words.dropFirst().contains { ["q=0", "q=0.0", "q=0.00", "q=0.000"].contains($0.lowercased()) }
        }
        return false
    }
}
