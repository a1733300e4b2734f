import StageKit

/// The detectors of a task's series, by the series' slots; only the table of the chosen detector is ever filled.
struct DetectorTable: ~Copyable {
    private let kind: DriftSettings.Detector
    private let cusumTuning: CusumFamily.Tuning
    private let pageHinkleyTuning: PageHinkley.Tuning
    private let adwinTuning: Adwin.Tuning
    private let kswinTuning: Kswin.Tuning
    private var cusum: PagedTable<CusumFamily>
    private var pageHinkley: PagedTable<PageHinkley>
    private var adwin: PagedTable<Adwin>
    private var kswin: PagedTable<Kswin>

    init(_ settings: DriftSettings) {
        kind = settings.detector
        let runLength = settings.averageRunLength.isFinite ? settings.averageRunLength : 10_000
        cusumTuning = CusumFamily.tuning(averageRunLength: runLength)
        pageHinkleyTuning = PageHinkley.tuning(averageRunLength: runLength)
        adwinTuning = Adwin.tuning(averageRunLength: runLength)
        kswinTuning = Kswin.tuning(averageRunLength: runLength)
        let most = max(settings.seriesMax, 1)
        cusum = PagedTable(cellsMax: most)
        pageHinkley = PagedTable(cellsMax: most)
        adwin = PagedTable(cellsMax: most)
        kswin = PagedTable(cellsMax: most)
    }

    /// A detector for the series at this slot, which is the next one or one that was forgotten.
    mutating func add(_ slot: Int) {
        guard slot == count else { return forget(slot) }
        switch kind {
        case .cusum: _ = cusum.append(CusumFamily())
        case .pageHinkley: _ = pageHinkley.append(PageHinkley())
        case .adwin: _ = adwin.append(Adwin())
        case .kswin: _ = kswin.append(Kswin())
        }
    }

    private var count: Int { max(max(cusum.count, pageHinkley.count), max(adwin.count, kswin.count)) }

    @inline(__always)
    mutating func update(_ slot: Int, _ residual: Float) -> DriftVerdict {
        switch kind {
        case .cusum: cusum.write(slot).pointee.update(residual, cusumTuning)
        case .pageHinkley: pageHinkley.write(slot).pointee.update(residual, pageHinkleyTuning)
        case .adwin: adwin.write(slot).pointee.update(residual, adwinTuning)
        case .kswin: kswin.write(slot).pointee.update(residual, kswinTuning)
        }
    }

    /// Begins anew against another reference.
    mutating func restart(_ slot: Int) {
        switch kind {
        case .cusum: cusum.write(slot).pointee.restart()
        case .pageHinkley: pageHinkley.write(slot).pointee.restart()
        case .adwin: adwin.write(slot).pointee.restart()
        case .kswin: kswin.write(slot).pointee.restart()
        }
    }

    /// What was just found is no drift.
    mutating func excuse(_ slot: Int) {
        switch kind {
        case .cusum: cusum.write(slot).pointee.excuse()
        case .pageHinkley: pageHinkley.write(slot).pointee.excuse()
        case .adwin: adwin.write(slot).pointee.excuse()
        case .kswin: kswin.write(slot).pointee.excuse()
        }
    }

    /// Forgets all that was learned: the twin behind it is another one.
    mutating func forget(_ slot: Int) {
        switch kind {
        case .cusum: cusum.write(slot).pointee = CusumFamily()
        case .pageHinkley: pageHinkley.write(slot).pointee = PageHinkley()
        case .adwin: adwin.write(slot).pointee = Adwin()
        case .kswin: kswin.write(slot).pointee = Kswin()
        }
    }

    private static var tag: UInt32 { StateSection.detectors.tag }

    mutating func freeze(into writer: inout StateWriter) {
        switch kind {
        case .cusum: cusum.freeze(tag: Self.tag, into: &writer)
        case .pageHinkley: pageHinkley.freeze(tag: Self.tag, into: &writer)
        case .adwin: adwin.freeze(tag: Self.tag, into: &writer)
        case .kswin: kswin.freeze(tag: Self.tag, into: &writer)
        }
    }

    /// - Parameter count: how many series there are.
    mutating func restore(from reader: StateReader, count: Int) throws(StateError) {
        switch kind {
        case .cusum: try cusum.restore(tag: Self.tag, from: reader)
        case .pageHinkley: try pageHinkley.restore(tag: Self.tag, from: reader)
        case .adwin: try adwin.restore(tag: Self.tag, from: reader)
        case .kswin: try kswin.restore(tag: Self.tag, from: reader)
        }
        guard self.count == count else {
            throw .invalid("drift: series without a detector")
        }
        for slot in 0..<adwin.count where !adwin.read(slot).pointee.isSound {
            throw .invalid("drift: impossible window")
        }
        for slot in 0..<kswin.count where !kswin.read(slot).pointee.isSound {
            throw .invalid("drift: impossible window")
        }
    }
}
