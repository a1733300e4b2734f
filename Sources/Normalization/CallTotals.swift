import StageKit
import TwinCore

/// The last totals of one pair that calls. Fields from large to small, no padding: the bytes are the snapshot.
struct CallCell: BitwiseCopyable {
    /// Calls since the series began, and the seconds that they took; NaN where nobody says.
    var count: Double
    var seconds: Double
    /// Event time, milliseconds.
    var time: Int64
    /// 0 marks a free cell.
    var source: NameID
    var target: NameID
}

/// Totals of calls, from which rates are made. An interaction is a rate, and its two ends live in different tasks; so
/// this one difference is taken where the series comes in, in the task of its raw partition.
struct CallTotals: ~Copyable {
    /// What has happened since the totals before.
    struct Change {
        var count: Double
        var seconds: Double
        var spanSeconds: Double
    }

    private var cells: PagedTable<CallCell>
    private var index = PairIndex()
    /// Pairs that found no room.
    private(set) var refused: UInt64 = 0

    private static let tag = StateSection.callTotals.tag

    init(pairsMax: Int) { cells = PagedTable(cellsMax: max(pairsMax, 0)) }

    /// Takes new totals; nil for the first of a pair, for what is not newer, and after a restart of the counter.
    mutating func change(
        _ source: NameID, _ target: NameID, time: EventTime, count: Double, seconds: Double
    ) -> Change? {
        let now = CallCell(count: count, seconds: seconds, time: time.milliseconds, source: source, target: target)
        guard let slot = index.find(source, target) else {
            if let slot = cells.append(now) { index.insert(source, target, slot) } else { refused &+= 1 }
            return nil
        }
        let last = cells.read(slot).pointee
        guard now.time > last.time else { return nil }
        cells.write(slot).pointee = now
        guard count >= last.count else { return nil }
        return Change(
            count: count - last.count, seconds: seconds - last.seconds,
            spanSeconds: Double(now.time - last.time) / 1_000)
    }

    /// Forgets the pairs whose last totals are older than a moment.
    mutating func forget(before moment: Int64) {
        let empty = CallCell(count: 0, seconds: 0, time: 0, source: 0, target: 0)
        for slot in 0..<cells.count where cells.read(slot).pointee.source != 0 {
            let cell = cells.read(slot).pointee
            guard cell.time < moment else { continue }
            index.remove(cell.source, cell.target)
            cells.free(slot, leaving: empty)
        }
    }

    func mark(_ names: inout NameMarks) {
        for slot in 0..<cells.count {
            names.mark(cells.read(slot).pointee.source)
            names.mark(cells.read(slot).pointee.target)
        }
    }

    mutating func freeze(into writer: inout StateWriter) { cells.freeze(tag: Self.tag, into: &writer) }

    mutating func restore(from reader: StateReader, names: NameTable) throws(StateError) {
        try cells.restore(tag: Self.tag, from: reader) { $0.pointee.source == 0 }
        for slot in 0..<cells.count where cells.read(slot).pointee.source != 0 {
            let (source, target) = (cells.read(slot).pointee.source, cells.read(slot).pointee.target)
            guard source > 0, target > 0, Int(source) <= names.count, Int(target) <= names.count,
                index.find(source, target) == nil
            else { throw .invalid("a pair of the totals of calls is out of range") }
            index.insert(source, target, slot)
        }
    }
}
