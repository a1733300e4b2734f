import Foundation
import Simulation
import TwinCore

/// Tells the story of the shop: what the shop does, what the pipeline makes of it, who is short of capacity.
struct ShopTeller {
    private let voice: DemoVoice
    private let story: ShopStory
    var driftsInHistory = 0
    private var twins: [String: TwinSummary] = [:]
    private var drift: DriftTeller
    private var foretold: [(resource: String, text: String, desired: Int)] = []
    /// Services that are held for want of data.
    private var held: Set<String> = []
    private var told: [String: Int64] = [:]
    /// Actions of the minute at hand.
    private var actions: [(action: ActionEvent.Body, service: Int)] = []
    /// Replicas given back since the last look at both sides.
    private var released = 0
    /// What neighbours were said to add, by service, at the last warning.
    private var warned: [String: Int64] = [:]
    private var decisions: [String: DecisionEvent.Body] = [:]
    private var shortSince: [[Int64?]]

    /// The metric that the story is about.
    private static let metric = "requests_per_second"
    /// Minutes between two looks at both sides.
    private static let lookSeconds: Int64 = 2_700

    init(voice: DemoVoice, story: ShopStory) {
        self.voice = voice
        self.story = story
        drift = DriftTeller(voice: voice)
        shortSince = Array(repeating: Array(repeating: nil, count: Shop.services.count), count: 2)
    }

    // MARK: twins

    mutating func learn(_ twin: TwinSummary) { twins[twin.resource] = twin }

    /// What the twins know when the live part begins.
    func introduce(_ fleet: ShopFleet) {
        let series = twins.values.reduce(0) { $0 + $1.metrics.count }
        let localities = Set(twins.values.compactMap(\.locality)).count
        voice.line(
            "\(counted(twins.count, "twin")) in \(counted(localities, "locality")) know \(series) series; "
                + "\(counted(driftsInHistory, "drift")) found in their past. What some of them expect:")
        for service in Shop.chain {
            let name = Shop.services[service].name
            guard let metric = twins[name]?.metrics[Self.metric], let far = metric.forecast.last,
                let mean = far.mean, let high = far.q90
            else { continue }
            let ready = fleet.reactive.sets[service].ready
            voice.line(
                "  \(name): \(DemoVoice.short(metric.level)) req/s now on \(counted(ready, "replica")); in "
                    + "\(Int(far.horizon_s / 60)) min \(DemoVoice.short(mean)), "
                    + "90 % below \(DemoVoice.short(high))")
        }
        voice.line()
        voice.line("live from here; actions steer one shop, a reactive rule steers its double with the same demand")
    }

    mutating func take(_ twin: TwinSummary, at time: Int64) {
        twins[twin.resource] = twin
        guard let metric = twin.metrics[Self.metric] else { return }
        drift.take(twin.resource, isDistrusted: metric.distrusted)
    }

    mutating func drifted(_ event: DriftEvent.Body, at time: Int64) {
        if event.metric == Self.metric { drift.take(event, at: time) }
    }

    mutating func drifted(_ group: DriftGroupEvent.Body) { drift.take(group) }

    // MARK: decisions

    mutating func acted(_ action: ActionEvent.Body, _ service: Int, at time: Int64) {
        actions.append((action, service))
    }

    mutating func approved(_ resource: String, at time: Int64) {
        guard isNew("approved \(resource)", at: time) else { return }
        voice.say(time, .operator_, "approves the proposal for \(resource)")
    }

    /// False if the same was told within the last hour.
    private mutating func isNew(_ what: String, at time: Int64) -> Bool {
        if let last = told[what], time - last < 3_600 { return false }
        told[what] = time
        return true
    }

    mutating func decided(_ decision: DecisionEvent.Body, at time: Int64) {
        guard let resource = decision.resource, decision.kind == "decision" else { return }
        decisions[resource] = decision
        let quality = decision.inputs?.quality ?? "fresh"
        if quality != "fresh", held.insert(resource).inserted {
            voice.say(time, .held, "\(resource): \(decision.reason ?? quality)")
        } else if quality == "fresh", held.remove(resource) != nil {
            voice.say(time, .held, "\(resource): metrics are back, \(decision.reason ?? "")")
        }
        foretell(decision, resource, at: time)
        guard decision.desired != decision.current, decision.action == nil else { return }
        if decision.mode == "approve", decision.proposal != nil, isNew("asks \(resource)", at: time) {
            voice.say(time, .action, "\(resource) asks for \(decision.desired ?? 0): \(decision.reason ?? "")")
        } else if decision.mode == "recommend", isNew("recommend \(resource)", at: time) {
            voice.say(
                time, .action,
                "\(resource) would have \(decision.desired ?? 0), only a recommendation: \(decision.reason ?? "")")
        }
    }

    /// A rise that comes from the neighbours.
    private mutating func foretell(_ decision: DecisionEvent.Body, _ resource: String, at time: Int64) {
        guard let desired = decision.desired, let current = decision.current, desired > current,
            let added = decision.neighbours?.added, let level = decision.inputs?.level, added > 0.1 * level,
            let horizon = decision.inputs?.horizonSeconds, horizon > 0
        else { return }
        if let last = warned[resource], time - last < 1_800 { return }
        warned[resource] = time
        foretold.append(
            (
                resource,
                "\(resource) will need \(desired) in \(Int((horizon / 60).rounded())) min: "
                    + "\(Self.callers(of: resource)) will bring \(DemoVoice.short(added)) req/s more than its "
                    + DemoVoice.short(level),
                desired
            ))
    }

    /// The chain's warnings in full, the others' in short.
    private mutating func tellForecasts(_ fleet: ShopFleet) {
        let chain = Shop.chain.map { Shop.services[$0].name }
        var rest = foretold.filter { !chain.contains($0.resource) }
        var full = foretold.filter { chain.contains($0.resource) }
        if full.isEmpty, let first = rest.first {
            full = [first]
            rest.removeFirst()
        }
        for warning in full { voice.say(fleet.time, .forecast, warning.text) }
        if !rest.isEmpty {
            let names = rest.map { "\($0.resource) \($0.desired)" }.joined(separator: ", ")
            voice.say(fleet.time, .forecast, "by their neighbours too: \(names)")
        }
        foretold.removeAll(keepingCapacity: true)
    }

    private static func callers(of resource: String) -> String {
        guard let index = Shop.find(resource) else { return "its neighbours" }
        let names = Shop.calls.filter { $0.target == index }.map { Shop.services[$0.source].name }
        return names.isEmpty ? "its neighbours" : names.joined(separator: " and ")
    }

    // MARK: the shop

    func announced(_ campaign: ShopStory.Campaign, at time: Int64) {
        voice.say(
            time, .shop,
            "marketing announces '\(campaign.id)' for \(DemoVoice.clock(campaign.start)): frontend × "
                + DemoVoice.short(campaign.uplift))
    }

    /// Closes a minute.
    mutating func tell(_ fleet: ShopFleet) {
        tellStory(fleet)
        drift.tell(fleet.time)
        tellForecasts(fleet)
        tellActions(fleet)
        tellShortage(fleet)
        if (fleet.time - story.live) % Self.lookSeconds == 0 { look(fleet) }
    }

    private mutating func tellActions(_ fleet: ShopFleet) {
        let ups = actions.filter { $0.action.to > $0.action.from }
        let ordered = ups.sorted { a, b in
            (a.action.to - a.action.from, b.service) > (b.action.to - b.action.from, a.service)
        }
        tellReleases(fleet)
        voice.say(
            fleet.time, .action,
            ordered.map { action, service in
                let change = "\(action.resource) \(action.from) → \(action.to)"
                let minutes = Shop.services[service].provisioningSeconds / 60
                return ("\(change), ready in \(minutes) min: \(action.reason)", change)
            })
        actions.removeAll(keepingCapacity: true)
    }

    /// Replicas given back: now and then one in full, the rest in the sum of both sides.
    private mutating func tellReleases(_ fleet: ShopFleet) {
        for (action, _) in actions where action.to < action.from {
            released += action.from - action.to
            guard isNew("release", at: fleet.time) else { continue }
            voice.say(fleet.time, .action, "\(action.resource) \(action.from) → \(action.to): \(action.reason)")
        }
    }

    private mutating func tellStory(_ fleet: ShopFleet) {
        let time = fleet.time
        func isDue(_ moment: Int64) -> Bool { moment > time - 60 && moment <= time }
        for surge in story.surges where isDue(surge.start) {
            let minutes = surge.rampSeconds / 60
            voice.say(
                time, .shop, "unannounced: shoppers come, × \(DemoVoice.short(surge.factor)) within \(minutes) min")
        }
        for campaign in story.campaigns where campaign.announced >= story.live {
            if isDue(campaign.start) {
                let text =
                    campaign.comes
                    ? "'\(campaign.id)' begins, shoppers come"
                    : "'\(campaign.id)' was to begin now, but nobody comes: it never went out"
                voice.say(time, .shop, text)
            }
            if isDue(campaign.end) {
                voice.say(time, .shop, "'\(campaign.id)' ends; \(Self.replicas(fleet, Shop.chain))")
            }
            if !campaign.comes, isDue(campaign.start + 600) {
                voice.say(
                    time, .shop, "ten minutes on, belief in '\(campaign.id)': \(Self.replicas(fleet, Shop.chain))")
            }
        }
        for outage in story.outages {
            let name = Shop.services[outage.service].name
            if isDue(outage.start) { voice.say(time, .shop, "the metrics of \(name) go missing") }
            if isDue(outage.end) { voice.say(time, .shop, "the metrics of \(name) are back") }
        }
        for shift in story.shifts where isDue(shift.start) {
            voice.say(
                time, .shop,
                "silently, a release makes \(Shop.services[shift.service].name) be asked × "
                    + DemoVoice.short(shift.factor)
            )
        }
    }

    private static func replicas(_ fleet: ShopFleet, _ services: [Int]) -> String {
        services.map {
            "\(Shop.services[$0].name) \(fleet.twinned.sets[$0].ordered) (reactive \(fleet.reactive.sets[$0].ordered))"
        }.joined(separator: ", ")
    }

    private mutating func tellShortage(_ fleet: ShopFleet) {
        for (side, state) in [fleet.twinned, fleet.reactive].enumerated() {
            var began: [String] = []
            for service in Shop.services.indices {
                if state.shortNow[service] {
                    if shortSince[side][service] == nil {
                        shortSince[side][service] = fleet.time
                        let use =
                            fleet.minuteMeans[service] / Double(max(state.sets[service].ready, 1))
                            / Shop.services[service].capacityPerReplica
                        began.append(
                            "\(Shop.services[service].name) (\(Int(use * 100)) % of \(state.sets[service].ready))")
                    }
                } else if let since = shortSince[side][service], fleet.time - since >= 300 {
                    // A new shortage is told again after five minutes.
                    shortSince[side][service] = nil
                }
            }
            guard !began.isEmpty else { continue }
            voice.say(fleet.time, .short, "\(side == 0 ? "twinscale" : "reactive"): \(began.joined(separator: ", "))")
        }
    }

    /// Both sides side by side.
    private mutating func look(_ fleet: ShopFleet) {
        func side(_ state: ShopSide) -> String {
            String(
                format: "%3d replicas, %4.0f short min, %6.2f spent", state.sets.reduce(0) { $0 + $1.ordered },
                state.shortMinutes, state.cost)
        }
        drift.tellTrusted(fleet.time)
        if released > 0 {
            voice.say(fleet.time, .action, "\(counted(released, "replica")) given back since the last look")
        }
        released = 0
        voice.say(
            fleet.time, .note,
            "\(DemoVoice.short(fleet.minuteMeans[0])) req/s at the frontend | twinscale \(side(fleet.twinned)) | "
                + "reactive \(side(fleet.reactive))")
    }

    /// What is left to say when it is over.
    func end(_ fleet: ShopFleet) {
        drift.tellDistrusted(fleet.time)
    }
}
