import Glibc

/// What is wrong with one row of a CSV file. The row is passed over; the file goes on.
package enum RowFault: UInt8, Error, Sendable, CaseIterable {
    /// A quoted field is not followed by a comma or the end of the row.
    case quoting
    /// A quoted field or a row does not end within the limit, or the file ends inside quotes.
    case unfinished
    /// Fewer fields than the header has columns that are needed.
    case fields
    /// Empty resource or metric, or one beyond the limit of a name.
    case name
    case timestamp
    case value
    /// A timestamp that makes sense in milliseconds, not in seconds.
    case milliseconds
    /// More different resources, metrics or series than the limit.
    case limit

    /// One line, lower case.
    package var text: String {
        switch self {
        case .quoting: "text behind a closing quote"
        case .unfinished: "a row or a quoted field that does not end"
        case .fields: "too few fields"
        case .name: "an empty or overlong name"
        case .timestamp: "a timestamp that is neither epoch seconds nor ISO 8601"
        case .value: "a value that is not a number"
        case .milliseconds: "a timestamp that looks like milliseconds, where seconds are expected"
        case .limit: "more resources, metrics or series than the limit"
        }
    }
}

/// Reads CSV (RFC 4180) row by row from an `InputFile` with a buffer of fixed size: commas, fields in double quotes
/// with doubled quotes inside, rows ended by LF or CRLF, an optional byte order mark. No string is made; the fields of
/// a row are views into the buffer that live until the next row is asked for. Empty lines are passed over.
package struct CSVReader: ~Copyable {
    /// A row longer than this is at fault; bounds the buffer.
    package static let rowBytesMax = 1 << 18
    /// Fields beyond are not looked at.
    package static let fieldsMax = 256

    /// What the reader found.
    package enum Step: Equatable { case row, fault(RowFault), end }

    /// The line of the file (from 1) on which the current row starts.
    package private(set) var line = 0
    /// Fields of the current row.
    package private(set) var fieldCount = 0

    private let file: InputFile
    private let buffer: UnsafeMutableRawBufferPointer
    private let fields: UnsafeMutablePointer<Field>
    /// Bytes of the buffer that hold data not yet consumed.
    private var start = 0
    private var end = 0
    private var isFileAtEnd = false
    private var linesPassed = 0
    private var isAtFirstByte = true

    private struct Field {
        var start: Int
        var count: Int
    }

    package init(file: InputFile, bufferBytes: Int = 1 << 20) {
        self.file = file
        buffer = .allocate(byteCount: max(bufferBytes, 64), alignment: 16)
        fields = .allocate(capacity: Self.fieldsMax)
    }

    deinit {
        buffer.deallocate()
        fields.deallocate()
    }

    /// The bytes of a field of the current row, without its quotes; empty beyond the last.
    package func field(_ index: Int) -> UnsafeRawBufferPointer {
        guard index >= 0, index < fieldCount else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let field = fields[index]
        return UnsafeRawBufferPointer(
            start: buffer.baseAddress.map { UnsafeRawPointer($0) + field.start }, count: field.count)
    }

    /// Reads on to the next row or fault.
    package mutating func next() throws(BacktestError) -> Step {
        while true {
            if start >= end, !(try refill()) { return .end }
            line = linesPassed + 1
            switch scanPlain() {
            case .row(let next):
                let isOverlong = next - start > Self.rowBytesMax
                start = next
                linesPassed += 1
                if isOverlong { return .fault(.unfinished) }
                if fieldCount == 1 && fields[0].count == 0 { continue }
                return .row
            case .quoted:
                return try scanQuoted()
            case .incomplete:
                // At the end of the file the scan takes the end of the data for a line end.
                if try refill() || isFileAtEnd { continue }
                return try passOverlong()
            }
        }
    }

    private enum Scan { case row(next: Int), quoted, incomplete }

    /// The common case: a row without quotes, in one pass over its bytes.
    private mutating func scanPlain() -> Scan {
        guard let base = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return .incomplete }
        fieldCount = 0
        var fieldStart = start
        var index = start
        while index < end {
            let byte = base[index]
            if byte > 0x2c {
                index &+= 1
                continue
            }
            if byte == 0x2c {
                if fieldCount < Self.fieldsMax {
                    fields[fieldCount] = Field(start: fieldStart, count: index &- fieldStart)
                    fieldCount &+= 1
                }
                fieldStart = index &+ 1
            } else if byte == 0x0a {
                endField(from: fieldStart, to: index)
                return .row(next: index &+ 1)
            } else if byte == 0x22, index == fieldStart {
                return .quoted
            }
            index &+= 1
        }
        guard isFileAtEnd else { return .incomplete }
        endField(from: fieldStart, to: end)
        return .row(next: end)
    }

    /// Closes the last field of a row: a carriage return at its end belongs to the line end.
    private mutating func endField(from first: Int, to last: Int) {
        var count = last - first
        if count > 0, buffer[last - 1] == 0x0d { count -= 1 }
        if fieldCount < Self.fieldsMax {
            fields[fieldCount] = Field(start: first, count: count)
            fieldCount += 1
        }
    }

    /// Reads more behind what is there; false if nothing more comes or there is no room for more.
    private mutating func refill() throws(BacktestError) -> Bool {
        if start > 0 {
            if start < end, let base = buffer.baseAddress { memmove(base, base + start, end - start) }
            end -= start
            start = 0
        }
        guard !isFileAtEnd, end < min(buffer.count, Self.rowBytesMax) || end == 0 else { return false }
        let before = end
        while end < buffer.count {
            let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
            if count == 0 {
                isFileAtEnd = true
                break
            }
            end += count
            if isAtFirstByte, end < 3 { continue }
            break
        }
        if isAtFirstByte {
            isAtFirstByte = false
            if end >= 3, buffer[0] == 0xef, buffer[1] == 0xbb, buffer[2] == 0xbf { start = 3 }
        }
        return end > before && start < end
    }

    /// A row that does not fit: it is dropped up to the next line end.
    private mutating func passOverlong() throws(BacktestError) -> Step {
        fieldCount = 0
        while true {
            while start < end {
                let byte = buffer[start]
                start += 1
                if byte == 0x0a {
                    linesPassed += 1
                    return .fault(.unfinished)
                }
            }
            if !(try refill()) {
                linesPassed += 1
                return .fault(.unfinished)
            }
        }
    }

    /// A row with quotes. The bytes of a quoted field are moved together in place where quotes were doubled.
    private mutating func scanQuoted() throws(BacktestError) -> Step {
        while true {
            let (outcome, next, lines) = parseQuoted()
            switch outcome {
            case .row:
                let isOverlong = next - start > Self.rowBytesMax
                start = next
                linesPassed += lines
                return isOverlong ? .fault(.unfinished) : .row
            case .fault(let fault):
                // On from behind the first line end: a stray quote must not swallow what follows.
                return try passLine(fault)
            case .end:
                if try refill() { continue }
                return try passLine(.unfinished)
            }
        }
    }

    private mutating func passLine(_ fault: RowFault) throws(BacktestError) -> Step {
        _ = try passOverlong()
        return .fault(fault)
    }

    /// Parses the row at `start`; `.end` if the data ends within it. Bytes are not changed before the row is complete.
    private mutating func parseQuoted() -> (Step, next: Int, lines: Int) {
        fieldCount = 0
        var index = start
        var lines = 0
        while true {
            var field = Field(start: index, count: 0)
            var doubled = false
            if index < end, buffer[index] == 0x22 {
                index += 1
                field.start = index
                while true {
                    guard index < end else { return (.end, 0, 0) }
                    let byte = buffer[index]
                    if byte == 0x0a { lines += 1 }
                    if byte == 0x22 {
                        if index + 1 >= end {
                            if !isFileAtEnd { return (.end, 0, 0) }
                            break
                        }
                        if buffer[index + 1] != 0x22 { break }
                        doubled = true
                        index += 1
                    }
                    index += 1
                }
                field.count = index - field.start
                index += 1
                if index < end, buffer[index] == 0x0d {
                    if index + 1 >= end, !isFileAtEnd { return (.end, 0, 0) }
                    if index + 1 >= end || buffer[index + 1] == 0x0a { index += 1 }
                }
            } else {
                while index < end, buffer[index] != 0x2c, buffer[index] != 0x0a { index += 1 }
                field.count = index - field.start
                let isLast = index < end ? buffer[index] == 0x0a : isFileAtEnd
                if isLast, field.count > 0, buffer[index - 1] == 0x0d { field.count -= 1 }
            }
            guard index < end || isFileAtEnd else { return (.end, 0, 0) }
            if index < end, buffer[index] != 0x2c, buffer[index] != 0x0a { return (.fault(.quoting), 0, 0) }
            if fieldCount < Self.fieldsMax {
                fields[fieldCount] = Field(start: field.start, count: doubled ? -field.count : field.count)
                fieldCount += 1
            }
            if index >= end || buffer[index] == 0x0a {
                joinDoubledQuotes()
                return (.row, min(index + 1, end), lines + 1)
            }
            index += 1
        }
    }

    /// Fields with doubled quotes are marked by a negative count until the row is complete.
    private mutating func joinDoubledQuotes() {
        for number in 0..<fieldCount where fields[number].count < 0 {
            let first = fields[number].start
            let last = first - fields[number].count
            var target = first
            var index = first
            while index < last {
                buffer[target] = buffer[index]
                if buffer[index] == 0x22 { index += 1 }
                index += 1
                target += 1
            }
            fields[number].count = target - first
        }
    }
}
