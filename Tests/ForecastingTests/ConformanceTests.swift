import TestKit
import Testing

@testable import Forecasting

/// The models that the suite is run over: every member of the ensemble by its name, and the ensemble.
struct Subject: Sendable, CustomTestStringConvertible {
    let name: String
    let rig: any ModelRig.Type

    static let members = [
        Subject(name: "Regression", rig: MemberRig<RidgeMember>.self),
        Subject(name: "Network", rig: MemberRig<NetworkState>.self),
        Subject(name: "Habit", rig: MemberRig<HabitMember>.self),
    ]
    static let ensemble = Subject(name: "Ensemble", rig: EnsembleRig.self)
    static let all = members + [ensemble]

    var testDescription: String { name }
}

/// What a series may look like.
enum Shape: CaseIterable {
    case constant, zeros, noise, gaps, spikes, shift, ramp, sparse, huge, tiny

    func value(_ step: Int, _ random: inout SeededRandom) -> Float {
        switch self {
        case .constant: 12.5
        case .zeros: 0
        case .noise, .gaps: Float(100 + 10 * random.normal())
        case .spikes: random.uniform() < 0.02 ? 1e9 : Float(100 + 10 * random.normal())
        case .shift: Float((step < 600 ? 100 : 900) + 10 * random.normal())
        case .ramp: Float(100 + Double(step) + 5 * random.normal())
        case .sparse: random.uniform() < 0.9 ? 0 : Float(50 * random.uniform())
        case .huge: Float(1e17 * random.normal())
        case .tiny: Float(1e-17 * random.normal())
        }
    }

    /// Where the median five steps ahead has to lie at the end; nil if nowhere in particular.
    func middle(steps: Int) -> ClosedRange<Float>? {
        switch self {
        case .constant: 12.4...12.6
        case .zeros: -1e-6...1e-6
        case .noise, .gaps, .spikes: 75...125
        case .shift: 840...960
        case .ramp: (Float(steps) + 70)...(Float(steps) + 125)
        case .sparse: -15...15
        case .huge, .tiny: nil
        }
    }
}

/// What every model has to be: finite, ascending, deterministic, restorable to the byte, bounded, and sane on
/// constants, zeros, gaps, spikes, ramps and shifts.
@Suite("Every model conforms")
struct ConformanceTests {
    static let seeds: [UInt64] = [1, 2, 3]
    private static let steps = 1_200
    /// Before so many steps little is known of the range, and bands are wide.
    private static let youngSteps = 100

    /// Feeds a shape, asking now and then, and returns the model, and the lowest and highest value.
    private func run(
        _ subject: Subject, _ shape: Shape, _ seed: UInt64, asking: (any ModelRig, Int, ClosedRange<Float>) -> Void
    ) -> any ModelRig {
        var random = SeededRandom(seed: seed)
        let rig = subject.rig.init()
        var time: Int64 = 1_600_000_000_000
        var range: ClosedRange<Float>?
        for step in 0..<Self.steps {
            time += shape == .gaps && random.uniform() < 0.05 ? 60_000 * Int64(2 + random.next() % 400) : 60_000
            let value = shape.value(step, &random)
            let seen = min(range?.lowerBound ?? value, value)...max(range?.upperBound ?? value, value)
            range = seen
            rig.fold(value, at: time)
            if step % 7 == 0 || step < 40 { asking(rig, step, seen) }
        }
        return rig
    }

    @Test("no member of the ensemble is left out")
    func complete() {
        #expect(Subject.members.map(\.name) == HorizonMixture.memberNames)
    }

    @Test("keeps a plain value without padding", arguments: Subject.all)
    func plain(subject: Subject) { #expect(subject.rig.sizes.whole == subject.rig.sizes.parts) }

    @Test("is finite, ascending, bounded and sane on every shape", arguments: Subject.all, seeds)
    func sane(subject: Subject, seed: UInt64) {
        for shape in Shape.allCases {
            let rig = run(subject, shape, seed) { rig, step, seen in
                let place: Comment = "\(subject.name), \(shape), seed \(seed), step \(step)"
                #expect(rig.isSound, place)
                let room = subject.rig.reach * max(seen.upperBound - seen.lowerBound, seen.upperBound.magnitude, 1e-6)
                for anchor in 0..<RigHorizons.count {
                    guard let said = rig.forecast(anchor) else { continue }
                    #expect(said.allSatisfy { $0.isFinite }, place)
                    #expect(zip(said, said.dropFirst()).allSatisfy { $0 <= $1 }, place)
                    let isNear = said[0] >= seen.lowerBound - room && said[said.count - 1] <= seen.upperBound + room
                    #expect(isNear || step < Self.youngSteps, "\(place.rawValue): \(said) beyond \(seen)")
                }
            }
            guard let said = rig.forecast(1) else {
                Issue.record("\(subject.name) is silent on \(shape)")
                continue
            }
            guard let middle = shape.middle(steps: Self.steps), subject.follows(shape) else { continue }
            #expect(middle.contains(said[1]), "\(subject.name), \(shape), seed \(seed): \(said)")
        }
    }

    @Test("says and keeps the same, bit for bit, whenever it is fed the same", arguments: Subject.all, seeds)
    func deterministic(subject: Subject, seed: UInt64) {
        for shape in [Shape.gaps, .spikes, .sparse, .shift] {
            var said: [[[UInt32]]] = [[], []]
            let rigs = (0..<2).map { turn in
                run(subject, shape, seed) { rig, _, _ in
                    for anchor in 0..<RigHorizons.count {
                        said[turn].append((rig.forecast(anchor) ?? []).map(\.bitPattern))
                    }
                }
            }
            #expect(said[0] == said[1], "\(subject.name), \(shape), seed \(seed)")
            #expect(rigs[0].bytes == rigs[1].bytes, "\(subject.name), \(shape), seed \(seed)")
        }
    }

    @Test("goes on from a snapshot as if nothing had happened, to the byte", arguments: Subject.all, seeds)
    func restorable(subject: Subject, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let whole = subject.rig.init()
        let restored = subject.rig.init()
        for index in 0..<900 {
            if index == 450 {
                let snapshot = whole.bytes
                #expect(restored.restore(snapshot), "\(subject.name), seed \(seed)")
                #expect(restored.bytes == snapshot, "\(subject.name), seed \(seed): the round trip changes bytes")
            }
            let value = Float(50 + 5 * random.student(3))
            let time = 1_600_000_000_000 + 60_000 * Int64(index)
            whole.fold(value, at: time)
            guard index >= 450 else { continue }
            restored.fold(value, at: time)
            for anchor in 0..<RigHorizons.count {
                #expect(whole.forecast(anchor) == restored.forecast(anchor), "\(subject.name), seed \(seed), \(index)")
            }
        }
        #expect(whole.bytes == restored.bytes, "\(subject.name), seed \(seed)")
    }

    @Test("stays sound when it is told to measure in another unit", arguments: Subject.all, seeds)
    func measuresAnew(subject: Subject, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rig = subject.rig.init()
        for step in 0..<300 { rig.fold(Float(50 + 5 * random.normal()), at: 60_000 * Int64(step + 1)) }
        rig.scale(by: 8)
        #expect(rig.isSound, "seed \(seed)")
        for step in 300..<400 { rig.fold(Float(8 * (50 + 5 * random.normal())), at: 60_000 * Int64(step + 1)) }
        #expect(rig.isSound, "seed \(seed)")
    }

    @Test("covers noise by its band roughly as it says", arguments: Subject.all, seeds)
    func covers(subject: Subject, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rig = subject.rig.init()
        var inside = 0
        let judged = 2_000
        for step in 0..<(1_000 + judged) {
            let value = Float(100 + 10 * random.normal())
            if step >= 1_000, let said = rig.forecast(0), said[0] <= value && value <= said[2] { inside += 1 }
            rig.fold(value, at: 60_000 * Int64(step + 1))
        }
        let share = Double(inside) / Double(judged)
        #expect((share - 0.8).magnitude < 0.1, "\(subject.name), seed \(seed): \(share) of 0.8")
    }

    @Test("the ensemble says nothing negative where nothing ever was, and may where something was", arguments: seeds)
    func notNegative(seed: UInt64) {
        for shape in [Shape.zeros, .noise, .gaps, .spikes, .shift, .sparse, .tiny] {
            var lowest: Float = 0
            var wasNegative = false
            _ = run(.ensemble, shape, seed) { rig, _, seen in
                wasNegative = seen.lowerBound < 0
                guard !wasNegative else { return }
                for anchor in 0..<RigHorizons.count { lowest = min(lowest, rig.forecast(anchor)?[0] ?? -1) }
            }
            #expect(lowest == 0, "\(shape), seed \(seed): \(lowest)")
            guard wasNegative else { continue }
            let rig = run(.ensemble, shape, seed) { _, _, _ in }
            #expect((rig.forecast(2)?[0] ?? 0) < 0, "\(shape), seed \(seed)")
        }
    }
}

extension Subject {
    /// Habit knows what is usual, and neither trend nor a shift that is younger than what it remembers.
    fileprivate func follows(_ shape: Shape) -> Bool { !(name == "Habit" && shape == .ramp) }
}
