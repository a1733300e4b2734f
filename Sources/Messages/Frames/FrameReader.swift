import TwinCore

/// Decodes frames from outside. One reader serves all frames of a task: its arrays are reused. After `decode` the
/// header, the entries and the names of the frame can be read until the record's bytes go away.
///
/// Everything is checked before anything is handed out: counts against columns, indices against the dictionary,
/// sequences against each other. Memory is bounded by the size of the record.
package final class FrameReader {
    @exclusivity(unchecked) package private(set) var header = FrameHeader(
        sender: TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0), incarnation: 0,
        first: .none, last: .none, previous: .none)
    @exclusivity(unchecked) package private(set) var heartbeat: Heartbeat?
    /// The frame is no word of its sender but the operator's: what is missing of the sender is lost for good.
    @exclusivity(unchecked) package private(set) var acceptsGap = false
    /// The entries, in sequence; resources and objects are indices into `names`, plus one.
    @exclusivity(unchecked) package private(set) var entries: [Entry] = []
    /// The sequence of each entry.
    @exclusivity(unchecked) package private(set) var sequences: [Sequence] = []
    /// The dictionary; borrowed from the record.
    @exclusivity(unchecked) package private(set) var names: [UnsafeRawBufferPointer] = []

    @exclusivity(unchecked) private var columns = [Column](repeating: Column(), count: 16)
    @exclusivity(unchecked) private var kinds = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var offsets = UnsafeRawBufferPointer(start: nil, count: 0)

    /// The longest name that a frame may carry.
    package static let nameBytesMax = 1_024
    /// The most heartbeat senders that a frame may list.
    package static let sendersMax = 65_536

    package init() {}

    /// The bytes of one kind's columns.
    private struct Column {
        var count = 0
        var width = 0
        var next = 0
        var time: Int64 = 0
        var resources: WireCursor?, objects: WireCursor?, times: WireCursor?, codes: WireCursor?
        var values = UnsafeRawBufferPointer(start: nil, count: 0)
        var numbers = UnsafeRawBufferPointer(start: nil, count: 0)
        var texts: [UnsafeRawBufferPointer] = []
    }

    /// Reads the frame. On an error nothing of it may be used.
    package func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        reset()
        var cursor = WireCursor(bytes)
        var version: UInt64 = 0
        var hasSender = false
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (FrameField.sender, 1):
                guard let sender = TaskID(packed: try cursor.fixed(UInt64.self)) else {
                    throw .invalid("unknown sender")
                }
                header.sender = sender
                hasSender = true
            case (FrameField.incarnation, 0): header.incarnation = try cursor.varint()
            case (FrameField.firstOffset, 0): header.first.offset = try cursor.zigzag()
            case (FrameField.firstIndex, 0): header.first.index = try index(&cursor)
            case (FrameField.lastOffset, 0): header.last.offset = try cursor.zigzag()
            case (FrameField.lastIndex, 0): header.last.index = try index(&cursor)
            case (FrameField.previousOffset, 0): header.previous.offset = try cursor.zigzag()
            case (FrameField.previousIndex, 0): header.previous.index = try index(&cursor)
            case (FrameField.version, 0): version = try cursor.varint()
            case (FrameField.names, 2):
                let name = try cursor.block()
                guard name.count <= Self.nameBytesMax else { throw .invalid("name too long") }
                names.append(name)
            case (FrameField.kinds, 2): kinds = try cursor.block()
            case (FrameField.offsets, 2): offsets = try cursor.block()
            case (FrameField.columns, 2): try readColumns(try cursor.block())
            case (FrameField.heartbeat, 2): heartbeat = try Self.heartbeat(try cursor.block())
            case (FrameField.settledOffset, 0): header.settled.offset = try cursor.zigzag()
            case (FrameField.settledIndex, 0): header.settled.index = try index(&cursor)
            case (FrameField.acceptsGap, 0): acceptsGap = try cursor.varint() != 0
            default: try cursor.skip(type: type)
            }
        }
        guard hasSender else { throw .invalid("no sender") }
        guard version >= 1, version <= FrameField.currentVersion else { throw .invalid("unknown frame version") }
        try assemble()
    }

    private func reset() {
        header.incarnation = 0
        header.first = .none
        header.last = .none
        header.previous = .none
        header.settled = .none
        heartbeat = nil
        acceptsGap = false
        entries.removeAll(keepingCapacity: true)
        sequences.removeAll(keepingCapacity: true)
        names.removeAll(keepingCapacity: true)
        kinds = UnsafeRawBufferPointer(start: nil, count: 0)
        offsets = UnsafeRawBufferPointer(start: nil, count: 0)
        for kind in columns.indices where columns[kind].count != 0 { columns[kind] = Column() }
    }

    private func index(_ cursor: inout WireCursor) throws(WireError) -> Int64 {
        let value = try cursor.varint()
        guard value <= UInt64(Int64.max) else { throw .invalid("index out of range") }
        return Int64(value)
    }

    private func readColumns(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var cursor = WireCursor(bytes)
        var kind = 0
        var column = Column()
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (FrameField.columnKind, 0): kind = Int(min(try cursor.varint(), 255))
            case (FrameField.columnCount, 0):
                let count = try cursor.varint()
                guard count <= UInt64(kinds.count) else { throw .invalid("more rows than entries") }
                column.count = Int(count)
            case (FrameField.resources, 2): column.resources = WireCursor(try cursor.block())
            case (FrameField.objects, 2): column.objects = WireCursor(try cursor.block())
            case (FrameField.times, 2): column.times = WireCursor(try cursor.block())
            case (FrameField.codes, 2): column.codes = WireCursor(try cursor.block())
            case (FrameField.values, 2): column.values = try cursor.block()
            case (FrameField.numbers, 2): column.numbers = try cursor.block()
            case (FrameField.width, 0): column.width = Int(min(try cursor.varint(), 4_096))
            case (FrameField.texts, 2): column.texts.append(try cursor.block())
            default: try cursor.skip(type: type)
            }
        }
        guard kind < columns.count, columns[kind].count == 0 else { throw .invalid("unknown or repeated kind") }
        guard column.values.isEmpty || column.values.count == column.count * 8,
            column.numbers.count == column.count * column.width * 4,
            column.texts.isEmpty || column.texts.count == column.count
        else { throw .invalid("columns of unequal length") }
        columns[kind] = column
    }

    private static func heartbeat(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> Heartbeat {
        var cursor = WireCursor(bytes)
        var result = Heartbeat(watermark: .distantPast, isIdle: false, senders: [])
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (FrameField.watermark, 0): result.watermark = EventTime(milliseconds: try cursor.zigzag())
            case (FrameField.idle, 0): result.isIdle = try cursor.varint() != 0
            case (FrameField.senders, 2):
                let block = try cursor.block()
                guard block.count % 8 == 0, block.count / 8 <= sendersMax else { throw .invalid("sender list") }
                var list = WireCursor(block)
                while !list.isAtEnd {
                    guard let sender = TaskID(packed: try list.fixed(UInt64.self)) else {
                        throw .invalid("sender list")
                    }
                    result.senders.append(sender)
                }
            default: try cursor.skip(type: type)
            }
        }
        return result
    }

    /// Joins the columns to rows.
    private func assemble() throws(WireError) {
        guard !kinds.isEmpty else {
            guard header.last == .none else { throw .invalid("sequences without entries") }
            return
        }
        entries.reserveCapacity(kinds.count)
        sequences.reserveCapacity(kinds.count)
        var cursor = WireCursor(offsets)
        var sequence = header.first
        for position in 0..<kinds.count {
            let delta = try cursor.varint()
            if position == 0 {
                guard delta == 0 else { throw .invalid("first offset delta is not zero") }
            } else if delta == 0 {
                sequence.index &+= 1
            } else {
                let (offset, overflow) = sequence.offset.addingReportingOverflow(Int64(clamping: delta))
                guard !overflow else { throw .invalid("offset out of range") }
                sequence = Sequence(offset: offset, index: 0)
            }
            sequences.append(sequence)
            entries.append(try row(of: Int(kinds[position])))
        }
        guard cursor.isAtEnd, sequence == header.last, header.previous < header.first else {
            throw .invalid("sequences disagree with the entries")
        }
        for column in columns where column.next != column.count { throw .invalid("rows without entries") }
    }

    private func row(of kind: Int) throws(WireError) -> Entry {
        guard kind < columns.count, let name = EntryKind(rawValue: UInt8(kind)) else { throw .invalid("unknown kind") }
        return try columns.withUnsafeMutableBufferPointer { (all) throws(WireError) -> Entry in
            let index = all[kind].next
            guard index < all[kind].count else { throw .invalid("fewer rows than entries") }
            all[kind].next = index &+ 1
            var entry = Entry(kind: name)
            entry.resource = try reference(&all[kind].resources)
            entry.object = try reference(&all[kind].objects)
            if all[kind].times != nil {
                all[kind].time &+= try all[kind].times?.zigzag() ?? 0
                entry.time = EventTime(milliseconds: all[kind].time)
            }
            if !all[kind].values.isEmpty {
                entry.value = Double(
                    bitPattern: all[kind].values.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self))
            }
            if all[kind].codes != nil { entry.code = UInt32(truncatingIfNeeded: try all[kind].codes?.varint() ?? 0) }
            if all[kind].width > 0 {
                entry.numbers = FloatSlice(
                    start: all[kind].numbers.baseAddress.map { $0 + index &* all[kind].width &* 4 },
                    count: all[kind].width)
            }
            if !all[kind].texts.isEmpty { entry.text = all[kind].texts[index] }
            return entry
        }
    }

    private func reference(_ column: inout WireCursor?) throws(WireError) -> UInt32 {
        guard column != nil, let index = try column?.varint() else { return 0 }
        guard index <= UInt64(names.count) else { throw .invalid("name index out of range") }
        return UInt32(index)
    }
}
