import Testing

@testable import Backtest

@Suite("Files beside the telemetry")
struct DeclarationTests {
    private let suite: BacktestTests
    private var scratch: Scratch { suite.scratch }

    init() throws { suite = try BacktestTests() }

    private func reason(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("desired replicas follow the demand, and capacity that was asked for counts as ready after the delay")
    func decisionsFollowDemand() throws {
        var text = "timestamp,resource,metric,value\n"
        for tick in 0..<400 { text += "\(1_700_006_400 + tick * 60),svc-0,requests,\(tick < 200 ? 80 : 240)\n" }
        let telemetry = try scratch.write("t.csv", text)
        let policies = try scratch.write("p.yaml", fleetPolicies)
        let summary = try suite.run(telemetry, to: "out") { $0.policies = policies }
        let desired = try suite.lines("out/decisions.csv").dropFirst().compactMap { line in
            Int(line.split(separator: ",")[2])
        }
        #expect(desired.count == 400)
        #expect((10...11).contains(desired[150]))
        #expect((30...31).contains(desired[399]))
        #expect(summary.decisionChanges > 0 && summary.decisionChanges < 40)
    }

    @Test("a policy that is not understood is refused with its name, line and reason")
    func refusedPolicy() throws {
        let telemetry = try scratch.write("t.csv", "timestamp,resource,metric,value\n1700000000,a,m,1\n")
        let policies = try scratch.write(
            "p.yaml",
            "policies:\n  - name: good\n    match: {resource: a}\n  - name: bad\n    replicas: {min: 5, max: 2}\n")
        let text = reason { try suite.run(telemetry, to: "out") { $0.policies = policies } }
        #expect(text.contains("p.yaml, line 4: policy \"bad\": "), "\(text)")
        #expect(text.contains("replicas.min"), "\(text)")
    }

    @Test("one policy alone is taken as it is got, and one for nobody is told")
    func aPolicyAlone() throws {
        let telemetry = try scratch.write("t.csv", SyntheticFleet.csv(SyntheticFleet(ticks: 20).rows))
        let got = #""version":3,"mode":"act","capacityPerReplica":10,"replicas":{"min":1,"max":40,"initial":2}"#
        for (file, text, unmatched) in [
            ("shop.json", "{\"match\":{\"resource\":\"svc-0\"},\(got)}", []),
            ("all.json", "{\"name\":\"all\",\(got)}", []),
            ("list.json", "[{\"name\":\"one\",\"match\":{\"class\":\"queue\"},\(got)}]", ["one"]),
            ("tagged.json", "{\"match\":{\"tags\":{\"zone\":\"a\"}},\(got)}", ["tagged"]),
        ] {
            let policies = try scratch.write(file, text)
            let summary = try suite.run(telemetry, to: "out") { $0.policies = policies }
            #expect(summary.policiesUnmatched == unmatched)
            #expect(summary.warnings.count == unmatched.count && (summary.decisionRows > 0) == unmatched.isEmpty)
        }
    }

    @Test("names in policies stay names, even where yaml takes them for numbers")
    func numericNames() throws {
        let path = try scratch.write(
            "p.yaml", "- name: 007\n  match: {resource: 12, tags: {zone: 1}}\n  capacityPerReplica: 1e3\n  mode: act\n")
        let file = try PoliciesFile(path: path)
        #expect(
            String(decoding: file.policies[0].json, as: UTF8.self)
                == "{\"name\":\"007\",\"match\":{\"resource\":\"12\",\"tags\":{\"zone\":\"1\"}},"
                + "\"capacityPerReplica\":1000,\"mode\":\"act\"}")
    }

    @Test("counters become rates and units canonical where resources are declared; nothing changes without")
    func resources() throws {
        var text = "timestamp,resource,metric,value\n"
        for tick in 0..<200 {
            text += "\(1_700_000_000 + tick * 60),a,total,\(tick % 150 * 600)\n"
            text += "\(1_700_000_000 + tick * 60),a,latency,250\n"
        }
        let telemetry = try scratch.write("t.csv", text)
        let declared = try scratch.write(
            "r.yaml",
            """
            resources:
              - id: a
                class: service
                tags: {cluster: eu-1}
                metrics:
                  total: {kind: counter, role: demand, capacityPerUnit: 5}
                  latency: {unit: ms, role: slo}
            """)
        try suite.run(telemetry, to: "declared") { $0.resources = declared }
        try suite.run(telemetry, to: "plain")
        func mean(_ run: String, _ metric: String) throws -> Double {
            let line = try suite.lines("\(run)/forecasts.csv").last { $0.contains(",a,\(metric),300,") }
            return Double(try #require(line).split(separator: ",")[4]) ?? .nan
        }
        #expect(try mean("declared", "latency") == 0.25)
        #expect(try mean("plain", "latency") == 250)
        #expect((try mean("declared", "total") - 10).magnitude < 0.5)
        #expect(try mean("plain", "total") > 1_000)
        let policies = try scratch.write("p.yaml", "policies: [{name: a, match: {resource: a}, metric: total}]")
        let file = try PoliciesFile(path: policies, resources: ResourcesFile(path: declared))
        #expect(String(decoding: file.policies[0].json, as: UTF8.self).hasSuffix("\"capacityPerReplica\":5}"))
    }

    @Test("mistakes in a resources file are named with their line")
    func resourceMistakes() throws {
        let cases = [
            ("resources:\n  - id: a\n    metrics:\n      m: {unit: parsec}\n", "line 4", "parsec"),
            ("resources:\n  - id: a\n    kind: x\n", "line 3", "unknown key \"kind\""),
            ("resources:\n  - id: a\n  - id: a\n", "line 3", "stands twice"),
            ("resources:\n  - class: a\n", "line 2", "without id"),
            ("resource: []\n", "line 1", "\"resources:\" is expected"),
            ("resources: [\n", "", "not yaml"),
            ("resources:\n  - id: a\n    metrics: {m: {kind: meter}}\n", "line 3", "gauge or counter"),
        ]
        for (text, line, part) in cases {
            let path = try scratch.write("r.yaml", text)
            let found = reason { _ = try ResourcesFile(path: path) }
            #expect(found.contains(line) && found.contains(part), "\(found)")
        }
    }

    @Test("edges carry an expected change to the neighbour, and planned events lift the forecast")
    func edgesAndEvents() throws {
        let fleet = SyntheticFleet(resources: 2, ticks: 1_000)
        let telemetry = try scratch.write("t.csv", SyntheticFleet.csv(fleet.rows))
        let end = fleet.start + 999 * fleet.stepSeconds
        let events = try scratch.write(
            "e.csv",
            "start,end,scope_key,scope_value,kind,uplift\n\(end + 600),\(end + 7_200),resource,svc-0,campaign,3\n")
        let edges = try scratch.write("g.csv", "source,target,weight\nsvc-0,svc-1,1\n")
        try suite.run(telemetry, to: "plain")
        try suite.run(telemetry, to: "event") { $0.events = events }
        try suite.run(telemetry, to: "both") {
            $0.events = events
            $0.edges = edges
        }
        func mean(_ run: String, _ resource: String) throws -> Double {
            let line = try suite.lines("\(run)/forecasts.csv").last { $0.contains(",\(resource),requests,1800,") }
            return Double(try #require(line).split(separator: ",")[4]) ?? .nan
        }
        #expect(try mean("event", "svc-0") > 2.5 * mean("plain", "svc-0"))
        #expect(try mean("event", "svc-1") == mean("plain", "svc-1"))
        #expect(try mean("both", "svc-1") > 1.2 * mean("plain", "svc-1"))
    }

    @Test("mistakes in edges and events are named with their line")
    func graphMistakes() throws {
        let edges = try scratch.write("g.csv", "source,target,weight\na,b,1\n,b,1\n")
        #expect(reason { _ = try GraphFiles.edges(path: edges) }.contains("line 3: source is empty"))
        let negative = try scratch.write("h.csv", "source,target,weight\na,b,-1\n")
        #expect(reason { _ = try GraphFiles.edges(path: negative) }.contains("line 2: weight is below 0"))
        let header = "start,end,scope_key,scope_value,kind,uplift\n"
        let backwards = try scratch.write("e.csv", header + "20,10,resource,a,x,2\n")
        #expect(reason { _ = try GraphFiles.events(path: backwards) }.contains("line 2: the event ends before"))
        let huge = try scratch.write("e.csv", header + "10,20,resource,a,x,2000\n")
        #expect(reason { _ = try GraphFiles.events(path: huge) }.contains("line 2: an uplift above 1000"))
    }
}
