/// The tags or labels of one sample as they stand in the record: checked, not yet decoded. Equal bytes are equal
/// tags, so a stage that has seen these bytes before need not walk them.
package struct TagList: BitwiseCopyable {
    /// The most entries.
    package static let entriesMax = 64

    /// The object's text, braces included; empty without tags.
    package var raw: UnsafeRawBufferPointer
    /// The number of entries as written, repeated names included.
    package var count: Int

    /// No tags.
    package static var none: TagList { TagList(raw: UnsafeRawBufferPointer(start: nil, count: 0), count: 0) }

    /// Calls back with each name and value, decoded; the views live during the call. Of a repeated name the first
    /// counts, as everywhere.
    package func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        guard count > 0 else { return }
        let size = TextScratch.nameBytesMax
        withUnsafeTemporaryAllocation(byteCount: 3 * size, alignment: 1) { room in
            let nameRoom = UnsafeMutableRawBufferPointer(rebasing: room[..<size])
            let valueRoom = UnsafeMutableRawBufferPointer(rebasing: room[size..<2 * size])
            let otherRoom = UnsafeMutableRawBufferPointer(rebasing: room[(2 * size)...])
            var reader = JSONReader(raw)
            guard (try? reader.enterObject()) != nil else { return }
            while let key = try? reader.nextKey() {
                guard reader.peekKind() == .string else {
                    // Only a repeated name can have another kind of value.
                    guard (try? reader.skipValue()) != nil else { return }
                    continue
                }
                guard let string = try? reader.readString() else { return }
                guard let name = reader.view(key, in: nameRoom), let value = reader.view(string, in: valueRoom),
                    !isRepeated(name, before: key.start, room: otherRoom)
                else { continue }
                body(name, value)
            }
        }
    }

    /// Whether an entry before `position` has this name.
    func isRepeated(
        _ name: UnsafeRawBufferPointer, before position: Int, room: UnsafeMutableRawBufferPointer
    ) -> Bool {
        var reader = JSONReader(raw)
        guard (try? reader.enterObject()) != nil else { return false }
        while let key = try? reader.nextKey(), key.start < position {
            if let other = reader.view(key, in: room), other.elementsEqual(name) { return true }
            guard (try? reader.skipValue()) != nil else { return false }
        }
        return false
    }
}

extension JSONReader {
    /// A string's bytes: where they stand, or decoded into `room`; nil if they do not fit or cannot be decoded.
    func view(_ string: JSONString, in room: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard string.hasEscapes else { return raw(string) }
        guard let count = try? decode(string, into: room) else { return nil }
        return UnsafeRawBufferPointer(rebasing: room[..<count])
    }
}

extension JSONRecords {
    /// Reads an object of strings: names as everywhere, values of at most 256 bytes which may be empty.
    mutating func tags(_ field: StaticString, slot: Int) throws(JSONError) -> TagList {
        guard reader.peekKind() == .object else {
            _ = try object(field)
            return .none
        }
        let start = reader.position
        var count = 0
        try reader.enterObject()
        while let key = try reader.nextKey() {
            count += 1
            if count > TagList.entriesMax {
                try reader.skipValue()
                continue
            }
            if reader.peekKind() == .string {
                let value = try reader.readString()
                let isPlain = !key.mayHoldControls && !value.mayHoldControls
                if isPlain, key.rawCount > 0, key.rawCount <= TextScratch.nameBytesMax,
                    value.rawCount <= TextScratch.nameBytesMax
                {
                    continue
                }
                if isRepeated(key, from: start) { continue }
                _ = unusualName(key, field, slot: slot)
                if value.rawCount > 0 { _ = unusualName(value, field, slot: slot) }
            } else {
                try reader.skipValue()
                if !isRepeated(key, from: start) { note(.tagNotAString, field) }
            }
        }
        if count > TagList.entriesMax { note(.tooManyTags, field) }
        let raw = UnsafeRawBufferPointer(rebasing: reader.bytes[start..<reader.position])
        return TagList(raw: raw, count: count)
    }

    /// Whether an odd entry repeats an earlier name of the object at `start`, so that it does not count. Looked at
    /// only where it matters, and only within the bound of entries.
    @inline(never)
    private func isRepeated(_ key: JSONString, from start: Int) -> Bool {
        let size = TextScratch.nameBytesMax
        return withUnsafeTemporaryAllocation(byteCount: 2 * size, alignment: 1) { room in
            let first = UnsafeMutableRawBufferPointer(rebasing: room[..<size])
            let second = UnsafeMutableRawBufferPointer(rebasing: room[size...])
            guard let name = reader.view(key, in: first) else { return false }
            let prefix = TagList(
                raw: UnsafeRawBufferPointer(rebasing: reader.bytes[start..<reader.position]), count: 0)
            return prefix.isRepeated(name, before: key.start - start, room: second)
        }
    }
}
