import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Normalization

@Suite("Event time moves the watermark, a stray time does not")
struct ClockTests {
    private let start: Int64 = 1_795_521_600

    /// One record per element; each holds these seconds after `start`.
    private func clock(_ records: [[Int64]], settings: NormalizerSettings = NormalizerSettings()) -> EventClock {
        var clock = EventClock(settings)
        for record in records {
            clock.beginRecord()
            for seconds in record { clock.observe(EventTime(seconds: start + seconds)) }
        }
        return clock
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
            return records.map { seconds in
                clock.beginRecord()
                return clock.observe(EventTime(seconds: start + seconds))
            }
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

    @Test("The watermark never falls, whatever comes", arguments: [1, 2, 3] as [UInt64])
    func monotone(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var clock = EventClock(NormalizerSettings())
        var before = EventTime.distantPast
        for _ in 0..<20_000 {
            clock.beginRecord()
            let time = Int64.random(in: 631_152_000_000..<4_102_444_800_000, using: &random)
            clock.observe(EventTime(milliseconds: time))
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
