import TwinCore

/// Finds the elements of one record: one object, an array of objects, or objects on lines of their own (NDJSON), and
/// reads their fields.
///
/// What is wrong *in* an element is noted and its syntax followed to its end, so that the next one can be read. After
/// a fault of syntax there is no next element in an array; outside one, reading resumes at the next line that begins
/// with `{`. A byte order mark before the first element is passed over.
struct JSONRecords: ~Copyable {
    /// The most elements (samples) read from one record: protects the frames that carry them on.
    static let elementsMax = 100_000
    /// The most faults reported for one record: protects the dead letters.
    static let faultsMax = 1_000

    enum Step { case element, end, fault(RecordFault) }
    private enum Mode { case start, lines, array, ended }

    var reader: JSONReader
    let scratch = TextScratch()
    /// The first fault of the element that is being read.
    var fault: RecordFault?
    private(set) var elementStart = 0
    private var mode = Mode.ended
    private var elements = 0
    private var faults = 0

    init() { reader = JSONReader(UnsafeRawBufferPointer(start: nil, count: 0)) }

    mutating func open(_ record: UnsafeRawBufferPointer) {
        let hasMark = record.count >= 3 && record[0] == 0xef && record[1] == 0xbb && record[2] == 0xbf
        reader = JSONReader(record, from: hasMark ? 3 : 0)
        mode = .start
        elements = 0
        faults = 0
        elementStart = 0
        fault = nil
    }

    /// Moves to the next element; on `element` the reader stands at its `{`.
    mutating func advance() -> Step {
        fault = nil
        if mode == .start, let first = begin() { return .fault(first) }
        do throws(JSONError) {
            switch mode {
            case .start, .ended: return .end
            case .lines:
                reader.skipWhitespace()
                guard reader.position < reader.end else { return end() }
            case .array:
                guard try reader.nextElement() else {
                    elementStart = reader.position
                    try reader.expectEnd()
                    return end()
                }
                reader.skipWhitespace()
            }
            elementStart = reader.position
            if reader.peek() == UInt8(ascii: "{") { return .element }
            try reader.skipValue()
            try finish()
            return .fault(report(.elementNotAnObject))
        } catch {
            return .fault(recover(from: error))
        }
    }

    private mutating func begin() -> RecordFault? {
        reader.skipWhitespace()
        guard reader.position < reader.end else {
            mode = .ended
            return report(.emptyRecord)
        }
        mode = .lines
        if reader.peek() == UInt8(ascii: "[") {
            // Nesting one deep cannot fail at the first byte.
            if (try? reader.enterArray()) != nil { mode = .array }
        }
        return nil
    }

    private mutating func end() -> Step {
        mode = .ended
        return .end
    }

    /// Checks what follows an element: outside an array, its line must end.
    mutating func finish() throws(JSONError) {
        guard mode == .lines else { return }
        while reader.position < reader.end {
            let byte = reader.bytes[reader.position]
            if byte == 0x0a { break }
            guard byte == 0x20 || byte == 0x0d || byte == 0x09 else { throw reader.unexpected() }
            reader.position += 1
        }
        reader.isBehindValue = false
    }

    /// Counts an element that is about to be given out; the fault if it is one too many.
    mutating func admit() -> RecordFault? {
        guard elements < Self.elementsMax else {
            mode = .ended
            return report(.tooManyElements)
        }
        elements += 1
        return nil
    }

    /// Completes and counts a fault of the present element.
    mutating func report(_ code: RecordFault.Code, field: StaticString = "", json: JSONError? = nil) -> RecordFault {
        report(RecordFault(code, field: field, json: json))
    }

    /// Completes and counts a fault of the present element.
    mutating func report(_ fault: RecordFault) -> RecordFault {
        var fault = fault
        fault.element = elementStart..<max(elementStart, reader.position)
        faults += 1
        if faults > Self.faultsMax {
            fault.code = .tooManyFaults
            mode = .ended
        }
        return fault
    }

    /// Reports a fault of syntax and finds the place to go on from, if there is one.
    mutating func recover(from error: JSONError) -> RecordFault {
        let bytes = reader.bytes
        var next = bytes.count
        if mode == .lines {
            for index in elementStart..<bytes.count where bytes[index] == 0x0a {
                if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "{") {
                    next = index + 1
                    break
                }
            }
        } else {
            mode = .ended
        }
        reader = JSONReader(bytes, from: next)
        return report(.syntax, json: error)
    }

    /// Notes a fault within the present element; the first one stays.
    @inline(never)
    mutating func note(_ code: RecordFault.Code, _ field: StaticString) {
        if fault == nil { fault = RecordFault(code, field: field) }
    }
}

// MARK: - Fields

extension JSONRecords {
    /// Reads a name (1 to 256 bytes of UTF-8 without control characters) as a view into the record, or into the
    /// scratch where it is written with escapes. Empty if it is null or at fault.
    @inline(__always)
    mutating func name(_ field: StaticString, slot: Int) throws(JSONError) -> UnsafeRawBufferPointer {
        if reader.peek() == UInt8(ascii: "\"") {
            let string = try reader.readString()
            if !string.mayHoldControls, string.rawCount &- 1 < TextScratch.nameBytesMax, string.rawCount > 0 {
                return reader.raw(string)
            }
            return unusualName(string, field, slot: slot)
        }
        return try nameBehindSpace(field, slot: slot)
    }

    @inline(never)
    private mutating func nameBehindSpace(
        _ field: StaticString, slot: Int
    ) throws(JSONError) -> UnsafeRawBufferPointer {
        switch reader.peekKind() {
        case .string: return unusualName(try reader.readString(), field, slot: slot)
        case .null: try reader.readNull()
        default:
            try reader.skipValue()
            note(.notAString, field)
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Checks a name, decoding it into its slot where it has escapes.
    @inline(never)
    mutating func unusualName(_ string: JSONString, _ field: StaticString, slot: Int) -> UnsafeRawBufferPointer {
        var name = reader.raw(string)
        if string.hasEscapes {
            let room = scratch.slot(slot)
            do throws(JSONError) {
                let count = try reader.decode(string, into: room)
                name = UnsafeRawBufferPointer(rebasing: room[..<count])
            } catch {
                note(error.code == .loneSurrogate ? .halfCharacter : .nameTooLong, field)
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
        }
        if name.isEmpty {
            note(.emptyName, field)
        } else if name.count > TextScratch.nameBytesMax {
            note(.nameTooLong, field)
        } else if string.mayHoldControls, UTF8Text.holdsControls(name) {
            note(.controlCharacter, field)
        } else {
            return name
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Reads free text, cut to 1024 bytes of whole characters. Empty if it is null or at fault.
    mutating func text(_ field: StaticString) throws(JSONError) -> UnsafeRawBufferPointer {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        switch reader.peekKind() {
        case .string: break
        case .null:
            try reader.readNull()
            return none
        default:
            try reader.skipValue()
            note(.notAString, field)
            return none
        }
        let string = try reader.readString()
        guard string.hasEscapes else {
            return UTF8Text.prefix(reader.raw(string), bytesMax: TextScratch.textBytesMax)
        }
        let room = scratch.text
        guard let count = try? reader.decodePrefix(string, into: room) else {
            note(.halfCharacter, field)
            return none
        }
        return UnsafeRawBufferPointer(rebasing: room[..<count])
    }

    /// Reads a finite number; nil if it is null or at fault.
    @inline(__always)
    mutating func number(_ field: StaticString) throws(JSONError) -> Double? {
        switch reader.peekKind() {
        case .number:
            let number = try reader.scanNumber()
            if let value = reader.double(number) { return value }
            note(.notANumber, field)
        case .null: try reader.readNull()
        default:
            try reader.skipValue()
            note(.notANumber, field)
        }
        return nil
    }

    /// Reads a 64-bit integer; nil if it is null or at fault.
    mutating func integer(_ field: StaticString) throws(JSONError) -> Int64? {
        switch reader.peekKind() {
        case .number:
            let number = try reader.scanNumber()
            if let value = reader.integer(number) { return value }
            note(.notAnInteger, field)
        case .null: try reader.readNull()
        default:
            try reader.skipValue()
            note(.notAnInteger, field)
        }
        return nil
    }

    /// Reads true or false; nil if it is null or at fault.
    mutating func bool(_ field: StaticString) throws(JSONError) -> Bool? {
        switch reader.peekKind() {
        case .bool: return try reader.readBool()
        case .null: try reader.readNull()
        default:
            try reader.skipValue()
            note(.notABool, field)
        }
        return nil
    }

    /// Reads an object's place, its syntax checked; nil if it is null or no object.
    mutating func object(_ field: StaticString) throws(JSONError) -> Range<Int>? {
        switch reader.peekKind() {
        case .object: return try reader.skipValue()
        case .null: try reader.readNull()
        default:
            try reader.skipValue()
            note(.notAnObject, field)
        }
        return nil
    }
}

/// A time stamp as read: a plausible moment, none, or the reason why not.
enum ReadTime {
    case absent
    case moment(EventTime)
    case fault(RecordFault.Code)
}

extension JSONRecords {
    /// Below this a number means seconds, from it on milliseconds: 1e11 s is the year 5138, 1e11 ms is 1973.
    static let secondsBelow = 1e11

    /// Reads a moment: ISO 8601 text, or a number of seconds or milliseconds since the epoch.
    @inline(__always)
    mutating func time(_ field: StaticString) throws(JSONError) -> ReadTime {
        switch reader.peekKind() {
        case .string:
            let string = try reader.readString()
            return string.hasEscapes ? escapedTime(string, field) : Self.judge(ISO8601.parse(reader.raw(string)))
        case .number:
            let number = try reader.scanNumber()
            guard let value = reader.double(number) else {
                note(.notANumber, field)
                return .fault(.notAMoment)
            }
            return Self.judge(Self.moment(value))
        case .null:
            try reader.readNull()
            return .absent
        default:
            try reader.skipValue()
            note(.notAMoment, field)
            return .fault(.notAMoment)
        }
    }

    @inline(never)
    private mutating func escapedTime(_ string: JSONString, _ field: StaticString) -> ReadTime {
        let room = scratch.text
        do throws(JSONError) {
            let count = try reader.decode(string, into: room)
            return Self.judge(ISO8601.parse(UnsafeRawBufferPointer(rebasing: room[..<count])))
        } catch {
            if error.code == .loneSurrogate { note(.halfCharacter, field) }
            return .fault(.notAMoment)
        }
    }

    /// The moment that a bare number means, to the nearest millisecond.
    static func moment(_ number: Double) -> EventTime {
        let milliseconds = number < secondsBelow ? number * 1_000 : number
        // Far beyond what is plausible, and far within an Int64.
        guard milliseconds.magnitude < 1e15 else { return .distantFuture }
        return EventTime(milliseconds: Int64(milliseconds.rounded()))
    }

    @inline(__always)
    private static func judge(_ time: EventTime?) -> ReadTime {
        guard let time else { return .fault(.notAMoment) }
        return EventTime.plausible.contains(time) ? .moment(time) : .fault(.implausibleTime)
    }

    /// The moment, noting as a fault of the element why there is none.
    mutating func require(_ time: ReadTime, _ field: StaticString) -> EventTime? {
        switch time {
        case .moment(let moment): return moment
        case .absent: note(.missingField, field)
        case .fault(let code): note(code, field)
        }
        return nil
    }
}
