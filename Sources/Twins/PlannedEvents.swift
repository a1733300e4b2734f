import Messages
import StageKit
import TwinCore

/// A planned event that the twins know of.
struct PlannedEvent: Equatable {
    enum Scope: UInt8 { case resource = 1, className = 2, locality = 3, tag = 4 }

    /// 0 marks a free place.
    var id: UInt32 = 0
    var scope: Scope = .resource
    /// Name of the tag's key, where the scope is a tag.
    var key: UInt32 = 0
    /// Name of the value.
    var value: UInt32 = 0
    /// Name of its kind.
    var kind: UInt32 = 0
    var start: Int64 = 0
    var end: Int64 = 0
    var uplift: Float = 1

    /// Whether a twin is in its scope. A key such as `cluster` means a tag, or the locality itself.
    func covers(_ cell: ResourceCell) -> Bool {
        switch scope {
        case .resource: return cell.name == value
        case .className: return cell.className == value
        case .locality: return cell.locality == value
        case .tag:
            for index in 0..<min(Int(cell.tagCount), ResourceCell.tagsMax)
            where cell.tagKeys[index] == key && cell.tagValues[index] == value {
                return true
            }
            return false
        }
    }
}

/// The planned events of a task: at most 64, each with a place that is a bit in the twins' masks.
struct PlannedEvents {
    private(set) var all: [PlannedEvent]

    init(eventsMax: Int) { all = Array(repeating: PlannedEvent(), count: min(max(eventsMax, 1), 64)) }

    /// Takes an event in; returns its place, or nil if there is no room. A known id is replaced.
    mutating func set(_ event: PlannedEvent) -> Int? {
        guard let place = all.firstIndex(where: { $0.id == event.id }) ?? all.firstIndex(where: { $0.id == 0 })
        else { return nil }
        all[place] = event
        return place
    }

    /// Forgets an event; returns its place.
    mutating func remove(id: UInt32) -> Int? {
        guard let place = all.firstIndex(where: { $0.id == id }) else { return nil }
        all[place] = PlannedEvent()
        return place
    }

    /// Forgets events that ended before a moment; returns their places as a mask.
    mutating func removeEnded(before milliseconds: Int64) -> UInt64 {
        var mask: UInt64 = 0
        for place in all.indices where all[place].id != 0 && all[place].end < milliseconds {
            all[place] = PlannedEvent()
            mask |= 1 << UInt64(place)
        }
        return mask
    }

    /// The places of events whose scope a twin is in.
    func mask(of cell: ResourceCell) -> UInt64 {
        var mask: UInt64 = 0
        for place in all.indices where all[place].id != 0 && all[place].covers(cell) { mask |= 1 << UInt64(place) }
        return mask
    }

    /// Those of `mask` that are in force at a moment, and the product of what they announce, each set right by what a
    /// series learned of its kind.
    @inline(never)
    func active(
        in mask: UInt64, at milliseconds: Int64, learned: UnsafePointer<EventMemory>?
    ) -> (mask: UInt64, announced: Float) {
        var active: UInt64 = 0
        var announced: Float = 1
        var rest = mask
        while rest != 0 {
            let place = rest.trailingZeroBitCount
            rest &= rest &- 1
            guard place < all.count, all[place].id != 0 else { continue }
            if all[place].start <= milliseconds && milliseconds < all[place].end {
                active |= 1 << UInt64(place)
                announced *= all[place].uplift
                if let learned { announced *= learned.pointee.correction(of: all[place].kind) }
            }
        }
        return (active, min(announced, 1_000))
    }

    /// The event at the only place of a mask; nil if there is none or there are several.
    func only(in mask: UInt64) -> PlannedEvent? {
        guard mask.nonzeroBitCount == 1, mask.trailingZeroBitCount < all.count else { return nil }
        return all[mask.trailingZeroBitCount]
    }

    func mark(_ names: inout NameMarks) {
        for event in all {
            names.mark(event.id)
            names.mark(event.key)
            names.mark(event.value)
            names.mark(event.kind)
        }
    }

    func encode(into coder: inout StateCoder) {
        coder.write(UInt64(all.count))
        for event in all {
            coder.write(UInt64(event.id) | UInt64(event.scope.rawValue) << 32)
            coder.write(UInt64(event.key) | UInt64(event.value) << 32)
            coder.write(event.start)
            coder.write(event.end)
            coder.write(UInt64(event.uplift.bitPattern) | UInt64(event.kind) << 32)
        }
    }

    mutating func decode(from decoder: inout StateDecoder) throws(StateError) {
        guard try decoder.readCount(max: 64) == all.count else { throw .invalid("another limit of planned events") }
        for place in all.indices {
            let head = try decoder.readWord()
            let names = try decoder.readWord()
            guard let scope = PlannedEvent.Scope(rawValue: UInt8(truncatingIfNeeded: head >> 32)) else {
                throw .invalid("unknown scope of an event")
            }
            let start = try decoder.readInt64()
            let end = try decoder.readInt64()
            let last = try decoder.readWord()
            all[place] = PlannedEvent(
                id: UInt32(truncatingIfNeeded: head), scope: scope, key: UInt32(truncatingIfNeeded: names),
                value: UInt32(truncatingIfNeeded: names >> 32), kind: UInt32(truncatingIfNeeded: last >> 32),
                start: start, end: end, uplift: Float(bitPattern: UInt32(truncatingIfNeeded: last)))
        }
    }
}
