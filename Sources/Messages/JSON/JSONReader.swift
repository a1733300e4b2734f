/// A cursor over JSON text (RFC 8259) that someone else owns: nothing is copied, nothing is allocated.
///
/// The caller asks for what it expects (`enterObject`, `nextKey`, `readDouble`, …) and skips what it does not know.
/// The reader is strict about every byte it passes, skipped values included: UTF-8, escapes, numbers and commas are
/// checked, so a text that was walked to its end and closed by `expectEnd` is JSON. Foundation's `JSONDecoder` is
/// laxer where it does not look (skipped values, a comma before a closing bracket); on JSON the two agree.
///
/// A misuse (a value read twice, a key not followed by its value) ends in an error like any other, never in a crash.
package struct JSONReader: BitwiseCopyable {
    /// How deep containers may nest unless the caller says otherwise; bounds the work a hostile text can cause.
    package static let depthMax = 32

    /// The text.
    package let bytes: UnsafeRawBufferPointer
    /// The byte that is looked at next.
    package internal(set) var position: Int
    let end: Int
    private var depth: Int
    private let depthLimit: Int
    /// True behind a value, where only a comma or the end of the container may follow.
    var isBehindValue: Bool

    /// A reader at the first byte. `depthMax` is at most 64.
    package init(_ bytes: UnsafeRawBufferPointer, depthMax: Int = JSONReader.depthMax) {
        self.init(bytes, from: 0, depthMax: depthMax)
    }

    /// A reader that starts in the middle, so that its offsets are those of the whole text.
    init(_ bytes: UnsafeRawBufferPointer, from position: Int, depthMax: Int = JSONReader.depthMax) {
        self.bytes = bytes
        self.position = position
        end = bytes.count
        depth = 0
        depthLimit = min(depthMax, 64)
        isBehindValue = false
    }

    /// What kind of value starts at the next byte that is not white space.
    package enum Kind: UInt8, Sendable, BitwiseCopyable {
        case object, array, string, number, bool, null
        /// No value starts here: the text ends, or is broken.
        case none
    }

    /// Looks at the next value without passing it.
    package mutating func peekKind() -> Kind {
        skipWhitespace()
        switch peek() {
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        default: return .none
        }
    }

    /// The next byte, or zero at the end; zero itself is legal nowhere in JSON.
    @inline(__always) func peek() -> UInt8 { position < end ? bytes[position] : 0 }

    /// Passes blanks, tabs and line ends.
    @inline(__always) package mutating func skipWhitespace() {
        while position < end {
            let byte = bytes[position]
            if byte > 0x20 { return }
            guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return }
            position &+= 1
        }
    }

    /// The error for a byte that fits nothing here.
    @inline(never) func unexpected() -> JSONError {
        JSONError(position < end ? .unexpectedCharacter : .unexpectedEnd, at: position)
    }
}

// MARK: - Containers

extension JSONReader {
    /// Passes `{`; the keys follow by `nextKey`.
    @inline(__always) package mutating func enterObject() throws(JSONError) { try enter(UInt8(ascii: "{")) }

    /// Passes `[`; the elements follow by `nextElement`.
    @inline(__always) package mutating func enterArray() throws(JSONError) { try enter(UInt8(ascii: "[")) }

    @inline(__always) private mutating func enter(_ bracket: UInt8) throws(JSONError) {
        skipWhitespace()
        guard peek() == bracket, !isBehindValue else { throw unexpected() }
        guard depth < depthLimit else { throw JSONError(.tooDeep, at: position) }
        position &+= 1
        depth &+= 1
        isBehindValue = false
    }

    /// The next key of the object that was entered, with its colon passed; nil when the object has ended.
    @inline(__always) package mutating func nextKey() throws(JSONError) -> JSONString? {
        guard try advance(to: UInt8(ascii: "}")) else { return nil }
        let key = try readString()
        if peek() != UInt8(ascii: ":") {
            skipWhitespace()
            guard peek() == UInt8(ascii: ":") else { throw unexpected() }
        }
        position &+= 1
        isBehindValue = false
        return key
    }

    /// True if the array that was entered has another element, which must now be read; false when it has ended.
    @inline(__always) package mutating func nextElement() throws(JSONError) -> Bool {
        try advance(to: UInt8(ascii: "]"))
    }

    /// Passes the comma before the next member, if one is due; false if the container's end was passed instead.
    @inline(__always) private mutating func advance(to closing: UInt8) throws(JSONError) -> Bool {
        skipWhitespace()
        let byte = peek()
        if byte == closing {
            guard depth > 0 else { throw unexpected() }
            position &+= 1
            depth &-= 1
            isBehindValue = true
            return false
        }
        if isBehindValue {
            guard byte == UInt8(ascii: ",") else { throw unexpected() }
            position &+= 1
            isBehindValue = false
            skipWhitespace()
            // A comma promises another member.
            guard peek() != closing else { throw unexpected() }
        }
        guard position < end else { throw unexpected() }
        return true
    }

    /// Checks that nothing but white space follows.
    package mutating func expectEnd() throws(JSONError) {
        skipWhitespace()
        guard position == end else { throw unexpected() }
    }
}

// MARK: - Scalars and skipping

extension JSONReader {
    /// Reads `true` or `false`.
    package mutating func readBool() throws(JSONError) -> Bool {
        skipWhitespace()
        if peek() == UInt8(ascii: "t") {
            try passLiteral("true")
            return true
        }
        try passLiteral("false")
        return false
    }

    /// Reads `null`.
    package mutating func readNull() throws(JSONError) {
        skipWhitespace()
        try passLiteral("null")
    }

    private mutating func passLiteral(_ literal: StaticString) throws(JSONError) {
        let length = literal.utf8CodeUnitCount
        guard !isBehindValue, peek() == literal.utf8Start[0] else { throw unexpected() }
        guard end - position >= length else { throw JSONError(.invalidLiteral, at: position) }
        for index in 0..<length where bytes[position + index] != literal.utf8Start[index] {
            throw JSONError(.invalidLiteral, at: position)
        }
        position += length
        isBehindValue = true
    }

    /// Passes one value of any kind, checking its syntax; returns where it stood.
    @discardableResult
    package mutating func skipValue() throws(JSONError) -> Range<Int> {
        skipWhitespace()
        let start = position
        switch peek() {
        case UInt8(ascii: "\""): _ = try readString()
        case UInt8(ascii: "{"), UInt8(ascii: "["): try skipContainer()
        case UInt8(ascii: "t"), UInt8(ascii: "f"): _ = try readBool()
        case UInt8(ascii: "n"): try readNull()
        default: _ = try scanNumber()
        }
        return start..<position
    }

    /// Passes a container without recursion: one bit per level says whether it is an object.
    private mutating func skipContainer() throws(JSONError) {
        let outer = depth
        var isObject: UInt64 = 0
        while true {
            // Here a value is due.
            switch peekKind() {
            case .object:
                try enterObject()
                isObject |= 1 << UInt64(depth - 1)
            case .array:
                try enterArray()
                isObject &= ~(1 << UInt64(depth - 1))
            case .none: throw unexpected()
            default: try skipValue()
            }
            // Leave the containers that end here.
            while depth > outer {
                let more = isObject & (1 << UInt64(depth - 1)) != 0 ? try nextKey() != nil : try nextElement()
                if more { break }
            }
            if depth == outer { return }
        }
    }
}
