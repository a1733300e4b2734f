/// Why bytes are not the JSON that was asked for: a code and the byte where it showed.
package struct JSONError: Error, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    /// What was wrong. Codes up to `tooDeep` are faults of syntax, after which the text cannot be followed further;
    /// the others leave the reader behind the value, so that its caller may go on.
    package enum Code: UInt8, Sendable, BitwiseCopyable {
        case unexpectedEnd
        case unexpectedCharacter
        case invalidLiteral
        case invalidNumber
        case controlCharacter
        case invalidEscape
        case invalidUTF8
        case tooDeep
        /// A number whose nearest double is infinite, or zero although its digits are not; or no 64-bit integer.
        case numberOutOfRange
        /// An escape that names half a character (`"\ud800"`), which no UTF-8 can hold.
        case loneSurrogate
        /// A text longer than the room its caller gave.
        case textTooLong
    }

    package var code: Code
    /// Bytes from the start of what the reader was given.
    package var offset: Int

    package init(_ code: Code, at offset: Int) {
        self.code = code
        self.offset = offset
    }

    /// A short lower-case sentence with the offset.
    package var description: String { "\(code.text) at byte \(offset)" }
}

extension JSONError.Code {
    /// The code in words.
    package var text: String {
        switch self {
        case .unexpectedEnd: "unexpected end of json"
        case .unexpectedCharacter: "unexpected character"
        case .invalidLiteral: "unknown literal"
        case .invalidNumber: "malformed number"
        case .controlCharacter: "control character in a string"
        case .invalidEscape: "malformed escape"
        case .invalidUTF8: "invalid utf-8"
        case .tooDeep: "nesting is too deep"
        case .numberOutOfRange: "number is out of range"
        case .loneSurrogate: "escape of half a character"
        case .textTooLong: "text is too long"
        }
    }
}
