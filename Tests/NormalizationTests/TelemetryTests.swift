import Messages
import Normalization
import Testing
import TwinCore

@Suite("Telemetry becomes samples")
struct TelemetryTests {
    private func sample(_ fields: String, ts: Int = 1_795_521_600) -> String { "{\"ts\":\(ts),\(fields)}" }

    @Test("A sample goes to the partition of its locality, behind the tags of its resource")
    func route() throws {
        let harness = try Harness(.telemetry)
        let more = "\"locality\":\"eu-1\",\"class\":\"service\""
        harness.send(sample("\"resource\":\"a\",\"metric\":\"cpu\",\"value\":0.5,\(more)"))
        let outputs = try harness.takeHome()
        #expect(outputs.map(\.kind) == [.tags, .sample])
        #expect(outputs.allSatisfy { $0.partition == harness.partition(of: "eu-1") && $0.topic == .observations })
        #expect(outputs[0].object == "eu-1" && outputs[0].text == "{\"class\":\"service\",\"tags\":{}}")
        #expect(outputs[1].resource == "a" && outputs[1].object == "cpu" && outputs[1].value == 0.5)
        #expect(outputs[1].time == 1_795_521_600_000)
        #expect(SampleCode(raw: outputs[1].code).role == .demand)
    }

    @Test("The directory places samples that name no locality, and tags are announced only when they change")
    func directory() throws {
        let harness = try Harness(.telemetry)
        let tags = "\"tags\":{\"zone\":\"z\",\"cluster\":\"c1\"}"
        harness.send(sample("\"resource\":\"a\",\"metric\":\"rps\",\"value\":1,\(tags)"))
        harness.send(sample("\"resource\":\"a\",\"metric\":\"rps\",\"value\":2"))
        let same = "\"tags\":{ \"cluster\":\"c1\", \"zone\":\"z\"}"
        harness.send(sample("\"resource\":\"a\",\"metric\":\"rps\",\"value\":3,\(same)"))
        harness.send(sample("\"resource\":\"a\",\"metric\":\"rps\",\"value\":4,\(tags),\"class\":\"vm\""))
        let outputs = try harness.takeHome()
        #expect(outputs.map(\.kind) == [.tags, .sample, .sample, .sample, .tags, .sample])
        #expect(outputs.allSatisfy { $0.partition == harness.partition(of: "c1") })
        #expect(outputs[0].text == "{\"tags\":{\"cluster\":\"c1\",\"zone\":\"z\"}}")
        #expect(outputs[4].text == "{\"class\":\"vm\",\"tags\":{\"cluster\":\"c1\",\"zone\":\"z\"}}")
        #expect(harness.count("tagsChanged") == 1)
    }

    @Test("A sample of a resource whose locality nobody knows goes to all partitions and says so")
    func unrouted() throws {
        let harness = try Harness(.telemetry)
        harness.send(sample("\"resource\":\"a\",\"metric\":\"rps\",\"value\":1"))
        let outputs = try harness.take()
        let samples = outputs.filter { $0.kind == .sample }
        #expect(samples.map(\.partition) == [0, 1, 2, 3])
        #expect(samples.allSatisfy { SampleCode(raw: $0.code).isUnrouted })
        #expect(SampleCode(raw: samples[0].code).role == .demand)
        #expect(harness.count("unrouted") == 1)
        // Who it is goes to where it will be kept: the partition that its name leads to.
        #expect(outputs.filter { $0.kind == .tags }.map(\.partition) == [harness.partition(of: "a")])
    }

    @Test("Where its name leads is told that a resource lives elsewhere, as soon as its locality is known")
    func elsewhere() throws {
        var settings = NormalizerSettings()
        settings.jumpConfirmations = 1
        let harness = try Harness(.telemetry, settings: settings)
        let home = harness.partition(of: "eu-1")
        let name = try #require(
            ["a", "b", "c", "d", "e"].first { harness.partition(of: $0) != home }, "five names, one partition")
        let known = "\"locality\":\"eu-1\""
        harness.send(sample("\"resource\":\"\(name)\",\"metric\":\"x\",\"value\":1"))
        harness.send(sample("\"resource\":\"\(name)\",\"metric\":\"x\",\"value\":1,\(known)"))
        var gone = try harness.take().filter { $0.kind == .gone }
        #expect(gone.map(\.partition) == [harness.partition(of: name)] && gone.map(\.object) == ["eu-1"])
        #expect(gone.map { Int32($0.code) } == [home])
        // It is said again now and then, as of the last record that named the locality.
        harness.send(sample("\"resource\":\"\(name)\",\"metric\":\"x\",\"value\":1", ts: 1_795_521_600 + 21_600))
        let outputs = try harness.take()
        gone = outputs.filter { $0.kind == .gone }
        #expect(gone.map(\.partition) == [harness.partition(of: name)])
        #expect(outputs.filter { $0.kind == .tags }.map(\.partition) == [home])
        #expect(outputs.filter { $0.kind != .sample }.allSatisfy { $0.time == 1_795_521_600_000 })
    }

    @Test("A composite locality is joined from tags, and the explicit table goes before the hash")
    func composite() throws {
        var settings = NormalizerSettings()
        settings.localityType = "cluster/namespace"
        settings.partitionTable = [.init(locality: "c/shop", partition: 3), .init(locality: "c/ads", partition: 6)]
        let harness = try Harness(.telemetry, settings: settings)
        for (name, tags) in [("a", "\"namespace\":\"shop\","), ("b", "\"namespace\":\"ads\","), ("d", "")] {
            let tags = "\"tags\":{\(tags)\"cluster\":\"c\"}"
            harness.send(sample("\"resource\":\"\(name)\",\"metric\":\"x\",\"value\":1,\(tags)"))
        }
        let outputs = try harness.takeHome()
        #expect(outputs.filter { $0.resource == "a" }.allSatisfy { $0.partition == 3 })
        #expect(outputs.filter { $0.resource == "b" }.allSatisfy { $0.partition == 2 })
        #expect(outputs.first { $0.resource == "a" }?.object == "c/shop")
        #expect(outputs.filter { $0.resource == "d" && $0.kind == .sample }.count == 4)
    }

    @Test("A resource that moves is announced to its new partition and gone from the old one")
    func move() throws {
        var settings = NormalizerSettings()
        settings.partitionTable = [.init(locality: "old", partition: 0), .init(locality: "new", partition: 2)]
        settings.jumpConfirmations = 1
        let harness = try Harness(.telemetry, settings: settings)
        let tags = "\"tags\":{\"rack\":\"r\"}"
        harness.send(sample("\"resource\":\"a\",\"metric\":\"x\",\"value\":1,\"locality\":\"old\",\(tags)"))
        harness.send(sample("\"resource\":\"a\",\"metric\":\"x\",\"value\":2,\"locality\":\"new\"", ts: 1_795_521_660))
        harness.send(sample("\"resource\":\"a\",\"metric\":\"x\",\"value\":3,\"locality\":\"old\"", ts: 1_795_521_630))
        let outputs = try harness.take()
        #expect(outputs.filter { $0.partition == 0 }.map(\.kind) == [.tags, .sample, .gone])
        #expect(outputs.filter { $0.partition == 2 }.map(\.kind) == [.tags, .sample, .sample])
        #expect(outputs.first { $0.kind == .gone }?.object == "new")
        #expect(outputs.last { $0.kind == .tags }?.text == "{\"tags\":{\"rack\":\"r\"}}")
        #expect(harness.count("resourcesMoved") == 1)
        #expect(harness.count("descriptionsOutdated") == 1)
    }

    @Test("Role and kind: the sample's word, else the declaration, else the name")
    func codes() throws {
        var settings = NormalizerSettings()
        settings.metrics = [
            MetricDeclaration(name: "orders", role: .demand, unit: "/min", isCounter: false),
            MetricDeclaration(name: "lag", isCounter: true),
        ]
        let harness = try Harness(.telemetry, settings: settings)
        func code(_ fields: String) throws -> Output {
            harness.send(sample("\"resource\":\"a\",\"locality\":\"l\",\(fields)"))
            return try #require(try harness.take().last)
        }
        let orders = try code("\"metric\":\"orders\",\"value\":60")
        #expect(SampleCode(raw: orders.code).role == .demand && orders.value == 1)
        let lag = SampleCode(raw: try code("\"metric\":\"lag\",\"value\":60").code)
        #expect(lag.role == .backlog && lag.isCounter)
        let total = SampleCode(raw: try code("\"metric\":\"http.requests_total\",\"value\":60").code)
        #expect(total.role == .demand && total.isCounter)
        let gauge = SampleCode(raw: try code("\"metric\":\"http.requests_total\",\"value\":6,\"kind\":\"gauge\"").code)
        #expect(!gauge.isCounter)
        let words = "\"role\":\"slo\",\"kind\":\"counter\""
        let stated = SampleCode(raw: try code("\"metric\":\"orders\",\"value\":6,\(words)").code)
        #expect(stated.role == .slo && stated.isCounter)
        let supply = SampleCode(raw: try code("\"metric\":\"workers\",\"value\":6,\"role\":\"supply\"").code)
        #expect(supply.role == .supply)
        #expect(SampleCode(raw: try code("\"metric\":\"cpu\",\"value\":6,\"unit\":\"%\"").code).role == .utilisation)
        #expect(SampleCode(raw: try code("\"metric\":\"Ready-Replicas\",\"value\":6").code).role == .supply)
        #expect(SampleCode(raw: try code("\"metric\":\"p95_ms\",\"value\":6").code).role == .slo)
        #expect(SampleCode(raw: try code("\"metric\":\"wind\",\"value\":6").code).role == .unknown)
    }

    @Test("A unit that is not understood leaves the value as it stands and is counted once per series")
    func unknownUnit() throws {
        let harness = try Harness(.telemetry)
        let rest = "\"locality\":\"l\",\"metric\":\"x\",\"value\":7,\"unit\":\"furlong\""
        for name in ["a", "a", "a", "b"] { harness.send(sample("\"resource\":\"\(name)\",\(rest)")) }
        #expect(try harness.take().filter { $0.kind == .sample }.allSatisfy { $0.value == 7 })
        #expect(harness.count("unknownUnits") == 4 && harness.count("unknownUnitSeries") == 2)
    }

    @Test("A record with several metrics, an array and lines give one sample each")
    func shapes() throws {
        let harness = try Harness(.telemetry)
        let one = "{\"resource\":\"a\",\"locality\":\"l\",\"ts\":1795521600,\"metrics\":{\"cpu\":1,\"rps\":2}}"
        harness.send("[\(one),\(one)]")
        harness.send("\(one)\n\(one)\n")
        #expect(try harness.take().filter { $0.kind == .sample }.count == 8)
    }

    @Test("When names run out, samples are counted, not taken, and nothing stops")
    func namesRunOut() throws {
        let harness = try Harness(.telemetry, namesMax: 3)
        for name in ["a", "b", "c"] {
            harness.send(sample("\"resource\":\"\(name)\",\"locality\":\"l\",\"metric\":\"x\",\"value\":7"))
        }
        #expect(try harness.take().filter { $0.kind == .sample }.map(\.resource) == ["a"])
        #expect(harness.count("namesRefused") == 2)
    }

    @Test("When the directory is full, samples still find their way by the locality they name")
    func directoryFull() throws {
        var settings = NormalizerSettings()
        settings.resourcesMax = 1
        let harness = try Harness(.telemetry, settings: settings)
        for name in ["a", "b"] {
            harness.send(sample("\"resource\":\"\(name)\",\"locality\":\"l\",\"metric\":\"x\",\"value\":7"))
        }
        let outputs = try harness.takeHome()
        #expect(outputs.filter { $0.resource == "b" }.map(\.kind) == [.sample])
        #expect(outputs.allSatisfy { $0.partition == harness.partition(of: "l") })
        #expect(harness.count("resourcesRefused") == 1)
    }
}
