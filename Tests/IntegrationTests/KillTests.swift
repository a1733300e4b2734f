import Foundation
import Kafka
import Messages
import Simulation
import Testing
import TwinCore

@Suite("The pipeline over a real broker", .serialized, .tags(.integration))
struct PipelineOverBrokerTests {
    @Test(
        "Thirty kills at random moments lose nothing and double nothing", .timeLimit(.minutes(6)),
        arguments: BrokerKind.available)
    func kills(kind: BrokerKind) async throws {
        let seed = PipelineRun.chooseSeed()
        say("seed \(seed): TWINSCALE_KILL_SEED=\(seed) repeats it")
        try await checking { findings in
            let run = try PipelineRun(kind, seed: seed, records: 6_000)
            try run.fleet.start()
            let feeder = run.feed(seconds: 70)
            var stall: UInt32 = 150
            // More than thirty if none of them has hit between output and commit.
            while run.kills < 30 || (run.kills < 45 && !feeder.isDone && stall > 150) {
                // Mostly singly, sometimes in a burst.
                try run.pause(seconds: run.random.chance(0.2) ? 0 : run.random.unit() * 4)
                try run.killOne(pauseSecondsMax: 1, stallMilliseconds: stall)
                // A slow machine needs more time to get there.
                if run.kills % 10 == 0 { stall = try run.hasRepeats() ? 150 : stall + 300 }
            }
            let verdict = try run.finish(feeder)
            run.report("kills", verdict)
            findings.expectNone(verdict.violations)
            findings.expectNone(run.fleet.unexpected)
            findings.expect(verdict.entries > 20_000, "only \(verdict.entries) entries")
            findings.expect(verdict.repeats > 0, "no kill has hit between output and commit: the test shows nothing")
            findings.expect(verdict.actions > 0, "no action")
            // That the oracle has nothing to say means something only if it sees a single lost frame.
            let partition = TopicPartition(.forecasts, run.random.chance(0.5) ? 0 : 1)
            guard let contents = run.contents, let lost = Self.frame(in: contents[partition]) else {
                throw Trouble("there is no frame in \(partition)")
            }
            // Whoever reads on for long enough behind the gap stops there, which is the loudest way to notice it.
            let doubtful = try? Verdict(contents.losing(partition, at: lost), run.fleet)
            findings.expect(doubtful?.violations.isEmpty != true, "a lost frame has gone unnoticed")
        }
    }

    /// A frame from the middle of a log, with entries that stand nowhere else: the loss of a repeat harms nobody.
    private static func frame(in records: [SimulatedLog.Stored]) -> Int? {
        struct Number: Hashable {
            var sender: TaskID
            var sequence: TwinCore.Sequence
        }
        var counts: [Number: Int] = [:]
        var firsts: [Number?] = []
        for record in records {
            guard let frame = record.value.flatMap({ Oracle.entries(of: $0) }) else {
                firsts.append(nil)
                continue
            }
            let numbers = frame.entries.map { Number(sender: frame.header.sender, sequence: $0.sequence) }
            for number in numbers { counts[number, default: 0] += 1 }
            firsts.append(numbers.first)
        }
        return records.indices.dropFirst(records.count / 2).first { index in
            firsts[index].map { counts[$0] == 1 } ?? false
        }
    }

    @Test(
        "Workers that come and go while records flow lose nothing and double nothing", .timeLimit(.minutes(5)),
        arguments: BrokerKind.available)
    func rebalances(kind: BrokerKind) async throws {
        let seed = PipelineRun.chooseSeed()
        say("seed \(seed): TWINSCALE_KILL_SEED=\(seed) repeats it")
        try await checking { findings in
            let run = try PipelineRun(kind, seed: seed, records: 3_500)
            try run.fleet.start(perStage: 1)
            let feeder = run.feed(seconds: 45)
            // Tansu's coordinator gives nobody a partition any more if members leave while others are still joining.
            let settling: Duration = kind == .tansu ? .seconds(6) : .zero
            var changed: [StageName: ContinuousClock.Instant] = [:]
            for _ in 0..<10 {
                try run.pause(seconds: run.random.unit() * 4)
                let stage = StageName.allCases[run.random.int(0...4)]
                if let last = changed[stage], last.duration(to: .now) < settling { continue }
                changed[stage] = .now
                let workers = run.fleet.running.filter { run.fleet.slots[$0].stage == stage }
                if workers.count > 1, run.random.chance(0.5) {
                    run.fleet.retire(workers[run.random.int(0...(workers.count - 1))])
                } else {
                    try run.fleet.add(stage)
                }
            }
            let verdict = try run.finish(feeder)
            run.report("rebalances", verdict)
            findings.expectNone(verdict.violations)
            findings.expectNone(run.fleet.unexpected)
        }
    }

    @Test(
        "A broker that cannot be reached for a while costs time and nothing else", .timeLimit(.minutes(5)),
        arguments: BrokerKind.available)
    func outages(kind: BrokerKind) async throws {
        let seed = PipelineRun.chooseSeed()
        say("seed \(seed): TWINSCALE_KILL_SEED=\(seed) repeats it")
        try await checking { findings in
            let run = try PipelineRun(kind, seed: seed, records: 3_500)
            try run.fleet.start()
            let feeder = run.feed(seconds: 40)
            try run.pause(seconds: 12)
            // Shorter than the session, then longer.
            for seconds in [2.0, 9.0] {
                try run.broker.interrupt()
                try run.pause(seconds: seconds)
                try run.broker.resume()
                try run.pause(seconds: 6)
            }
            let verdict = try run.finish(feeder)
            run.report("outages", verdict)
            findings.expectNone(verdict.violations)
            findings.expectNone(run.fleet.unexpected)
        }
    }
}
