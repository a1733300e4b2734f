import CZlib
import Glibc

/// A file that is read from front to back, plain or gzip-compressed. What it is, is told by its first bytes, not by
/// its name; a gzip file may have several members, as `cat a.gz b.gz` makes them. Memory is one buffer of compressed
/// bytes.
package final class InputFile {
    /// As it was given; for messages.
    package let path: String
    /// Bytes of the file on disk; what `bytesRead` runs up to.
    package let byteCount: Int64
    /// Bytes read from disk so far, for progress.
    @exclusivity(unchecked) package private(set) var bytesRead: Int64 = 0
    /// True if the content is compressed.
    package private(set) var isCompressed = false

    private let descriptor: Int32
    private let room: UnsafeMutableRawBufferPointer
    /// Bytes of the room that hold what was read and not used yet.
    @exclusivity(unchecked) private var pending = 0..<0
    private var isAtEnd = false
    private var inflater: UnsafeMutablePointer<z_stream>?
    /// Inside a gzip member: its end must come before the file's.
    private var isInsideMember = false

    private static let roomBytes = 256 * 1_024

    /// Opens a regular file; it is read more than once, so a pipe will not do.
    package init(path: String) throws(BacktestError) {
        self.path = path
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw BacktestError(.file, "\(path) cannot be opened: \(Self.reason(errno))") }
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            Glibc.close(opened)
            throw BacktestError(
                .file, "\(path) is not a regular file", hint: "save the stream to a file first; it is read twice")
        }
        descriptor = opened
        byteCount = Int64(status.st_size)
        room = .allocate(byteCount: Self.roomBytes, alignment: 16)
        try fill()
        if pending.count >= 2, room[0] == 0x1f, room[1] == 0x8b { try startInflating() }
    }

    deinit {
        if let inflater {
            inflateEnd(inflater)
            inflater.deinitialize(count: 1)
            inflater.deallocate()
        }
        room.deallocate()
        Glibc.close(descriptor)
    }

    /// The text of an error number of the operating system.
    package static func reason(_ number: Int32) -> String { String(cString: strerror(number)).lowercased() }

    private func fill() throws(BacktestError) {
        while true {
            let count = Glibc.read(descriptor, room.baseAddress, room.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw BacktestError(.file, "\(path) cannot be read: \(Self.reason(errno))") }
            pending = 0..<count
            bytesRead += Int64(count)
            isAtEnd = count == 0
            return
        }
    }

    private func startInflating() throws(BacktestError) {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 + 16: the largest window, and gzip's header and checksum.
        let size = Int32(MemoryLayout<z_stream>.size)
        guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, size) == Z_OK else {
            stream.deallocate()
            throw BacktestError(.file, "\(path) cannot be decompressed: zlib did not start")
        }
        inflater = stream
        isCompressed = true
        isInsideMember = true
    }

    /// Reads the next bytes of the content into `target`; zero at the end.
    package func read(into target: UnsafeMutableRawBufferPointer) throws(BacktestError) -> Int {
        guard target.count > 0 else { return 0 }
        if let inflater { return try inflate(inflater, into: target) }
        if pending.isEmpty && !isAtEnd { try fill() }
        let count = min(pending.count, target.count)
        if count == 0 { return 0 }
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: room[pending.lowerBound..<pending.lowerBound + count]))
        pending = pending.lowerBound + count..<pending.upperBound
        return count
    }

    private func inflate(
        _ stream: UnsafeMutablePointer<z_stream>, into target: UnsafeMutableRawBufferPointer
    ) throws(BacktestError) -> Int {
        var written = 0
        while written < target.count {
            if pending.isEmpty && !isAtEnd { try fill() }
            if pending.isEmpty {
                guard !isInsideMember else {
                    throw BacktestError(.format, "\(path) ends inside its compressed data", hint: "copy it again")
                }
                return written
            }
            if !isInsideMember {
                // Zero padding behind the last member is legal; another member starts anew.
                if room[pending.lowerBound] == 0 {
                    pending = pending.lowerBound + 1..<pending.upperBound
                    continue
                }
                guard inflateReset(stream) == Z_OK else { throw broken(stream) }
                isInsideMember = true
            }
            stream.pointee.next_in = room.baseAddress?.advanced(by: pending.lowerBound)
                .assumingMemoryBound(to: Bytef.self)
            stream.pointee.avail_in = uInt(pending.count)
            stream.pointee.next_out = target.baseAddress?.advanced(by: written).assumingMemoryBound(to: Bytef.self)
            stream.pointee.avail_out = uInt(min(target.count - written, Int(Int32.max)))
            let offered = Int(stream.pointee.avail_out)
            let code = CZlib.inflate(stream, Z_NO_FLUSH)
            pending = pending.upperBound - Int(stream.pointee.avail_in)..<pending.upperBound
            written += offered - Int(stream.pointee.avail_out)
            if code == Z_STREAM_END {
                isInsideMember = false
            } else if code != Z_OK && code != Z_BUF_ERROR {
                throw broken(stream)
            }
        }
        return written
    }

    private func broken(_ stream: UnsafeMutablePointer<z_stream>) -> BacktestError {
        let detail = stream.pointee.msg.map { String(cString: $0) } ?? "invalid data"
        return BacktestError(
            .format, "\(path) is damaged near byte \(bytesRead - Int64(pending.count)): \(detail)",
            hint: "check it with gzip -t")
    }
}
