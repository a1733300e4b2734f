import Glibc
import Messages

/// A file that is written from front to back through a buffer.
package final class OutputFile {
    package let path: String
    /// Rows ended so far.
    @exclusivity(unchecked) package private(set) var rows: UInt64 = 0
    /// What is not written yet; appended to directly.
    @exclusivity(unchecked) package var bytes: [UInt8] = []
    private let descriptor: Int32
    private static let bufferBytes = 1 << 18

    /// Creates the file, or empties it.
    package init(path: String) throws(BacktestError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw BacktestError(.file, "\(path) cannot be created: \(InputFile.reason(errno))")
        }
        bytes.reserveCapacity(Self.bufferBytes + 4_096)
    }

    deinit { Glibc.close(descriptor) }

    /// Writes the header of a CSV file.
    package func header(_ text: String) {
        bytes.append(contentsOf: text.utf8)
        bytes.append(0x0a)
    }

    /// Ends a row, and writes the buffer out when it is full.
    package func endRow() throws(BacktestError) {
        bytes.append(0x0a)
        rows += 1
        if bytes.count >= Self.bufferBytes { try flush() }
    }

    /// Writes out what is in the buffer.
    package func flush() throws(BacktestError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { room in
                Glibc.write(descriptor, room.baseAddress.map { $0 + done }, room.count - done)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                throw BacktestError(.file, "\(path) cannot be written: \(InputFile.reason(errno))")
            }
            done += count
        }
        bytes.removeAll(keepingCapacity: true)
    }

    /// Makes a directory and those above it.
    package static func makeDirectory(_ path: String) throws(BacktestError) {
        var made = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/\(part)"
            if mkdir(made, 0o755) != 0 && errno != EEXIST {
                throw BacktestError(.file, "\(made) cannot be made: \(InputFile.reason(errno))")
            }
        }
    }
}

/// Fields of CSV rows.
enum CSVField {
    /// Appends text, in quotes where it needs them.
    static func append(_ text: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        let needsQuotes = text.contains { $0 == 0x22 || $0 == 0x2c || $0 == 0x0a || $0 == 0x0d }
        guard needsQuotes else { return output.append(contentsOf: text) }
        output.append(0x22)
        for byte in text {
            if byte == 0x22 { output.append(0x22) }
            output.append(byte)
        }
        output.append(0x22)
    }

    static func append(_ text: [UInt8], to output: inout [UInt8]) {
        text.withUnsafeBytes { append($0, to: &output) }
    }

    /// Appends a moment as epoch seconds: whole, or with up to three decimals.
    static func append(milliseconds: Int64, to output: inout [UInt8]) {
        if milliseconds % 1_000 == 0 {
            PlainDecimal.append(milliseconds / 1_000, to: &output)
        } else {
            PlainDecimal.append(Double(milliseconds) / 1_000, to: &output)
        }
    }

    /// Appends a single-precision number with the fewest decimals that read back as the same, never an exponent.
    static func append(_ value: Float, to output: inout [UInt8]) {
        guard value.isFinite else { return PlainDecimal.append(Double(value), to: &output) }
        let magnitude = Double(value.magnitude)
        var power = 1.0
        for decimals in 0...9 {
            let scaled = (magnitude * power).rounded()
            guard scaled < 1e15 else { break }
            if Float(scaled / power) == value.magnitude {
                if value < 0 { output.append(0x2d) }
                return append(digits: UInt64(scaled), decimals: decimals, to: &output)
            }
            power *= 10
        }
        PlainDecimal.append(Double(value.description) ?? Double(value), to: &output)
    }

    /// Appends `digits` with a point before the last `decimals` of them.
    private static func append(digits: UInt64, decimals: Int, to output: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { room in
            var rest = digits
            var place = room.count
            var written = 0
            while rest != 0 || written <= decimals {
                if written == decimals, decimals > 0 {
                    place -= 1
                    room[place] = 0x2e
                }
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                place -= 1
                room[place] = UInt8(truncatingIfNeeded: 0x30 &+ digit)
                rest = quotient
                written += 1
            }
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[place...]))
        }
    }
}
