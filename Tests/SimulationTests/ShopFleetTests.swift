import Messages
import Testing

@testable import Simulation

@Suite("The simulated shop")
struct ShopFleetTests {
    private static func lived(seed: UInt64, minutes: Int = 300) -> ShopFleet {
        let story = ShopStory(seed: seed, historyDays: 0, liveMinutes: max(minutes, ShopStory.liveMinutesMin))
        var fleet = ShopFleet(seed: seed, story: story)
        fleet.beginLive()
        for _ in 0..<minutes { fleet.advanceMinute() }
        return fleet
    }

    @Test("the same seed lives through the same, another does not", arguments: [1, 7, 1_000_003] as [UInt64])
    func isDeterministic(seed: UInt64) {
        let (a, b, other) = (Self.lived(seed: seed), Self.lived(seed: seed), Self.lived(seed: seed + 1))
        #expect(a.demandHistory == b.demandHistory)
        #expect(a.reactive.history == b.reactive.history)
        #expect(a.reactive.shortSeconds == b.reactive.shortSeconds)
        #expect(a.demandHistory != other.demandHistory)
    }

    @Test("demand does not depend on capacity")
    func demandIgnoresCapacity() {
        let story = ShopStory(seed: 3, historyDays: 0, liveMinutes: 120)
        var rich = ShopFleet(seed: 3, story: story)
        var poor = ShopFleet(seed: 3, story: story)
        rich.beginLive()
        poor.beginLive()
        for _ in 0..<120 {
            for service in Shop.services.indices {
                rich.order(service, 80, at: rich.time)
                poor.order(service, 2, at: poor.time)
            }
            rich.advanceMinute()
            poor.advanceMinute()
        }
        #expect(rich.demandHistory == poor.demandHistory)
        #expect(rich.twinned.shortMinutes <= poor.twinned.shortMinutes)
        #expect(rich.twinned.cost > poor.twinned.cost)
    }

    @Test("what is asked of a service is what its callers ask, within the noise")
    func callsAreConserved() {
        let fleet = Self.lived(seed: 5)
        let story = fleet.story
        let means = Shop.services.indices.map { service in
            fleet.demandHistory.reduce(0) { $0 + $1[service] } / Double(fleet.demandHistory.count)
        }
        for service in Shop.services.indices where Shop.services[service].name != "warehouse" {
            let asked = Shop.calls.filter { $0.target == service }.reduce(0) { $0 + $1.ratio * means[$1.source] }
            let isShifted = story.shifts.contains { $0.service == service }
            if asked == 0 || isShifted { continue }
            // Lags move some of it out of the time that is looked at.
            #expect((means[service] / asked - 1).magnitude < 0.15, "\(Shop.services[service].name)")
        }
    }

    @Test("callers stand before those they call, and the chain is wired")
    func graphIsOrdered() {
        for call in Shop.calls { #expect(call.source < call.target) }
        for (source, target) in zip(Shop.chain, Shop.chain.dropFirst()) {
            #expect(Shop.calls.contains { $0.source == source && $0.target == target })
        }
        #expect(Shop.services.count == 20)
        #expect(Set(Shop.services.map(\.locality)).count == 3)
    }

    @Test(
        "the story holds a campaign that comes, one that does not, an outage, a shift and surges",
        arguments: [1, 2, 99] as [UInt64])
    func storyIsComplete(seed: UInt64) {
        for minutes in [120, 240, 720, 2_880] {
            let story = ShopStory(seed: seed, historyDays: 14, liveMinutes: minutes)
            let campaigns = story.campaigns.filter { $0.start >= story.live }
            #expect(campaigns.filter(\.comes).count == 1)
            #expect(campaigns.filter { !$0.comes }.count == 1)
            #expect(story.outages.count == 1 && story.shifts.count == 1)
            #expect(story.surges.contains { $0.start >= story.live })
            for campaign in campaigns {
                #expect(
                    campaign.announced < campaign.start && campaign.start < campaign.end && campaign.end <= story.end)
            }
            #expect(story.outages.allSatisfy { $0.start > story.live && $0.end <= story.end })
        }
    }

    @Test("records are read by the pipeline's own readers")
    func recordsAreWellFormed() {
        var writer = JSONWriter()
        writer.beginArray()
        for service in Shop.services {
            ShopRecords.appendTelemetry(service, requests: 12.5, ready: 3, at: ShopStory.epoch, into: &writer)
        }
        writer.endArray()
        var reader = TelemetryJSON()
        var samples = 0
        writer.bytes.withUnsafeBytes { bytes in
            reader.open(bytes)
            reading: while true {
                switch reader.next() {
                case .sample: samples += 1
                case .fault(let fault): Issue.record("\(fault)")
                case .end: break reading
                }
            }
        }
        #expect(samples == 60)
    }
}

@Suite("Replicas that take time")
struct ReplicaSetTests {
    @Test("capacity follows an order after the delay, and no earlier")
    func provisioning() {
        var set = ReplicaSet(ready: 2, provisioningSeconds: 180)
        set.order(5, at: 1_000)
        #expect(set.ordered == 5)
        set.advance(to: 1_179)
        #expect(set.ready == 2)
        set.advance(to: 1_180)
        #expect(set.ready == 5 && set.starting.isEmpty)
    }

    @Test("fewer takes those still starting first, then ready ones, at once")
    func scalingDown() {
        var set = ReplicaSet(ready: 4, provisioningSeconds: 60)
        set.order(6, at: 0)
        set.order(5, at: 10)
        #expect(set.ready == 4 && set.starting.count == 1)
        set.order(3, at: 20)
        #expect(set.ready == 3 && set.starting.isEmpty)
    }

    @Test("replicas are neither lost nor made by any series of orders", arguments: 0..<20 as Range<UInt64>)
    func conservation(seed: UInt64) {
        var chance = SeededGenerator(seed: seed)
        var set = ReplicaSet(ready: 3, provisioningSeconds: 90)
        var time: Int64 = 0
        var target = 3
        for _ in 0..<500 {
            time += Int64(chance.int(0...40))
            set.advance(to: time)
            #expect(set.ordered == target)
            target = chance.int(1...30)
            set.order(target, at: time)
            #expect(set.ordered == target && set.ready >= 0)
            #expect(set.starting == set.starting.sorted())
        }
        set.advance(to: time + 90)
        #expect(set.ready == target)
    }
}

@Suite("The reactive rule")
struct ReactiveRuleTests {
    struct Case: Sendable {
        let demand: Double?
        let current: Int
        let wanted: Int
    }

    /// One replica carries 10 at full use, 7 at the target; 2 to 20 replicas.
    @Test(
        "computes as the documentation of the Kubernetes autoscaler says",
        arguments: [
            Case(demand: 70, current: 10, wanted: 10),
            // Within a tenth of the target nothing happens, up or down.
            Case(demand: 76.9, current: 10, wanted: 10), Case(demand: 63.1, current: 10, wanted: 10),
            Case(demand: 77.8, current: 10, wanted: 12), Case(demand: 140, current: 10, wanted: 20),
            Case(demand: 500, current: 10, wanted: 20), Case(demand: 28, current: 10, wanted: 4),
            Case(demand: 0, current: 10, wanted: 2), Case(demand: nil, current: 10, wanted: 10),
            Case(demand: .nan, current: 10, wanted: 10),
        ])
    func arithmetic(example: Case) {
        var rule = ReactiveRule(capacityPerReplica: 10, targetUtilisation: 0.7, replicasMin: 2, replicasMax: 20)
        #expect(rule.decide(demand: example.demand, current: example.current, at: 0) == example.wanted)
    }

    @Test("goes down only to the largest number wanted within five minutes")
    func stabilisation() {
        var rule = ReactiveRule(capacityPerReplica: 10, targetUtilisation: 0.7, replicasMin: 1, replicasMax: 50)
        var current = rule.decide(demand: 140, current: 10, at: 0)
        #expect(current == 20)
        for time in stride(from: Int64(30), through: 270, by: 30) {
            current = rule.decide(demand: 70, current: current, at: time)
            #expect(current == 20)
        }
        #expect(rule.decide(demand: 70, current: current, at: 300) == 10)
    }
}
