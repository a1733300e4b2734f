import Messages

/// Text that is safe on a terminal, from bytes of anybody: broken UTF-8 becomes U+FFFD; controls, escape sequences,
/// what turns the direction of writing and what shows as nothing become `\u{…}`; line ends become a blank.
func printable(_ bytes: UnsafeRawBufferPointer, bytesMax: Int = 2_000) -> String {
    var text = ""
    for scalar in String(decoding: bytes.prefix(bytesMax), as: UTF8.self).unicodeScalars {
        switch scalar.value {
        case 0x09, 0x0a, 0x0d: text.unicodeScalars.append(" ")
        case 0..<0x20, 0x7f..<0xa0, 0x2028...0x202e:
            text += "\\u{\(String(scalar.value, radix: 16))}"
        case _ where scalar.properties.isDefaultIgnorableCodePoint:
            text += "\\u{\(String(scalar.value, radix: 16))}"
        default: text.unicodeScalars.append(scalar)
        }
    }
    if bytes.count > bytesMax { text += "… (\(bytes.count) bytes)" }
    return text
}

/// The same for text.
func printable(_ text: String, bytesMax: Int = 2_000) -> String {
    var text = text
    return text.withUTF8 { printable(UnsafeRawBufferPointer($0), bytesMax: bytesMax) }
}

/// True if the bytes are one JSON value and nothing else.
func isJSON(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var reader = JSONReader(bytes)
    do {
        try reader.skipValue()
        try reader.expectEnd()
        return true
    } catch { return false }
}

extension JSONWriter {
    /// A value that came from outside: as it is where it is JSON, else as a string. White space between lines is kept
    /// out, so that the result stays on one line.
    mutating func outside(_ bytes: UnsafeRawBufferPointer) {
        guard isJSON(bytes) else { return string(bytes) }
        // In JSON a raw line end can only stand between tokens.
        let line = bytes.map { $0 == 0x0a || $0 == 0x0d ? 0x20 : $0 }
        line.withUnsafeBytes { raw($0) }
    }
}

/// Writes one line to standard output at once, so that a reader behind a pipe sees it.
func printLine(_ text: String) {
    print(text)
}
