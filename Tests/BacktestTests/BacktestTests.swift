import TestKit
import Testing
import TwinCore

@testable import Backtest

/// A small fleet with a daily pattern, noise, and a lasting jump of every second resource in the middle.
struct SyntheticFleet {
    var resources = 3
    var ticks = 2_000
    var stepSeconds = 300
    var start = 1_700_006_400
    var seed: UInt64 = 1

    struct Row { var time: Int, resource: Int, value: Double }

    var rows: [Row] {
        var random = SeededRandom(seed: seed)
        var rows: [Row] = []
        for tick in 0..<ticks {
            for resource in 0..<resources {
                let share = Double(tick * stepSeconds % 86_400) / 86_400
                let day = 1 - (2 * share - 1).magnitude
                var value = 100 + 80 * day + 4 * random.normal()
                if resource % 2 == 1, tick > ticks / 2 { value += 60 }
                rows.append(
                    Row(time: start + tick * stepSeconds, resource: resource, value: (value * 1_000).rounded() / 1_000))
            }
        }
        return rows
    }

    static func csv(_ rows: [Row]) -> String {
        var text = "timestamp,resource,metric,value\n"
        for row in rows { text += "\(row.time),svc-\(row.resource),requests,\(row.value)\n" }
        return text
    }
}

let fleetPolicies = """
    policies:
      - name: svc-0
        match: {resource: svc-0}
        mode: act
        capacityPerReplica: 10
        targetUtilisation: 0.8
        replicas: {min: 1, max: 100, initial: 10}
        provisioningDelaySeconds: 180
        decisionIntervalSeconds: 60
        shortageTarget: 0.01
      - name: svc-1
        match: {resource: svc-1}
        mode: act
        capacityPerReplica: 10
        targetUtilisation: 0.8
        replicas: {min: 1, max: 100, initial: 10}
        provisioningDelaySeconds: 120
        decisionIntervalSeconds: 60
        shortageTarget: 0.05
        metric: requests
    """

let results = ["forecasts.csv", "decisions.csv", "drift.csv"]

@Suite("Backtest")
struct BacktestTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @discardableResult
    func run(
        _ telemetry: String, to name: String, restartsAfterRows: UInt64 = 0,
        _ change: (inout BacktestOptions) throws -> Void = { _ in }
    ) throws -> BacktestSummary {
        var options = BacktestOptions(telemetry: telemetry, outputDirectory: "\(scratch.path)/\(name)")
        try change(&options)
        let backtest = try Backtest(options)
        backtest.restartsAfterRows = restartsAfterRows
        return try backtest.run()
    }

    func lines(_ name: String) throws -> [String] {
        try scratch.text(name).split(separator: "\n").map { String($0) }
    }

    @Test("the files have the promised columns, plain decimals, ascending quantiles, a row per sample and horizon")
    func contract() throws {
        let fleet = SyntheticFleet()
        let telemetry = try scratch.write("t.csv", SyntheticFleet.csv(fleet.rows))
        let policies = try scratch.write("p.yaml", fleetPolicies)
        let summary = try run(telemetry, to: "out") { $0.policies = policies }
        let forecasts = try lines("out/forecasts.csv")
        #expect(forecasts.first == "issued_at,resource,metric,horizon_s,mean,q10,q50,q90,q95,q99")
        #expect(forecasts.count == 1 + fleet.rows.count * 4)
        for line in forecasts.dropFirst() {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            #expect(fields.count == 10 && !line.dropFirst(fields[0].count).contains("e+"))
            let numbers = fields[5...].compactMap { Double($0) }
            try #require(numbers.count == 5, "\(line)")
            #expect(numbers == numbers.sorted(), "\(line)")
            guard numbers == numbers.sorted() else { break }
        }
        #expect(forecasts[1].hasPrefix("1700006400,svc-0,requests,300,"))
        let decisions = try lines("out/decisions.csv")
        #expect(decisions.first == "timestamp,resource,desired_replicas,reason")
        #expect(decisions.count == 1 + 2 * fleet.ticks)
        #expect(decisions[1].hasPrefix("1700006400,svc-0,"))
        let drift = try lines("out/drift.csv")
        #expect(drift.first == "timestamp,resource,metric,kind,score")
        let jump = "\(fleet.start + (fleet.ticks / 2) * fleet.stepSeconds)"
        #expect(drift.contains { $0.contains(",svc-1,requests,") && $0 > jump }, "the jump was not noticed")
        #expect(summary.telemetry.rows == UInt64(fleet.rows.count))
        #expect(summary.decisionRows == UInt64(decisions.count - 1))
        #expect(summary.driftRows == UInt64(drift.count - 1))
        #expect(summary.accuracy.count == 4)
        #expect(summary.carried.count > 1 && (summary.carried.map(\.share).reduce(0, +) - 1).magnitude < 1e-9)
        let text = summary.text(outputDirectory: "out")
        #expect(text.contains("* is worse") && !text.replacing("* is worse", with: "").contains("*"))
        #expect(text.contains("weight in the ensemble: ") && text.hasPrefix("6 000 samples of "))
        for score in summary.accuracy { #expect(score.count > 5_000 && score.quantileLossRatio < 1) }
        #expect(try scratch.text("out/summary.json").hasPrefix("{\"telemetry\":{\"file\":\"t\",\"rows\":6000,"))
    }

    @Test("days are learned by the clock that is set, and turn with it")
    func clock() throws {
        let turn = 1_774_746_000  // 2026-03-29T01:00:00Z
        let rows = SyntheticFleet(resources: 1, ticks: 900, start: turn - 600 * 300).rows
        let telemetry = try scratch.write("t.csv", SyntheticFleet.csv(rows))
        let rules = ["CET-1", "CET-1CEST,M3.5.0,M10.5.0/3"]
        for (index, rule) in rules.enumerated() {
            let clock = try #require(LocalTime(posix: rule))
            try run(telemetry, to: "out-\(index)") { $0.clock = clock }
        }
        let forecasts = [try lines("out-0/forecasts.csv"), try lines("out-1/forecasts.csv")]
        // The longest horizon reaches the turn first.
        let first = zip(forecasts[0], forecasts[1]).first { $0 != $1 }
        let issued = try #require(first?.0.split(separator: ",").first.flatMap { Int($0) })
        #expect(issued >= turn - 3_600 && issued <= turn + 300, "\(issued)")
    }

    @Test("the same files give the same results byte for byte, plain or compressed, in order or grouped by resource")
    func deterministic() throws {
        let rows = SyntheticFleet(ticks: 900).rows
        let text = SyntheticFleet.csv(rows)
        let grouped = rows.enumerated().sorted { ($0.element.resource, $0.offset) < ($1.element.resource, $1.offset) }
        let files = [
            try scratch.write("a/b.csv".replacing("/", with: "-"), text),
            try scratch.write("b.csv.gz", gzip(Array(text.utf8))),
            try scratch.write("c.csv", SyntheticFleet.csv(grouped.map(\.element))),
        ]
        let policies = try scratch.write("p.yaml", fleetPolicies)
        for (index, file) in files.enumerated() { try run(file, to: "out\(index)") { $0.policies = policies } }
        try run(files[0], to: "again") { $0.policies = policies }
        for name in results {
            let first = try scratch.read("out0/\(name)")
            #expect(first.count > 30)
            for other in ["out1", "out2", "again"] {
                #expect(try scratch.read("\(other)/\(name)") == first, "\(other)")
            }
        }
        func withoutRun(_ name: String) throws -> Substring {
            try scratch.text(name).split(separator: ",\"run\":")[0]
        }
        #expect(try withoutRun("out0/summary.json") == withoutRun("again/summary.json"))
    }

    @Test("stages that are restored from their snapshots half way go on to the same bytes", arguments: [1, 2, 3])
    func restored(seed: Int) throws {
        var fleet = SyntheticFleet(ticks: 900)
        fleet.seed = UInt64(seed)
        let file = try scratch.write("t.csv", SyntheticFleet.csv(fleet.rows))
        let policies = try scratch.write("p.yaml", fleetPolicies)
        let edges = try scratch.write("e.csv", "source,target,weight\nsvc-0,svc-1,2\nsvc-1,svc-2,1\n")
        for (name, rows) in [("straight", 0), ("early", 7), ("half", fleet.rows.count / 2)] {
            try run(file, to: name, restartsAfterRows: UInt64(rows)) {
                $0.policies = policies
                $0.edges = edges
            }
        }
        for name in results {
            let straight = try scratch.read("straight/\(name)")
            #expect(straight.count > 30)
            for other in ["early", "half"] {
                #expect(try scratch.read("\(other)/\(name)") == straight, "seed \(seed): \(name), \(other)")
            }
        }
    }

    @Test("nothing that is stamped up to a cut depends on what comes after it", arguments: [1, 2, 3])
    func noLeak(seed: Int) throws {
        var fleet = SyntheticFleet(ticks: 1_500)
        fleet.seed = UInt64(seed)
        let rows = fleet.rows
        var random = SeededRandom(seed: UInt64(seed) &+ 99)
        let cut = fleet.start + fleet.stepSeconds * Int.random(in: 800..<1_300, using: &random)
        var tampered: [SyntheticFleet.Row] = []
        for var row in rows {
            if row.time > cut {
                row.value = Double.random(in: 0..<1_000, using: &random)
                if Bool.random(using: &random) { continue }
            }
            tampered.append(row)
        }
        let policies = try scratch.write("p.yaml", fleetPolicies)
        let edges = try scratch.write("e.csv", "source,target,weight\nsvc-0,svc-1,2\nsvc-1,svc-2,1\n")
        for (name, rows) in [("honest", rows), ("tampered", tampered)] {
            let file = try scratch.write("\(name).csv", SyntheticFleet.csv(rows))
            try run(file, to: name) {
                $0.policies = policies
                $0.edges = edges
            }
        }
        for name in results {
            func before(_ run: String) throws -> [String] {
                try lines("\(run)/\(name)").dropFirst().filter { line in
                    (line.split(separator: ",").first.flatMap { Int($0) } ?? .max) <= cut
                }
            }
            let honest = try before("honest")
            #expect(honest.count > (name == "drift.csv" ? 0 : 1_000), "seed \(seed): \(name)")
            #expect(try before("tampered") == honest, "seed \(seed): \(name)")
        }
    }

    @Test("with origins only what is asked for is written, and it is what would have been written anyway")
    func origins() throws {
        let fleet = SyntheticFleet(ticks: 600)
        let telemetry = try scratch.write("trace.csv.gz", gzip(Array(SyntheticFleet.csv(fleet.rows).utf8)))
        let moments = [100, 101, 350, 599].map { fleet.start + $0 * fleet.stepSeconds }
        var text = "kind,file,resource,metric,step_s,origin\n"
        for moment in moments.reversed() {
            text += "x,trace.csv.gz,svc-2,requests,60,\(moment)\nx,trace,svc-0,requests,60,\(moment)\n"
            text += "x,other,svc-1,requests,60,\(moment)\n"
        }
        text += "x,trace,svc-0,requests,60,\(fleet.start + 1)\n"
        let origins = try scratch.write("origins.csv", text)
        let summary = try run(telemetry, to: "asked") { $0.origins = origins }
        try run(telemetry, to: "all")
        #expect(summary.originsAsked == 9)
        #expect(summary.originsAnswered == 8)
        let asked = try lines("asked/forecasts.csv")
        let expected = try lines("all/forecasts.csv").filter { line in
            let fields = line.split(separator: ",")
            return fields[0] == "issued_at"
                || (fields[1] != "svc-1" && moments.contains(Int(fields[0]) ?? 0))
        }
        #expect(asked.count == 1 + 8 * 4)
        #expect(asked == expected)
    }

    @Test("a series that never changes is forecast as it stands")
    func constant() throws {
        var text = "timestamp,resource,metric,value\n"
        for tick in 0..<500 { text += "\(1_700_000_000 + tick * 300),a,m,42.5\n" }
        try run(try scratch.write("t.csv", text), to: "out")
        let last = try lines("out/forecasts.csv").suffix(4)
        let expected = [300, 900, 1_800, 3_600].map { "1700149700,a,m,\($0),42.5," }
        for (line, start) in zip(last, expected) {
            #expect(line.hasPrefix(start) && line.split(separator: ",")[6] == "42.5", "\(line)")
        }
        #expect(try lines("out/drift.csv").count == 1)
    }

    @Test("horizons below one step are left out, and traces whose clock starts at zero are taken")
    func stepsAndClocks() throws {
        var text = "timestamp,resource,metric,value\n"
        for tick in 0..<300 { text += "\(tick * 3_600),H1,value,\(500 + tick % 24)\n" }
        let summary = try run(try scratch.write("t.csv", text), to: "out")
        let rows = try lines("out/forecasts.csv").filter { $0.hasPrefix("1076400,") }
        #expect(rows.count == 1 && rows[0].hasPrefix("1076400,H1,value,3600,"))
        #expect(summary.telemetry.start == 0)
        #expect(summary.telemetry.end == 1_076_400)
        #expect(summary.accuracy.map(\.horizonSeconds) == [3_600])
    }

    @Test("repeated and late rows are counted and change no forecast of others")
    func repeatedAndLate() throws {
        var rows = SyntheticFleet(resources: 2, ticks: 300).rows
        let clean = try run(try scratch.write("a.csv", SyntheticFleet.csv(rows)), to: "clean")
        rows.insert(rows[100], at: 101)
        rows.insert(rows[90], at: 203)
        let summary = try run(try scratch.write("b.csv", SyntheticFleet.csv(rows)), to: "late")
        #expect(clean.telemetry.lateRows == 0)
        #expect(summary.telemetry.lateRows == 1)
        #expect(summary.forecastsIssued == clean.forecastsIssued)
        let other: (String) -> Bool = { $0.contains(",svc-1,") }
        #expect(try lines("late/forecasts.csv").filter(other) == lines("clean/forecasts.csv").filter(other))
    }

    @Test("an empty file gives empty results")
    func empty() throws {
        let summary = try run(try scratch.write("t.csv", "timestamp,resource,metric,value\n"), to: "out")
        #expect(summary.telemetry.rows == 0)
        for name in results { #expect(try lines("out/\(name)").count == 1) }
        #expect(summary.warnings == ["there is no sample in t"])
        #expect(summary.text(outputDirectory: "out").contains("no forecast met its sample"))
        #expect(summary.text(outputDirectory: "out").hasPrefix("0 samples of 0 series of 0 resources"))
        var one = summary
        one.telemetry.rows = 1
        one.telemetry.resources = 1
        #expect(one.text(outputDirectory: "out").hasPrefix("1 sample of 0 series of 1 resource\n"))
    }

    @Test("horizons are read from a list, and what is none is named")
    func horizons() throws {
        #expect(try BacktestOptions.horizons("900, 300,900") == [300, 900])
        for text in ["", "5m", "300,,900", "-1", "0", "1.5"] {
            #expect(throws: BacktestError.self) { try BacktestOptions.horizons(text) }
        }
    }
}
