import Messages
import StageKit
import TwinCore

/// Reads the members of a JSON object one by one and says what is wrong by the name of the member. Rare texts only
/// (policies, commands): it uses strings freely.
struct ObjectParser: ~Copyable {
    private var reader: JSONReader
    private let names: NameTable
    private var path = ""
    private var key = ""
    private var seen: [[String]] = []
    private var outer: [String] = []

    init(_ text: UnsafeRawBufferPointer, names: NameTable) {
        reader = JSONReader(text, depthMax: 8)
        self.names = names
    }

    /// The member at hand, with those around it: `replicas.min`.
    var place: String { path.isEmpty ? key : "\(path).\(key)" }

    private func malformed(_ error: JSONError) -> ScalingError { ScalingError(.malformed, "not json: \(error)") }

    private func wrongType(_ wanted: StaticString) -> ScalingError {
        ScalingError(.wrongType, place.isEmpty ? "must be \(wanted)" : "'\(place)' must be \(wanted)")
    }

    mutating func enter() throws(ScalingError) {
        guard reader.peekKind() == .object else { throw wrongType("an object") }
        do { try reader.enterObject() } catch { throw malformed(error) }
        outer.append(path)
        if !key.isEmpty { path = place }
        seen.append([])
    }

    /// The next member's key; nil when the object has ended.
    mutating func next() throws(ScalingError) -> String? {
        do {
            guard let raw = try reader.nextKey() else {
                seen.removeLast()
                path = outer.removeLast()
                key = ""
                return nil
            }
            var bytes: [UInt8] = []
            try reader.decode(raw, appendingTo: &bytes)
            key = String(decoding: bytes.prefix(256), as: UTF8.self)
        } catch { throw malformed(error) }
        let level = seen.count - 1
        if seen[level].contains(key) { throw ScalingError(.repeatedKey, "'\(place)' stands twice") }
        guard seen[level].count < 64 else { throw ScalingError(.limit, "'\(place)' is the 65th member of its object") }
        seen[level].append(key)
        return key
    }

    func unknown() -> ScalingError { ScalingError(.unknownKey, "unknown key '\(place)'") }

    mutating func end() throws(ScalingError) {
        do { try reader.expectEnd() } catch { throw malformed(error) }
    }

    mutating func skip() throws(ScalingError) {
        do { try reader.skipValue() } catch { throw malformed(error) }
    }

    /// A number within a range.
    mutating func number(_ range: ClosedRange<Double>) throws(ScalingError) -> Double {
        guard reader.peekKind() == .number else { throw wrongType("a number") }
        let value: Double
        do { value = try reader.readDouble() } catch { throw malformed(error) }
        guard range.contains(value) else {
            throw ScalingError(
                .outOfRange, "'\(place)' must be between \(short(range.lowerBound)) and \(short(range.upperBound))")
        }
        return value
    }

    /// A whole number within a range.
    mutating func integer(_ range: ClosedRange<Int64>) throws(ScalingError) -> Int64 {
        let value = try number(Double(range.lowerBound)...Double(range.upperBound))
        guard value == value.rounded() else { throw wrongType("a whole number") }
        return Int64(value)
    }

    /// A text of at most `bytesMax` bytes.
    mutating func text(bytesMax: Int = 256) throws(ScalingError) -> [UInt8] {
        guard reader.peekKind() == .string else { throw wrongType("a string") }
        var bytes: [UInt8] = []
        do {
            let raw = try reader.readString()
            try reader.decode(raw, appendingTo: &bytes)
        } catch { throw malformed(error) }
        guard bytes.count <= bytesMax else { throw ScalingError(.limit, "'\(place)' is longer than \(bytesMax) bytes") }
        return bytes
    }

    /// A text that is a name of the task.
    mutating func name() throws(ScalingError) -> NameID {
        let bytes = try text()
        guard !bytes.isEmpty else { throw ScalingError(.outOfRange, "'\(place)' is empty") }
        return try intern(bytes)
    }

    /// The number of the key at hand.
    func keyName() throws(ScalingError) -> NameID { try intern(Array(key.utf8)) }

    private func intern(_ bytes: [UInt8]) throws(ScalingError) -> NameID {
        guard let name = bytes.withUnsafeBytes({ names.intern($0) }) else {
            throw ScalingError(.limit, "'\(place)': the task's table of names is full")
        }
        return name
    }

    /// One of a few words.
    mutating func word<T: CaseIterable>(_ spell: (T) -> String) throws(ScalingError) -> T {
        let bytes = try text()
        let found = String(decoding: bytes, as: UTF8.self)
        for candidate in T.allCases where spell(candidate) == found { return candidate }
        let allowed = T.allCases.map(spell).joined(separator: ", ")
        throw ScalingError(.outOfRange, "'\(place)' is '\(found)' but must be one of \(allowed)")
    }

    /// A moment: RFC 3339, or seconds (milliseconds from 10^11 on) since the epoch. Null is none.
    mutating func time() throws(ScalingError) -> EventTime? {
        switch reader.peekKind() {
        case .null:
            try skip()
            return nil
        case .number:
            let value = try number(0...1e15)
            let milliseconds = value < 1e11 ? value * 1_000 : value
            return EventTime(milliseconds: Int64(milliseconds))
        default:
            let bytes = try text()
            guard let time = bytes.withUnsafeBytes({ ISO8601.parse($0) }) else {
                throw ScalingError(.wrongType, "'\(place)' must be a time such as 2026-11-24T12:00:00Z")
            }
            return time
        }
    }
}
