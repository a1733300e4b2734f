import TestKit
import Testing

@testable import Forecasting

/// One member behind the front that it has in a series.
private final class MemberRig<Model: Member> {
    private(set) var front = SeriesFront()
    var model = Model()
    let box = SharedBox()
    private var m = Moment()
    private let room = UnsafeMutablePointer<Float>.allocate(capacity: 6)
    static var anchorSteps: [6 of UInt32] { [1, 5, 15, 30, 60, 0] }

    deinit { room.deallocate() }

    func fold(_ value: Float, at milliseconds: Int64) {
        if front.steps == 0 { return front.start(value, at: milliseconds) }
        let elapsed = front.elapsedSteps(to: milliseconds, minimum: 1_000).count
        guard elapsed > 0 else { return }
        front.open(value, elapsed: elapsed, at: milliseconds, spread: 1)
        front.learn(spread: 1)
        front.expected = front.base
        m = Moment()
        m.anchorCount = 5
        m.anchorSteps = Self.anchorSteps
        front.read(into: &m)
        withUnsafePointer(to: m) { model.observe($0, box.pointer) }
    }

    /// Quantiles of the value; nil while the member is silent.
    func forecast(_ anchor: Int) -> [Float]? {
        let speaks = withUnsafePointer(to: m) { model.forecast(anchor, $0, box.pointer, into: room) }
        return speaks ? (0..<6).map { front.base + room[$0] * m.unit } : nil
    }

    var bytes: [UInt8] { withUnsafeBytes(of: model) { Array($0) } }

    func adopt(_ other: MemberRig) {
        model = other.model
        front = other.front
        m = other.m
        let isTaken = other.box.pointer.pointee.bytes.withUnsafeBytes { box.pointer.pointee.restore($0) }
        #expect(isTaken)
    }
}

/// What every member of the ensemble has to be: finite, ascending, deterministic, restorable, bounded, and sane on
/// constants, zeros, gaps, spikes and shifts.
@Suite("Every member of the ensemble")
struct MemberTests {
    @Test("conforms", arguments: [1, 2, 3] as [UInt64])
    func conforms(seed: UInt64) {
        check(RidgeMember.self, seed)
        check(NetworkState.self, seed)
        check(HabitMember.self, seed)
    }

    private func check<Model: Member>(_ type: Model.Type, _ seed: UInt64) {
        #expect(MemoryLayout<Model>.size == partsSize(Model()), "\(type)")
        for shape in Shape.allCases { staysSane(type, shape, seed) }
        isRestorable(type, seed)
        measuresAnew(type, seed)
    }

    private enum Shape: CaseIterable { case constant, zeros, noise, gaps, spikes, shift, sparse, huge, tiny }

    private func value(_ shape: Shape, _ step: Int, _ random: inout SeededRandom) -> Float {
        switch shape {
        case .constant: 12.5
        case .zeros: 0
        case .noise, .gaps: Float(100 + 10 * random.normal())
        case .spikes: random.uniform() < 0.02 ? 1e9 : Float(100 + 10 * random.normal())
        case .shift: Float((step < 600 ? 100 : 900) + 10 * random.normal())
        case .sparse: random.uniform() < 0.9 ? 0 : Float(50 * random.uniform())
        case .huge: Float(1e17 * random.normal())
        case .tiny: Float(1e-17 * random.normal())
        }
    }

    private func staysSane<Model: Member>(_ type: Model.Type, _ shape: Shape, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rig = MemberRig<Model>()
        var time: Int64 = 1_600_000_000_000
        for step in 0..<1_200 {
            time += shape == .gaps && random.uniform() < 0.05 ? 60_000 * Int64(2 + random.next() % 400) : 60_000
            rig.fold(value(shape, step, &random), at: time)
            guard step % 7 == 0 || step < 40 else { continue }
            for anchor in 0..<5 {
                guard let said = rig.forecast(anchor) else { continue }
                #expect(said.allSatisfy { $0.isFinite }, "\(type), \(shape), seed \(seed), step \(step)")
                let isAscending = zip(said, said.dropFirst()).allSatisfy { $0 <= $1 }
                #expect(isAscending, "\(type), \(shape), seed \(seed), step \(step)")
            }
            #expect(rig.model.isSound, "\(type), \(shape), seed \(seed), step \(step)")
        }
        guard let said = rig.forecast(1) else { return #expect(Bool(false), "\(type) is silent on \(shape)") }
        switch shape {
        case .constant: #expect((said[1] - 12.5).magnitude < 0.1, "\(type), seed \(seed): \(said)")
        case .zeros: #expect(said[1].magnitude < 1e-6, "\(type), seed \(seed): \(said)")
        case .noise, .gaps, .spikes: #expect((said[1] - 100).magnitude < 25, "\(type), \(shape), \(seed): \(said)")
        case .shift: #expect((said[1] - 900).magnitude < 60, "\(type), seed \(seed): \(said)")
        case .sparse: #expect(said[1] < 15, "\(type), seed \(seed): \(said)")
        case .huge, .tiny: break
        }
    }

    private func isRestorable<Model: Member>(_ type: Model.Type, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let values = (0..<900).map { _ in Float(50 + 5 * random.student(3)) }
        let whole = MemberRig<Model>()
        let restored = MemberRig<Model>()
        for (index, value) in values.enumerated() {
            if index == 450 { restored.adopt(whole) }
            let time = 1_600_000_000_000 + 60_000 * Int64(index)
            whole.fold(value, at: time)
            guard index >= 450 else { continue }
            restored.fold(value, at: time)
            #expect(whole.forecast(2) == restored.forecast(2), "\(type), seed \(seed), step \(index)")
        }
        #expect(whole.bytes == restored.bytes, "\(type), seed \(seed)")
        #expect(whole.box.pointer.pointee.bytes == restored.box.pointer.pointee.bytes, "\(type), seed \(seed)")
    }

    private func measuresAnew<Model: Member>(_ type: Model.Type, _ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rig = MemberRig<Model>()
        for step in 0..<300 { rig.fold(Float(50 + 5 * random.normal()), at: 60_000 * Int64(step + 1)) }
        rig.model.scale(by: 8)
        #expect(rig.model.isSound, "\(type), seed \(seed)")
        for step in 300..<400 { rig.fold(Float(50 + 5 * random.normal()), at: 60_000 * Int64(step + 1)) }
        #expect(rig.model.isSound, "\(type), seed \(seed)")
    }
}
