import TwinCore

/// What a frame says about itself before its entries.
package struct FrameHeader: Equatable, Sendable {
    /// The task that wrote it.
    package var sender: TaskID
    /// The sender's incarnation; higher ones fence lower ones.
    package var incarnation: UInt64
    /// Sequences of the first and the last entry; both `.none` in a pure heartbeat.
    package var first: Sequence
    package var last: Sequence
    /// The last entry before `first` from this sender to this partition; `.none` if there was none.
    package var previous: Sequence
    /// The last entry to this partition that the sender took as said before it began to speak: by a former incarnation,
    /// or by itself and committed. `.none` if there was none.
    package var settled: Sequence

    package init(
        sender: TaskID, incarnation: UInt64, first: Sequence, last: Sequence, previous: Sequence,
        settled: Sequence = .none
    ) {
        self.sender = sender
        self.incarnation = incarnation
        self.first = first
        self.last = last
        self.previous = previous
        self.settled = settled
    }
}

/// A sender's word that it has consumed all event time before `watermark`. Not numbered: it only moves a maximum.
package struct Heartbeat: Equatable, Sendable {
    package var watermark: EventTime
    /// Caught up with an inbox that has nothing to say about time; does not hold anybody back.
    package var isIdle: Bool
    /// All senders of heartbeats in the topology; a receiver waits for every one of them.
    package var senders: [TaskID]

    package init(watermark: EventTime, isIdle: Bool, senders: [TaskID]) {
        self.watermark = watermark
        self.isIdle = isIdle
        self.senders = senders
    }
}

/// Field numbers of `topics/schemas/frame.proto`.
enum FrameField {
    static let sender = 1, incarnation = 2, firstOffset = 3, firstIndex = 4, lastOffset = 5, lastIndex = 6
    static let previousOffset = 7, previousIndex = 8, names = 9, kinds = 10, offsets = 11, columns = 12
    static let heartbeat = 13, version = 14, acceptsGap = 15
    static let settledOffset = 16, settledIndex = 17

    static let columnKind = 1, columnCount = 2, resources = 3, objects = 4, times = 5, values = 6, codes = 7
    static let numbers = 8, width = 9, texts = 10

    static let watermark = 1, idle = 2, senders = 3

    /// The version of the frame format that this build writes, and the highest it reads.
    static let currentVersion: UInt64 = 1
}

/// The columns of one kind while a frame is open.
struct ColumnWriter: ~Copyable {
    var count = 0
    /// Floats per entry; fixed by the first entry of the frame.
    var width = 0
    var lastTime: Int64 = 0
    var hasResources = false, hasObjects = false, hasTimes = false
    var hasValues = false, hasCodes = false, hasTexts = false
    var resources = ByteBuffer(), objects = ByteBuffer(), times = ByteBuffer(), values = ByteBuffer()
    var codes = ByteBuffer(), numbers = ByteBuffer(), texts = ByteBuffer()

    mutating func append(_ entry: Entry, resource: UInt32, object: UInt32) {
        count &+= 1
        resources.appendVarint(UInt64(resource))
        objects.appendVarint(UInt64(object))
        times.appendZigzag(entry.time.milliseconds &- lastTime)
        lastTime = entry.time.milliseconds
        values.appendFixed(entry.value.bitPattern)
        codes.appendVarint(UInt64(entry.code))
        numbers.append(entry.numbers.bytes)
        texts.appendVarint(UInt64(FrameField.texts << 3 | 2))
        texts.appendVarint(UInt64(entry.text.count))
        texts.append(entry.text)
        hasResources = hasResources || resource != 0
        hasObjects = hasObjects || object != 0
        hasTimes = hasTimes || entry.time.milliseconds != 0
        hasValues = hasValues || entry.value.bitPattern != 0
        hasCodes = hasCodes || entry.code != 0
        hasTexts = hasTexts || entry.text.count > 0
    }

    mutating func removeAll() {
        count = 0
        width = 0
        lastTime = 0
        hasResources = false
        hasObjects = false
        hasTimes = false
        hasValues = false
        hasCodes = false
        hasTexts = false
        resources.removeAll()
        objects.removeAll()
        times.removeAll()
        values.removeAll()
        codes.removeAll()
        numbers.removeAll()
        texts.removeAll()
    }

    /// Columns in which every entry has the default are left out.
    func encode(kind: Int, into out: inout ByteBuffer) {
        out.appendVarint(UInt64(FrameField.columnKind << 3))
        out.appendVarint(UInt64(kind))
        out.appendVarint(UInt64(FrameField.columnCount << 3))
        out.appendVarint(UInt64(count))
        if hasResources { out.appendField(FrameField.resources, resources.bytes) }
        if hasObjects { out.appendField(FrameField.objects, objects.bytes) }
        if hasTimes { out.appendField(FrameField.times, times.bytes) }
        if hasValues { out.appendField(FrameField.values, values.bytes) }
        if hasCodes { out.appendField(FrameField.codes, codes.bytes) }
        if width > 0 {
            out.appendField(FrameField.numbers, numbers.bytes)
            out.appendVarint(UInt64(FrameField.width << 3))
            out.appendVarint(UInt64(width))
        }
        if hasTexts { out.append(texts.bytes) }
    }

    var byteCount: Int {
        resources.count &+ objects.count &+ times.count &+ values.count &+ codes.count &+ numbers.count &+ texts.count
    }
}

extension ByteBuffer {
    /// A length-delimited field.
    package mutating func appendField(_ field: Int, _ payload: UnsafeRawBufferPointer) {
        appendVarint(UInt64(field << 3 | 2))
        appendVarint(UInt64(payload.count))
        append(payload)
    }

    /// A varint field.
    package mutating func appendField(_ field: Int, varint value: UInt64) {
        appendVarint(UInt64(field << 3))
        appendVarint(value)
    }
}

/// The open frame to one destination partition. Entries are appended in sequence; `finish` writes the Protobuf bytes
/// and leaves the writer empty for the next frame.
package struct FrameWriter: ~Copyable {
    /// Entries in the open frame.
    package private(set) var count = 0
    private var names = ByteBuffer()
    private var namesCount: UInt32 = 0
    /// Dictionary of the open frame: open addressing, key = name number + 1, beside it the index in the frame + 1.
    private var slots: [UInt64]
    private var kinds = ByteBuffer()
    private var offsets = ByteBuffer()
    private var columns: UnsafeMutablePointer<ColumnWriter>
    private var columnsUsed: UInt32 = 0
    private var scratch = ByteBuffer()
    private var bytesWritten = 0
    private var first = Sequence.none
    private var last = Sequence.none
    private var previous = Sequence.none

    private static let kindsMax = 16

    package init() {
        slots = Array(repeating: 0, count: 64)
        columns = .allocate(capacity: Self.kindsMax)
        for kind in 0..<Self.kindsMax { (columns + kind).initialize(to: ColumnWriter()) }
    }

    deinit {
        columns.deinitialize(count: Self.kindsMax)
        columns.deallocate()
    }

    /// About how many bytes the frame would have if it were finished now.
    package var byteCount: Int { bytesWritten &+ names.count &+ kinds.count &+ offsets.count &+ 64 }

    /// True if an entry with so many floats can join the open frame: within a frame, the entries of a kind have
    /// equally many.
    package func accepts(_ kind: EntryKind, width: Int) -> Bool {
        let column = columns + Int(kind.rawValue)
        return column.pointee.count == 0 || column.pointee.width == width
    }

    /// Appends one entry.
    /// - Parameters:
    ///   - entry: its resource and object are numbers of `table`, 0 for none.
    ///   - sequence: above that of the entry before it.
    ///   - previous: the last sequence to this destination before this entry.
    package mutating func append(
        _ entry: Entry, sequence: Sequence, previous: Sequence, nameBytes: (UInt32) -> UnsafeRawBufferPointer
    ) {
        if count == 0 {
            first = sequence
            self.previous = previous
            offsets.appendVarint(0)
        } else {
            offsets.appendVarint(UInt64(bitPattern: sequence.offset &- last.offset))
        }
        last = sequence
        count &+= 1
        kinds.append(entry.kind.rawValue)
        let resource = entry.resource == 0 ? 0 : index(of: entry.resource, nameBytes)
        let object = entry.object == 0 ? 0 : index(of: entry.object, nameBytes)
        let column = columns + Int(entry.kind.rawValue)
        if column.pointee.count == 0 {
            column.pointee.width = entry.numbers.count
            columnsUsed |= 1 << UInt32(entry.kind.rawValue)
        }
        let before = column.pointee.byteCount
        column.pointee.append(entry, resource: resource, object: object)
        bytesWritten &+= column.pointee.byteCount &- before
    }

    /// The index (from 1) of a name in the open frame's dictionary.
    private mutating func index(of name: UInt32, _ nameBytes: (UInt32) -> UnsafeRawBufferPointer) -> UInt32 {
        let key = UInt64(name) + 1
        var mask = slots.count &- 1
        var slot = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> 32) & mask
        while slots[slot] != 0 {
            if slots[slot] &>> 32 == key { return UInt32(truncatingIfNeeded: slots[slot]) }
            slot = (slot &+ 1) & mask
        }
        if Int(namesCount) &* 2 >= slots.count {
            growSlots()
            mask = slots.count &- 1
            slot = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> 32) & mask
            while slots[slot] != 0 { slot = (slot &+ 1) & mask }
        }
        namesCount &+= 1
        slots[slot] = key << 32 | UInt64(namesCount)
        names.appendField(FrameField.names, nameBytes(name))
        return namesCount
    }

    private mutating func growSlots() {
        let old = slots
        slots = Array(repeating: 0, count: old.count * 2)
        let mask = slots.count - 1
        for entry in old where entry != 0 {
            var slot = Int(truncatingIfNeeded: ((entry >> 32) &* 0x9e37_79b9_7f4a_7c15) &>> 32) & mask
            while slots[slot] != 0 { slot = (slot &+ 1) & mask }
            slots[slot] = entry
        }
    }

    /// Appends the frame's bytes to `out` and empties the writer; with no entries and no heartbeat there is nothing to
    /// write.
    /// - Parameters:
    ///   - lastSent: the last sequence to this destination. A pure heartbeat carries it as `previous`, so that even the
    ///     loss of a sender's last frame shows.
    ///   - settled: the last that was said before the sender began to speak.
    package mutating func finish(
        sender: TaskID, incarnation: UInt64, heartbeat: Heartbeat? = nil, lastSent: Sequence = .none,
        settled: Sequence = .none, into out: inout ByteBuffer
    ) {
        if count == 0 { previous = lastSent }
        Self.encode(
            FrameHeader(
                sender: sender, incarnation: incarnation, first: first, last: last, previous: previous,
                settled: settled),
            into: &out)
        out.append(names.bytes)
        if count > 0 {
            out.appendField(FrameField.kinds, kinds.bytes)
            out.appendField(FrameField.offsets, offsets.bytes)
        }
        for kind in 0..<Self.kindsMax where columnsUsed & (1 << UInt32(kind)) != 0 {
            scratch.removeAll()
            (columns + kind).pointee.encode(kind: kind, into: &scratch)
            out.appendField(FrameField.columns, scratch.bytes)
        }
        if let heartbeat {
            scratch.removeAll()
            Self.encode(heartbeat, into: &scratch)
            out.appendField(FrameField.heartbeat, scratch.bytes)
        }
        removeAll()
    }

    /// The frame's bytes by themselves.
    package mutating func finish(
        sender: TaskID, incarnation: UInt64, heartbeat: Heartbeat? = nil, lastSent: Sequence = .none,
        settled: Sequence = .none
    ) -> [UInt8] {
        var out = ByteBuffer(capacity: byteCount + 256)
        finish(
            sender: sender, incarnation: incarnation, heartbeat: heartbeat, lastSent: lastSent, settled: settled,
            into: &out)
        return [UInt8](out.bytes)
    }

    /// A frame without entries that accepts the loss of what is missing of a sender.
    /// - Parameter last: the last entry of that sender before the gap.
    package static func gapAcceptance(sender: TaskID, after last: Sequence) -> [UInt8] {
        var out = ByteBuffer(capacity: 64)
        encode(FrameHeader(sender: sender, incarnation: 0, first: .none, last: .none, previous: last), into: &out)
        out.appendField(FrameField.acceptsGap, varint: 1)
        return [UInt8](out.bytes)
    }

    private static func encode(_ header: FrameHeader, into out: inout ByteBuffer) {
        out.appendVarint(UInt64(FrameField.sender << 3 | 1))
        out.appendFixed(header.sender.packed)
        out.appendField(FrameField.incarnation, varint: header.incarnation)
        for (field, sequence) in [
            (FrameField.firstOffset, header.first), (FrameField.lastOffset, header.last),
            (FrameField.previousOffset, header.previous),
        ] {
            out.appendVarint(UInt64(field << 3))
            out.appendZigzag(sequence.offset)
            out.appendField(field + 1, varint: UInt64(sequence.index))
        }
        out.appendField(FrameField.version, varint: FrameField.currentVersion)
        guard header.settled != .none else { return }
        out.appendVarint(UInt64(FrameField.settledOffset << 3))
        out.appendZigzag(header.settled.offset)
        out.appendField(FrameField.settledIndex, varint: UInt64(header.settled.index))
    }

    private static func encode(_ heartbeat: Heartbeat, into out: inout ByteBuffer) {
        out.appendVarint(UInt64(FrameField.watermark << 3))
        out.appendZigzag(heartbeat.watermark.milliseconds)
        out.appendField(FrameField.idle, varint: heartbeat.isIdle ? 1 : 0)
        var packed = ByteBuffer()
        for sender in heartbeat.senders { packed.appendFixed(sender.packed) }
        out.appendField(FrameField.senders, packed.bytes)
    }

    /// Drops what is open, for a task that is thrown away or replays.
    package mutating func removeAll() {
        count = 0
        if namesCount > 0 {
            names.removeAll()
            namesCount = 0
            slots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        }
        kinds.removeAll()
        offsets.removeAll()
        for kind in 0..<Self.kindsMax where columnsUsed & (1 << UInt32(kind)) != 0 {
            (columns + kind).pointee.removeAll()
        }
        columnsUsed = 0
        bytesWritten = 0
        first = .none
        last = .none
        previous = .none
    }
}
