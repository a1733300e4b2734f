/// Resources that are known to live in another partition, and as of when. Their entries are dropped here, and only word
/// that is not older brings one back.
package struct Departures {
    /// By name number: event time in milliseconds, or `none`.
    private var times: [Int64] = []
    private var count = 0
    private static let none = Int64.min

    package init() {}

    /// Whether a resource is known to live elsewhere.
    @inline(__always)
    package func contains(_ name: NameID) -> Bool { Int(name) < times.count && times[Int(name)] != Self.none }

    /// Whether word as of a moment that a resource lives here is to be believed.
    package func admits(_ name: NameID, at time: Int64) -> Bool { !contains(name) || time >= times[Int(name)] }

    /// Notes that a resource lives elsewhere as of a moment.
    package mutating func note(_ name: NameID, at time: Int64) {
        if Int(name) >= times.count {
            times.append(contentsOf: repeatElement(Self.none, count: max(Int(name) + 1, 1_024) - times.count))
        }
        if times[Int(name)] == Self.none { count += 1 }
        times[Int(name)] = max(times[Int(name)], time, Self.none + 1)
    }

    /// The resource lives here again.
    package mutating func remove(_ name: NameID) {
        guard contains(name) else { return }
        times[Int(name)] = Self.none
        count -= 1
    }

    /// Forgets those that were noted before a moment.
    package mutating func forget(before moment: Int64) {
        for index in times.indices where times[index] != Self.none && times[index] < moment { remove(NameID(index)) }
    }

    /// Marks the names of those that are noted.
    package func mark(_ names: inout NameMarks) {
        for index in times.indices where times[index] != Self.none { names.mark(NameID(index)) }
    }

    /// Writes what is noted.
    package func encode(into coder: inout StateCoder) {
        coder.write(UInt64(count))
        for index in times.indices where times[index] != Self.none {
            coder.write(UInt64(index))
            coder.write(times[index])
        }
    }

    /// Reads it back.
    package mutating func decode(from decoder: inout StateDecoder, namesMax: Int) throws(StateError) {
        for _ in 0..<(try decoder.readCount(max: namesMax)) {
            let name = try decoder.readCount(max: namesMax)
            note(NameID(name), at: try decoder.readInt64())
        }
    }
}
