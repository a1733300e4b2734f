import Foundation
import Glibc
import Messages
import Simulation
import StageKit
import TwinCore

/// The demo of a recorded trace: all but the end of it fast, the end at a visible pace, with replicas that the trace
/// never had, so that there is something to decide.
final class TraceDemo {
    private let pipeline: DemoPipeline
    private let voice: DemoVoice
    private let pace: DemoPace
    private let trace: TraceData
    private let bus: DemoBus
    private let reader = DemoReader()
    private var rules: [ReactiveRule]
    private var reactive: TraceSide
    private var twinned: TraceSide
    private var teller: TraceTeller
    /// The last value of every resource's leading metric; nil while it is missing.
    private var demand: [Double?]
    private var seen: [Int64]
    private var pending: [Int: String] = [:]
    private var position = 0
    private var time: Int64

    init(pipeline: DemoPipeline, voice: DemoVoice, pace: DemoPace, trace: TraceData) throws {
        self.pipeline = pipeline
        self.voice = voice
        self.pace = pace
        self.trace = trace
        bus = try DemoBus(bootstrap: pipeline.bootstrap, reading: [.actions, .decisions, .drift, .twins])
        rules = trace.resources.map {
            ReactiveRule(
                capacityPerReplica: $0.capacityPerReplica, targetUtilisation: ShopFleet.targetUtilisation,
                replicasMin: 1, replicasMax: 1_000)
        }
        reactive = TraceSide(trace.resources, ready: trace.resources.map { _ in 6 })
        twinned = reactive
        teller = TraceTeller(voice: voice, trace: trace)
        demand = trace.resources.map { _ in nil }
        seen = trace.resources.map { _ in .min }
        time = trace.samples.first?.time ?? 0
    }

    func run() throws -> String {
        let last = trace.samples.last?.time ?? time
        // At least half of the trace is for learning.
        let live = max(last - Int64(pace.liveMinutes) * 60, time + (last - time) / 2)
        try warmUp(until: live)
        voice.line("dashboard: \(try pipeline.startServer())")
        try begin()
        let start = monotonicSeconds()
        let from = max(time, live)
        while position < trace.samples.count, !StopSignal.isRaised {
            try step()
            pace.wait(for: Int((time - from) / 60), since: start)
        }
        let result = TraceResult(
            twinned: twinned, reactive: reactive, resources: trace.resources.count, minutes: Double(time - from) / 60)
        voice.line()
        for line in result.table { voice.line(line) }
        return result.json
    }

    private func check() throws {
        if StopSignal.isRaised { throw DemoError("stopped") }
        try pipeline.check()
    }

    // MARK: learning

    /// Samples written in one go at most.
    private static let samplesAtOnce = 20_000

    private func warmUp(until live: Int64) throws {
        let count = trace.samples.partitioningIndex { $0.time >= live }
        voice.line(
            "\(counted(trace.resources.count, "resource")) with \(trace.series.count) series, a sample every "
                + "\(trace.stepSeconds) s; the twins learn from \(DemoVoice.clock(time)) to "
                + "\(DemoVoice.clock(live)), \(counted(count, "sample")):")
        let begin = monotonicSeconds()
        var milestone = 0
        var interactionsDue = time
        while position < count {
            let end = min(position + Self.samplesAtOnce, count)
            let from = trace.samples[position].time
            let until = from + DemoHistory.secondsAtOnce(left: live - from)
            while position < end, trace.samples[position].time < until {
                try sendNextMoment(isLive: false)
                if time >= interactionsDue {
                    try sendInteractions()
                    interactionsDue = time + 3_600
                }
            }
            try bus.drain { try check() }
            try bus.receive { topic, bytes in learn(topic, bytes) }
            let share = Double(position) / Double(max(count, 1))
            voice.progress(
                share, "\(DemoVoice.clock(time)), \(position) samples", isMilestone: Int(share * 4) > milestone)
            milestone = Int(share * 4)
        }
        voice.closeProgress()
        voice.line("\(counted(position, "sample")) in \(DemoVoice.short(monotonicSeconds() - begin)) s")
    }

    private func learn(_ topic: TopicName, _ bytes: UnsafeRawBufferPointer) {
        if topic == .twins, let twin = reader.read(TwinSummary.self, bytes) { teller.learn(twin) }
    }

    /// Writes all samples of one moment, lets both sides live up to it; returns the seconds since the one before.
    private func sendNextMoment(isLive: Bool) throws {
        let before = time
        time = trace.samples[position].time
        let records = (0..<Int(DemoPipeline.partitions)).map { _ in OpenRecord() }
        for record in records { record.writer.beginArray() }
        while position < trace.samples.count, trace.samples[position].time == time {
            append(trace.samples[position], into: records)
            position += 1
        }
        let limit = 5 * trace.stepSeconds
        for index in demand.indices where seen[index] < time - limit { demand[index] = nil }
        let elapsed = min(max(time - before, 0), limit)
        reactive.advance(to: time, seconds: elapsed, demand: demand)
        if isLive {
            twinned.advance(to: time, seconds: elapsed, demand: demand)
        } else {
            twinned = reactive
        }
        for index in trace.resources.indices {
            let wanted = rules[index].decide(demand: demand[index], current: reactive.sets[index].ordered, at: time)
            reactive.order(index, wanted, at: time)
            if demand[index] != nil { appendReplicas(index, into: &records[trace.resources[index].place].writer) }
        }
        for (place, record) in records.enumerated() {
            record.writer.endArray()
            if record.writer.byteCount > 2 { try bus.send(.telemetry, partition: place, record.writer.bytes) }
        }
    }

    private func append(_ sample: TraceData.Sample, into records: [OpenRecord]) {
        let series = trace.series[Int(sample.series)]
        let resource = trace.resources[series.resource]
        let isLeading = resource.leading == Int(sample.series)
        if isLeading {
            demand[series.resource] = max(sample.value, 0)
            seen[series.resource] = sample.time
        }
        let record = records[resource.place]
        begin(resource, series.metric, &record.writer)
        record.writer.double(sample.value)
        if isLeading {
            record.writer.key("role")
            record.writer.string("demand")
        }
        record.writer.endObject()
    }

    private func appendReplicas(_ index: Int, into writer: inout JSONWriter) {
        begin(trace.resources[index], "replicas", &writer)
        writer.int(twinned.sets[index].ready)
        writer.endObject()
    }

    private func begin(_ resource: TraceData.Resource, _ metric: String, _ writer: inout JSONWriter) {
        ShopRecords.beginSample((resource.name, resource.locality), at: time, metric, into: &writer)
    }

    private func sendInteractions() throws {
        guard !trace.calls.isEmpty else { return }
        var writer = JSONWriter(capacityBytes: 1_024)
        writer.beginArray()
        for call in trace.calls {
            let (source, target) = (trace.resources[call.source], trace.resources[call.target])
            ShopRecords.interaction(
                from: (source.name, source.locality), to: (target.name, target.locality), rate: call.weight, at: time,
                into: &writer)
        }
        writer.endArray()
        try bus.send(.interactions, writer.bytes)
    }

    // MARK: live

    private func begin() throws {
        for resource in trace.resources {
            let policy = DemoPolicy(
                resource: resource.name, metric: trace.series[resource.leading].metric,
                capacityPerReplica: resource.capacityPerReplica, provisioningSeconds: TraceSide.provisioningSeconds)
            try bus.send(.policies, key: policy.name, policy.json)
        }
        try bus.drain { try check() }
        teller.introduce()
        reactive.beginCount()
        twinned.beginCount()
    }

    private func step() throws {
        try sendNextMoment(isLive: true)
        for (index, action) in pending where twinned.sets[index].starting.isEmpty {
            pending[index] = nil
            try outcome(of: action, index, "ready")
        }
        try sendInteractions()
        try bus.drain { try check() }
        try bus.receive { topic, bytes in try take(topic, bytes) }
        teller.tell(time, demand: demand, twinned: twinned, reactive: reactive)
    }

    private func outcome(of action: String, _ index: Int, _ status: String) throws {
        let resource = trace.resources[index]
        let record = DemoRecords.outcome(
            of: action, resource: resource.name, locality: resource.locality, status: status,
            ready: twinned.sets[index].ready, at: time)
        try bus.send(.outcomes, partition: resource.place, record)
    }

    private func take(_ topic: TopicName, _ bytes: UnsafeRawBufferPointer) throws {
        switch topic {
        case .actions:
            guard let action = reader.read(ActionEvent.self, bytes)?.data,
                let index = trace.resources.firstIndex(where: { $0.name == action.resource })
            else { return }
            twinned.order(index, action.to, at: min(Int64(action.issued.timeIntervalSince1970), time))
            pending[index] = action.action
            try outcome(of: action.action, index, "accepted")
            teller.acted(action)
        case .decisions: if let event = reader.read(DecisionEvent.self, bytes) { teller.decided(event.data, at: time) }
        case .drift:
            if let event = reader.read(DriftEvent.self, bytes) {
                teller.drifted(event.data, at: time)
            } else if let group = reader.read(DriftGroupEvent.self, bytes) {
                teller.drifted(group.data)
            }
        case .twins: if let twin = reader.read(TwinSummary.self, bytes) { teller.learn(twin) }
        default: break
        }
    }
}

extension Array {
    /// The first position whose element satisfies a predicate that all later ones satisfy too.
    fileprivate func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
