import CZstd

/// The most bytes that a zstd frame of so many uncompressed bytes can need.
func compressedBytesMax(_ contentBytes: Int) -> Int { ZSTD_compressBound(contentBytes) }

/// A zstd compression context, for one thread at a time.
struct Compressor: ~Copyable {
    private let context: OpaquePointer

    init(level: Int32) throws(SnapshotError) {
        context = try Self.makeContext(level: level)
    }

    private static func makeContext(level: Int32) throws(SnapshotError) -> OpaquePointer {
        guard let context = ZSTD_createCCtx() else { throw SnapshotError(.failed, "no memory for a compressor") }
        for (parameter, value) in [(ZSTD_c_compressionLevel, level), (ZSTD_c_checksumFlag, 1)] {
            let code = ZSTD_CCtx_setParameter(context, parameter, value)
            guard ZSTD_isError(code) == 0 else {
                ZSTD_freeCCtx(context)
                throw zstdError(code, .failed)
            }
        }
        return context
    }

    deinit { ZSTD_freeCCtx(context) }

    /// One whole frame with content size and checksum; `target` must hold `compressedBytesMax`.
    func compress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(SnapshotError) -> Int {
        let count = ZSTD_compress2(context, target.baseAddress, target.count, source.baseAddress, source.count)
        guard ZSTD_isError(count) == 0 else { throw zstdError(count, .failed) }
        return count
    }
}

/// A zstd decompression context, for one thread at a time.
struct Decompressor: ~Copyable {
    private let context: OpaquePointer

    init() throws(SnapshotError) {
        guard let made = ZSTD_createDCtx() else { throw SnapshotError(.failed, "no memory for a decompressor") }
        context = made
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Decompresses bytes that nobody vouches for into exactly `target.count` bytes. Throws `corrupt`.
    func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(SnapshotError) {
        let count = ZSTD_decompressDCtx(context, target.baseAddress, target.count, source.baseAddress, source.count)
        guard ZSTD_isError(count) == 0 else { throw zstdError(count, .corrupt) }
        guard count == target.count else {
            throw SnapshotError(.corrupt, "a frame holds \(count) bytes where \(target.count) were declared")
        }
    }
}

private func zstdError(_ code: Int, _ kind: SnapshotError.Code) -> SnapshotError {
    let name = ZSTD_getErrorName(code).map { String(cString: $0) } ?? "unknown"
    return SnapshotError(kind, "zstd: \(name)")
}
