import Messages

/// Class and tags of a resource, as the text of a `tags` entry says them, in names of the task. Every stage that wants
/// them reads them here, so that all of them understand the same.
package struct IdentityText {
    /// 0 if the text does not say it.
    package private(set) var className: NameID = 0
    /// Nil if the text does not say them: they are what they were. A tag without a value is none.
    package private(set) var tags: [(key: NameID, value: NameID)]?
    /// Tags that found no room in the task's names, or are more than `tagsMax`.
    package private(set) var refused = 0

    /// The most tags that are read.
    package static let tagsMax = 64

    /// Nil if the text is no JSON object.
    package init?(_ text: UnsafeRawBufferPointer, names: NameTable) {
        do throws(JSONError) {
            var reader = JSONReader(text)
            try reader.enterObject()
            while let key = try reader.nextKey() {
                if reader.peekKind() == .string, reader.matches(key, "class") {
                    className = try Self.name(try reader.readString(), of: reader, names) ?? 0
                } else if reader.peekKind() == .object, reader.matches(key, "tags") {
                    try readTags(&reader, names)
                } else {
                    try reader.skipValue()
                }
            }
        } catch { return nil }
    }

    private mutating func readTags(_ reader: inout JSONReader, _ names: NameTable) throws(JSONError) {
        var found: [(key: NameID, value: NameID)] = []
        try reader.enterObject()
        while let key = try reader.nextKey() {
            guard reader.peekKind() == .string else {
                try reader.skipValue()
                continue
            }
            let text = try reader.readString()
            if reader.raw(text).isEmpty { continue }
            guard found.count < Self.tagsMax, let key = try Self.name(key, of: reader, names),
                let value = try Self.name(text, of: reader, names)
            else {
                refused += 1
                continue
            }
            found.append((key, value))
        }
        tags = found
    }

    private static func name(
        _ string: JSONString, of reader: JSONReader, _ names: NameTable
    ) throws(JSONError) -> NameID? {
        guard string.hasEscapes else { return names.intern(reader.raw(string)) }
        var bytes: [UInt8] = []
        try reader.decode(string, appendingTo: &bytes)
        return bytes.withUnsafeBytes { names.intern($0) }
    }
}
