import Testing
import TwinCore

@testable import Forecasting

/// A model as the conformance suite sees it, whatever its type: fed in event time, asked for quantiles of the value.
protocol ModelRig: AnyObject, SendableMetatype {
    init()
    func fold(_ value: Float, at milliseconds: Int64)
    /// The quantiles of the value at one of `anchorCount` horizons; nil while the model is silent.
    func forecast(_ anchor: Int) -> [Float]?
    func scale(by factor: Float)
    /// Everything it keeps, what it shares included.
    var bytes: [UInt8] { get }
    /// Begins anew from what another one's snapshot holds.
    func restore(_ bytes: [UInt8]) -> Bool
    var isSound: Bool { get }
    /// Bytes of the model, and of its parts without what lies between them.
    static var sizes: (whole: Int, parts: Int) { get }
    /// What it says lies beyond what was seen by no more than so many times the range.
    static var reach: Float { get }
}

/// The horizons of the suite in steps.
enum RigHorizons {
    static let count = 5
    static let steps = [1, 5, 15, 30, 60]
    static var anchors: [6 of UInt32] { [1, 5, 15, 30, 60, 0] }
}

/// A plain value's bytes, and back.
private func bytes<Value: BitwiseCopyable>(of value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

private func take<Value: BitwiseCopyable>(_ value: inout Value, from bytes: ArraySlice<UInt8>) {
    bytes.withUnsafeBytes { value = $0.loadUnaligned(as: Value.self) }
}

/// One member behind the front that it has in a series.
final class MemberRig<Model: Member>: ModelRig {
    private var front = SeriesFront()
    private var model = Model()
    private let box = SharedBox()
    private var m = Moment()
    private let room = UnsafeMutablePointer<Float>.allocate(capacity: 6)

    static var sizes: (whole: Int, parts: Int) { (MemoryLayout<Model>.size, partsSize(Model())) }
    /// Only the ensemble knows what was seen; a member alone may reach far, though not without bounds.
    static var reach: Float { 40 }

    init() {}

    deinit { room.deallocate() }

    func fold(_ value: Float, at milliseconds: Int64) {
        if front.steps == 0 { return front.start(value, at: milliseconds) }
        let elapsed = front.elapsedSteps(to: milliseconds, minimum: 1_000, clock: .utc).count
        guard elapsed > 0 else { return }
        front.open(value, elapsed: elapsed, at: milliseconds, spread: 1)
        front.learn(spread: 1, local: milliseconds)
        front.expected = front.base
        m = Moment()
        m.anchorCount = RigHorizons.count
        m.anchorSteps = RigHorizons.anchors
        front.read(into: &m, local: milliseconds, clock: .utc)
        withUnsafePointer(to: m) { model.observe($0, box.pointer) }
    }

    func forecast(_ anchor: Int) -> [Float]? {
        let speaks = withUnsafePointer(to: m) { model.forecast(anchor, $0, box.pointer, into: room) }
        return speaks ? (0..<ForecastLevels.spoken).map { front.base + room[$0] * m.unit } : nil
    }

    func scale(by factor: Float) { model.scale(by: factor) }

    var bytes: [UInt8] {
        ForecastingTests.bytes(of: model) + ForecastingTests.bytes(of: front) + box.pointer.pointee.bytes
    }

    func restore(_ bytes: [UInt8]) -> Bool {
        let first = MemoryLayout<Model>.size
        let second = first + MemoryLayout<SeriesFront>.size
        take(&model, from: bytes[..<first])
        take(&front, from: bytes[first..<second])
        return bytes[second...].withUnsafeBytes { box.pointer.pointee.restore($0) }
    }

    var isSound: Bool { model.isSound }
}

/// The whole ensemble of a series.
final class EnsembleRig: ModelRig {
    private var model = SeriesModel(kin: 3)
    private let box = SharedBox()
    private let plan = HorizonPlan(seconds: RigHorizons.steps.map { Double($0) * 60 })
    private let room = UnsafeMutablePointer<Float>.allocate(capacity: ForecastLevels.forecastCount)

    static var sizes: (whole: Int, parts: Int) { (MemoryLayout<SeriesModel>.size, partsSize(SeriesModel())) }
    static var reach: Float { 3.5 }

    init() {}

    deinit { room.deallocate() }

    func fold(_ value: Float, at milliseconds: Int64) {
        _ = model.fold(Double(value), at: milliseconds, plan: plan, shared: box.pointer)
    }

    func forecast(_ anchor: Int) -> [Float]? {
        model.forecast(horizonSeconds: Float(RigHorizons.steps[anchor]) * 60, into: room)
        return (1...6).map { room[$0] }
    }

    func scale(by factor: Float) { model.scale(by: factor) }

    var bytes: [UInt8] { ForecastingTests.bytes(of: model) + box.pointer.pointee.bytes }

    func restore(_ bytes: [UInt8]) -> Bool {
        let first = MemoryLayout<SeriesModel>.size
        take(&model, from: bytes[..<first])
        return bytes[first...].withUnsafeBytes { box.pointer.pointee.restore($0) }
    }

    var isSound: Bool { model.isSound }
}
