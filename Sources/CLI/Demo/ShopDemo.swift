import Foundation
import Glibc
import Messages
import Simulation
import StageKit
import TwinCore

/// The demo of the simulated shop: history fast, then live with the pipeline's actions in force.
///
/// A simulated minute passes only when the pipeline has worked off the one before, and an action counts from the moment
/// it was issued at; so a slow machine tells the same story. The shop and the reactive side depend on the seed alone.
/// The pipeline's side may differ by a few actions, as requests to retrain and influence from other clusters meet
/// samples in an order that is the network's.
final class ShopDemo {
    /// What makes one run differ from another.
    struct Setting {
        let seed: UInt64
        let historyDays: Int
        /// Whether the shop lives on behind its story, until somebody says stop.
        let lingers: Bool
    }

    let pipeline: DemoPipeline
    let voice: DemoVoice
    let pace: DemoPace
    let setting: Setting
    let bus: DemoBus
    let story: ShopStory
    var fleet: ShopFleet
    var teller: ShopTeller
    private let reader = DemoReader()
    /// The action in force per service, until its replicas are ready.
    private var pending: [Int: (action: String, to: Int)] = [:]
    /// Proposals that the operator is going to approve, with the moment of it.
    private var proposals: [(id: String, resource: String, at: Int64)] = []
    private var approvals = 0
    private var announcedCount = 0
    private let partitions = Int(DemoPipeline.partitions)

    init(pipeline: DemoPipeline, voice: DemoVoice, pace: DemoPace, setting: Setting) throws {
        self.pipeline = pipeline
        self.voice = voice
        self.pace = pace
        self.setting = setting
        bus = try DemoBus(bootstrap: pipeline.bootstrap, reading: [.actions, .decisions, .drift, .twins])
        story = ShopStory(
            seed: setting.seed, historyDays: setting.historyDays,
            liveMinutes: max(pace.liveMinutes, ShopStory.liveMinutesMin))
        fleet = ShopFleet(seed: setting.seed, story: story)
        teller = ShopTeller(voice: voice, story: story)
    }

    /// Tells the whole story; returns the result as JSON.
    func run() throws -> String {
        try warmUp()
        let address = try pipeline.startServer()
        voice.line("dashboard: \(address)" + (setting.lingers ? "" : " (until the story ends; --linger keeps it)"))
        try begin()
        let start = monotonicSeconds()
        var minute = 0
        func live(while goesOn: () -> Bool) throws {
            while goesOn(), !StopSignal.isRaised {
                try liveMinute()
                minute += 1
                pace.wait(for: minute, since: start)
            }
        }
        try live { minute < pace.liveMinutes }
        let result = ShopResult(fleet: fleet, minutes: minute, seed: setting.seed)
        teller.end(fleet)
        voice.line()
        for line in result.table { voice.line(line) }
        if setting.lingers, !StopSignal.isRaised {
            voice.line()
            voice.line("the shop lives on at \(address) until you press Ctrl-C")
            try live { true }
        }
        return result.json
    }

    private func check() throws {
        if StopSignal.isRaised { throw DemoError("stopped") }
        try pipeline.check()
    }

    // MARK: history

    private static let samplesPerRecord = 200

    private func warmUp() throws {
        voice.line("the twins learn from \(setting.historyDays) simulated days, a sample a minute:")
        let begin = monotonicSeconds()
        var samples = 0
        while fleet.time < story.live {
            let atOnce = DemoHistory.secondsAtOnce(left: story.live - fleet.time)
            let until = min(fleet.time + atOnce, story.live)
            samples += try history(until: until)
            try bus.drain { try check() }
            try bus.receive { topic, bytes in learn(topic, bytes) }
            let share = Double(fleet.time - story.start) / Double(story.live - story.start)
            let days = Int(share * Double(setting.historyDays))
            voice.progress(
                share, "day \(days) of \(setting.historyDays), \(samples / 1_000) thousand samples",
                isMilestone: (fleet.time - story.start) % (4 * 86_400) == 0)
        }
        voice.closeProgress()
        let seconds = monotonicSeconds() - begin
        voice.line(
            "\(samples) samples in \(DemoVoice.short(seconds)) s: "
                + "\(DemoVoice.short(Double(samples) / seconds / 1_000)) thousand a second through all five stages")
    }

    /// Writes the records of some hours; returns how many samples they hold.
    private func history(until: Int64) throws -> Int {
        let records = (0..<partitions).map { _ in OpenRecord() }
        var counts = [Int](repeating: 0, count: partitions)
        for record in records { record.writer.beginArray() }
        var samples = 0
        while fleet.time < until {
            try announce()
            fleet.advanceMinute()
            for (index, service) in Shop.services.enumerated() {
                let place = Self.place(of: service)
                ShopRecords.appendTelemetry(
                    service, requests: fleet.minuteMeans[index], ready: fleet.reactive.sets[index].ready,
                    at: fleet.time, into: &records[place].writer)
                counts[place] += 3
                samples += 3
                guard counts[place] >= Self.samplesPerRecord else { continue }
                try send(&records[place].writer, to: place)
                counts[place] = 0
            }
            if fleet.time % 3_600 == 0 { try sendInteractions() }
        }
        for place in records.indices where counts[place] > 0 { try send(&records[place].writer, to: place) }
        return samples
    }

    /// Telemetry of a cluster goes to one partition, as its collector would send it.
    private static func place(of service: ShopService) -> Int {
        ["web": 0, "trade": 1][service.locality] ?? 2
    }

    private func send(_ writer: inout JSONWriter, to place: Int) throws {
        writer.endArray()
        try bus.send(.telemetry, partition: place, writer.bytes)
        writer.removeAll()
        writer.beginArray()
    }

    private func sendInteractions() throws {
        try bus.send(.interactions, ShopRecords.interactions(demand: fleet.minuteMeans, at: fleet.time))
    }

    /// Announces the campaigns whose time has come.
    private func announce() throws {
        let due = story.campaigns.filter { $0.announced <= fleet.time }.count
        guard due > announcedCount else { return }
        let sorted = story.campaigns.sorted { $0.announced < $1.announced }
        for campaign in sorted[announcedCount..<due] {
            try bus.send(.environment, ShopRecords.announcement(campaign))
            if fleet.isLive { teller.announced(campaign, at: fleet.time) }
        }
        announcedCount = due
    }

    // MARK: live

    private func begin() throws {
        for service in Shop.services {
            try bus.send(.policies, key: DemoPolicy(service).name, DemoPolicy(service).json)
        }
        try bus.drain { try check() }
        teller.introduce(fleet)
        fleet.beginLive()
    }

    private func liveMinute() throws {
        try announce()
        fleet.advanceMinute()
        for index in Shop.services.indices where DemoPolicy.mode(of: Shop.services[index]) == "recommend" {
            fleet.followReactive(index)
        }
        try reportOutcomes()
        try sendTelemetry()
        try sendInteractions()
        try approve()
        try bus.drain { try check() }
        try bus.receive { topic, bytes in try take(topic, bytes) }
        teller.tell(fleet)
    }

    private func sendTelemetry() throws {
        for place in 0..<partitions {
            var writer = JSONWriter(capacityBytes: 8_192)
            writer.beginArray()
            for (index, service) in Shop.services.enumerated() where Self.place(of: service) == place {
                if story.isSilent(index, at: fleet.time) { continue }
                ShopRecords.appendTelemetry(
                    service, requests: fleet.minuteMeans[index], ready: fleet.twinned.sets[index].ready,
                    at: fleet.time, into: &writer)
            }
            writer.endArray()
            try bus.send(.telemetry, partition: place, writer.bytes)
        }
    }

    /// The actuator's part: what has become ready since.
    private func reportOutcomes() throws {
        for index in Shop.services.indices {
            guard let action = pending[index], fleet.twinned.sets[index].starting.isEmpty else { continue }
            pending[index] = nil
            try outcome(of: action.action, index, "ready")
        }
    }

    private func outcome(of action: String, _ index: Int, _ status: String) throws {
        let service = Shop.services[index]
        let record = DemoRecords.outcome(
            of: action, resource: service.name, locality: service.locality, status: status,
            ready: fleet.twinned.sets[index].ready, at: fleet.time)
        try bus.send(.outcomes, partition: Self.place(of: service), record)
    }

    /// The operator's part: proposals are approved two minutes after they were made.
    private func approve() throws {
        for proposal in proposals where proposal.at <= fleet.time {
            approvals += 1
            let id = "approval-\(approvals)"
            try bus.send(.commands, key: id, DemoRecords.approval(id: id, of: proposal.id, at: fleet.time))
            teller.approved(proposal.resource, at: fleet.time)
        }
        proposals.removeAll { $0.at <= fleet.time }
    }

    // MARK: what the pipeline says

    private func learn(_ topic: TopicName, _ bytes: UnsafeRawBufferPointer) {
        switch topic {
        case .twins: if let twin = reader.read(TwinSummary.self, bytes) { teller.learn(twin) }
        case .drift: if reader.read(DriftEvent.self, bytes) != nil { teller.driftsInHistory += 1 }
        default: break
        }
    }

    private func take(_ topic: TopicName, _ bytes: UnsafeRawBufferPointer) throws {
        switch topic {
        case .actions: if let event = reader.read(ActionEvent.self, bytes) { try carryOut(event.data) }
        case .decisions: if let event = reader.read(DecisionEvent.self, bytes) { take(event.data) }
        case .drift:
            if let event = reader.read(DriftEvent.self, bytes) {
                teller.drifted(event.data, at: fleet.time)
            } else if let group = reader.read(DriftGroupEvent.self, bytes) {
                teller.drifted(group.data)
            }
        case .twins: if let twin = reader.read(TwinSummary.self, bytes) { teller.take(twin, at: fleet.time) }
        default: break
        }
    }

    private func carryOut(_ action: ActionEvent.Body) throws {
        guard let index = Shop.find(action.resource) else { return }
        let issued = Int64(action.issued.timeIntervalSince1970)
        fleet.order(index, action.to, at: min(issued, fleet.time))
        pending[index] = (action.action, action.to)
        try outcome(of: action.action, index, "accepted")
        teller.acted(action, index, at: fleet.time)
    }

    private func take(_ decision: DecisionEvent.Body) {
        teller.decided(decision, at: fleet.time)
        guard decision.mode == "approve", let id = decision.proposal, let resource = decision.resource,
            decision.kind == "decision", !proposals.contains(where: { $0.id == id })
        else { return }
        proposals.removeAll { $0.resource == resource }
        proposals.append((id, resource, fleet.time + 120))
    }
}
