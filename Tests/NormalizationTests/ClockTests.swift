import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Normalization

@Suite("Event time moves the watermark, a stray time does not")
struct ClockTests {
    private let start: Int64 = 1_795_521_600

    /// One record per element, each of another source; each holds these seconds after `start`.
    private func clock(_ records: [[Int64]], settings: NormalizerSettings = NormalizerSettings()) -> EventClock {
        var clock = EventClock(settings)
        for (number, record) in records.enumerated() { observe(record, of: "s-\(number)", &clock) }
        return clock
    }

    /// Whether each of the times in a record is believed.
    @discardableResult
    private func observe(_ record: [Int64], of source: String, _ clock: inout EventClock) -> [Bool] {
        clock.beginRecord()
        return record.map { seconds in
            Array(source.utf8).withUnsafeBytes { clock.observe(EventTime(seconds: start + seconds), of: $0) }
        }
    }

    private func largest(_ records: [[Int64]]) -> Int64? {
        let largest = clock(records).largest
        return largest == .distantPast ? nil : largest.milliseconds / 1_000 - start
    }

    @Test("The first time counts after three records that agree, however many samples one holds")
    func firstTime() {
        #expect(largest([[0]]) == nil)
        #expect(largest([[0, 1, 2, 3, 4]]) == nil)
        #expect(largest([[0], [1]]) == nil)
        #expect(largest([[0], [1], [2]]) == 2)
        #expect(clock([[0], [1], [2]]).watermark == EventTime(seconds: start + 2 - 120))
    }

    @Test("A first time far off does not hold")
    func firstTimeWrong() {
        #expect(largest([[900_000], [0], [1], [2]]) == 2)
        #expect(largest([[-900_000], [0], [1], [2]]) == nil, "higher ones do not confirm a lower one")
        #expect(largest([[-900_000], [-899_990], [-899_980], [0], [1], [2]]) == 2)
    }

    @Test("A time ahead within the bound counts at once; late ones change nothing")
    func ordinary() {
        #expect(largest([[0], [1], [2], [3_602]]) == 3_602)
        #expect(largest([[0], [1], [2], [-86_400], [1]]) == 2)
    }

    @Test("A stray time in the future does not count, not even twice with ordinary ones between")
    func stray() {
        #expect(largest([[0], [1], [2], [900_000], [3], [900_000], [4], [900_001], [5]]) == 5)
        #expect(clock([[0], [1], [2], [900_000], [3]]).samplesAhead == 3, "two before the first time, one stray")
        #expect(largest([[0], [1], [2], [900_000, 900_000, 900_000]]) == 2)
    }

    @Test("A time too far ahead is not believed until others confirm it; before the first time that counts all are")
    func beliefs() {
        func believed(_ records: [Int64]) -> [Bool] {
            var clock = EventClock(NormalizerSettings())
            return records.enumerated().flatMap { observe([$1], of: "s-\($0)", &clock) }
        }
        #expect(believed([900_000, 0, 1, 2]) == [true, true, true, true])
        #expect(believed([0, 1, 2, 900_000, 3, 86_403, 86_404]) == [true, true, true, false, true, true, false])
        #expect(believed([0, 1, 2, 90_000, 90_010, 90_020, 90_030]) == [true, true, true, false, false, true, true])
    }

    @Test("Three consecutive records that agree are believed")
    func resumed() {
        #expect(largest([[0], [1], [2], [90_000], [90_010], [90_020]]) == 90_020)
        #expect(largest([[0], [1], [2], [900_000], [90_000], [90_010], [90_020]]) == 90_020)
        #expect(largest([[0], [1], [2], [90_000], [900_000], [90_010], [90_020]]) == 90_020)
        #expect(largest([[0], [1], [2], [90_000], [95_000], [99_000]]) == 2, "they do not agree")
    }

    /// A clock that has come to 10, by two sources.
    private func running() -> EventClock {
        var clock = EventClock(NormalizerSettings())
        for second: Int64 in 0...10 { observe([second], of: second % 2 == 0 ? "a" : "b", &clock) }
        return clock
    }

    /// 2099, in seconds after `start`.
    private var century: Int64 { 4_102_444_000 - start }

    @Test("A source that is wrong for good is never believed, in a row or between others", arguments: [true, false])
    func wrongForGood(alone: Bool) {
        var clock = running()
        for second: Int64 in 11...2_000 {
            #expect(observe([century + second], of: "bad", &clock) == [false])
            if !alone, second % 29 == 0 { #expect(observe([second], of: "a", &clock) == [true]) }
            // A month ahead is an outage that has ended, if nobody else ever speaks again.
            if !alone { #expect(observe([2_592_000 + second], of: "bad", &clock) == [false]) }
        }
        #expect(clock.largest == EventTime(seconds: start + (alone ? 10 : 1_972)))
    }

    @Test("Nor are two that are wrong together")
    func wrongTogether() {
        var clock = running()
        for second: Int64 in 0..<2_000 {
            #expect(observe([century + second], of: second % 2 == 0 ? "bad" : "worse", &clock) == [false])
        }
        #expect(clock.largest == EventTime(seconds: start + 10))
    }

    @Test("One source goes on after an outage when nobody speaks against it for thirty records, seldom as they may be")
    func alone() {
        for step: Int64 in [15, 900] {
            var clock = running()
            for number: Int64 in 1...29 { #expect(observe([200_000 + number * step], of: "a", &clock) == [false]) }
            var disturbed = clock
            #expect(observe([200_000 + 30 * step], of: "a", &clock) == [true])
            #expect(clock.largest == EventTime(seconds: start + 200_000 + 30 * step))
            #expect(observe([11], of: "b", &disturbed) == [true])
            #expect(observe([200_000 + 30 * step], of: "a", &disturbed) == [false])
        }
    }

    @Test("Three that agree are believed at once, be it years later; a record brings one of them")
    func several() {
        var clock = running()
        #expect(observe([century], of: "a", &clock) == [false])
        #expect(observe([century + 1], of: "b", &clock) == [false])
        #expect(observe([century + 2], of: "b", &clock) == [false])
        #expect(observe([century + 3], of: "c", &clock) == [true])
    }

    @Test("The watermark never falls, whatever comes", arguments: [1, 2, 3] as [UInt64])
    func monotone(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var clock = EventClock(NormalizerSettings())
        var before = EventTime.distantPast
        for _ in 0..<20_000 {
            let seconds = Int64.random(in: 631_152_000..<4_102_444_800, using: &random) - start
            observe([seconds], of: "s-\(seconds % 5)", &clock)
            #expect(clock.largest >= before, "seed \(seed)")
            before = clock.largest
        }
    }

    @Test("Extreme settings do not overflow")
    func extremes() {
        var settings = NormalizerSettings()
        settings.latenessSecondsMax = .max
        settings.futureSecondsMax = .max
        settings.jumpConfirmations = 0
        #expect(clock([[0]], settings: settings).watermark != nil)
        settings.futureSecondsMax = .min
        settings.latenessSecondsMax = .min
        #expect(clock([[0], [1]], settings: settings).watermark == EventTime(seconds: start + 1))
    }
}

@Suite("Heartbeats say how far the task has come")
struct HeartbeatTests {
    private func sample(_ seconds: Int64) -> String {
        "{\"resource\":\"a\",\"locality\":\"l\",\"metric\":\"x\",\"value\":1,\"ts\":\(seconds)}"
    }

    @Test("They go to every partition of observations and outlooks and list all senders")
    func everywhere() throws {
        var settings = NormalizerSettings()
        settings.epochs = [.telemetry: 3]
        let harness = try Harness(.telemetry, partitions: 2, settings: settings)
        harness.task.heartbeat(isCaughtUp: true, wallClock: nil)
        let beats = try harness.takeHeartbeats()
        #expect(beats.map(\.topic) == [.observations, .observations, .outlooks, .outlooks])
        #expect(beats.map(\.partition) == [0, 1, 0, 1])
        let senders = beats[0].heartbeat.senders
        #expect(senders.count == 4 * 2 + 2)
        #expect(senders[0] == TaskID(stage: .normalizer, inbox: .telemetry, epoch: 3, partition: 0))
        #expect(Set(senders).count == senders.count)
    }

    @Test("Before anything was seen telemetry is idle when caught up, and holds back when not")
    func nothingSeen() throws {
        let harness = try Harness(.telemetry)
        harness.task.heartbeat(isCaughtUp: false, wallClock: EventTime(seconds: 1_795_521_600))
        harness.task.heartbeat(isCaughtUp: true, wallClock: nil)
        let beats = try harness.takeHeartbeats().filter { $0.topic == .observations && $0.partition == 0 }
        #expect(beats.map(\.heartbeat.isIdle) == [false, true])
        #expect(beats.allSatisfy { $0.heartbeat.watermark == .distantPast })
    }

    @Test("Event time, wall clock, and never beyond the wall clock")
    func clocks() throws {
        let harness = try Harness(.telemetry)
        let start: Int64 = 1_795_521_600
        for second: Int64 in 0..<3 { harness.send(sample(start + second)) }
        let event = EventTime(seconds: start + 2 - 120)
        harness.task.heartbeat(isCaughtUp: false, wallClock: nil)
        harness.task.heartbeat(isCaughtUp: true, wallClock: nil)
        harness.task.heartbeat(isCaughtUp: true, wallClock: EventTime(seconds: start + 1_000))
        harness.task.heartbeat(isCaughtUp: true, wallClock: EventTime(seconds: start))
        harness.task.heartbeat(isCaughtUp: true, wallClock: EventTime(seconds: start - 1_000))
        harness.task.heartbeat(isCaughtUp: false, wallClock: EventTime(seconds: start - 2_000))
        harness.task.heartbeat(isCaughtUp: false, wallClock: EventTime(seconds: start))
        let beats = try harness.takeHeartbeats().filter { $0.topic == .outlooks && $0.partition == 1 }.map(\.heartbeat)
        #expect(
            beats.map(\.watermark) == [
                event, EventTime(seconds: start + 1_000 - 120), event, EventTime(seconds: start - 1_000),
                EventTime(seconds: start - 2_000), event,
            ], "the second says what the first said and is held back")
        #expect(beats.allSatisfy { !$0.isIdle })
        #expect(harness.task.watermark == event)
    }

    @Test(
        "The other inputs are idle when caught up without a wall clock",
        arguments: [
            TopicName.interactions, .environment, .outcomes, .policies, .commands,
        ])
    func others(inbox: TopicName) throws {
        let harness = try Harness(inbox)
        harness.task.heartbeat(isCaughtUp: false, wallClock: nil)
        harness.task.heartbeat(isCaughtUp: true, wallClock: nil)
        harness.task.heartbeat(isCaughtUp: true, wallClock: EventTime(seconds: 1_795_521_600))
        let beats = try harness.takeHeartbeats().filter { $0.topic == .outlooks && $0.partition == 1 }.map(\.heartbeat)
        #expect(beats.map(\.isIdle) == [false, true, false])
    }

    @Test("One that says nothing new is held back, but not for ever")
    func heldBack() throws {
        let harness = try Harness(.telemetry)
        for _ in 0..<21 { harness.task.heartbeat(isCaughtUp: true, wallClock: nil) }
        #expect(try harness.takeHeartbeats().count == 3 * 8)
    }

    @Test("Heartbeats change neither the state nor what follows")
    func harmless() throws {
        let quiet = try Harness(.telemetry)
        let noisy = try Harness(.telemetry)
        for second: Int64 in 0..<50 {
            quiet.send(sample(1_795_521_600 + second))
            noisy.send(sample(1_795_521_600 + second))
            noisy.task.heartbeat(isCaughtUp: second % 3 == 0, wallClock: EventTime(seconds: 1_795_521_600 + second))
        }
        #expect(try byDestination(quiet.take()) == byDestination(noisy.take()))
        #expect(quiet.task.freeze().digest == noisy.task.freeze().digest)
    }
}
