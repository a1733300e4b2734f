import Foundation
import Simulation
import TwinCore

/// Tells what the pipeline makes of a trace.
struct TraceTeller {
    private let voice: DemoVoice
    private let trace: TraceData
    private var twins: [String: TwinSummary] = [:]
    private var actions: [ActionEvent.Body] = []
    private var drift: DriftTeller
    private var held: Set<String> = []
    private var nextLook = Int64.min
    private var shortTold: [[Int64]]

    private static let lookSeconds: Int64 = 3_600
    /// A shortage of the same resource is told again after so long.
    private static let shortSeconds: Int64 = 1_800

    init(voice: DemoVoice, trace: TraceData) {
        self.voice = voice
        self.trace = trace
        drift = DriftTeller(voice: voice)
        shortTold = Array(repeating: Array(repeating: .min / 2, count: trace.resources.count), count: 2)
    }

    private func leading(_ resource: String) -> String? {
        trace.resources.first { $0.name == resource }.map { trace.series[$0.leading].metric }
    }

    mutating func learn(_ twin: TwinSummary) {
        twins[twin.resource] = twin
        guard let name = leading(twin.resource), let metric = twin.metrics[name] else { return }
        drift.take(twin.resource, isDistrusted: metric.distrusted)
    }

    /// What the twins know when the live part begins.
    mutating func introduce() {
        drift.begin()
        let series = twins.values.reduce(0) { $0 + $1.metrics.count }
        voice.line("\(counted(twins.count, "twin")) with \(series) series, for example:")
        for resource in trace.resources.prefix(5) {
            let name = trace.series[resource.leading].metric
            guard let metric = twins[resource.name]?.metrics[name], let far = metric.forecast.last,
                let mean = far.mean, let high = far.q90
            else { continue }
            voice.line(
                "  \(resource.name): \(name) \(DemoVoice.short(metric.level)) now; in \(Int(far.horizon_s / 60)) min "
                    + "\(DemoVoice.short(mean)), 90 % below \(DemoVoice.short(high))")
        }
        voice.line()
        voice.line("live from here; the pipeline and a reactive rule each have replicas of their own")
    }

    mutating func acted(_ action: ActionEvent.Body) { actions.append(action) }

    mutating func drifted(_ event: DriftEvent.Body, at time: Int64) {
        if event.metric == leading(event.resource) { drift.take(event, at: time) }
    }

    mutating func drifted(_ group: DriftGroupEvent.Body) { drift.take(group) }

    mutating func decided(_ decision: DecisionEvent.Body, at time: Int64) {
        guard let resource = decision.resource, decision.kind == "decision" else { return }
        let quality = decision.inputs?.quality ?? "fresh"
        if quality != "fresh", held.insert(resource).inserted {
            voice.say(time, .held, "\(resource): \(decision.reason ?? quality)")
        } else if quality == "fresh", held.remove(resource) != nil {
            voice.say(time, .held, "\(resource): metrics are back")
        }
    }

    /// Closes a moment.
    mutating func tell(_ time: Int64, demand: [Double?], twinned: TraceSide, reactive: TraceSide) {
        drift.tell(time)
        voice.say(
            time, .action,
            actions.map { action in
                let change = "\(action.resource) \(action.from) → \(action.to)"
                return ("\(change): \(action.reason)", change)
            })
        actions.removeAll()
        for (index, side) in [twinned, reactive].enumerated() { tellShort(time, index, side) }
        look(time, demand, twinned, reactive)
    }

    private mutating func tellShort(_ time: Int64, _ index: Int, _ side: TraceSide) {
        let began = trace.resources.indices.filter {
            side.shortNow[$0] && time - shortTold[index][$0] >= Self.shortSeconds
        }
        guard !began.isEmpty else { return }
        for resource in began { shortTold[index][resource] = time }
        let names = began.map { "\(trace.resources[$0].name) with \(side.sets[$0].ready)" }.joined(separator: ", ")
        voice.say(time, .short, "\(index == 0 ? "twinscale" : "reactive"): \(names)")
    }

    /// Both sides side by side.
    private mutating func look(_ time: Int64, _ demand: [Double?], _ twinned: TraceSide, _ reactive: TraceSide) {
        guard time >= nextLook, let first = trace.resources.first else { return }
        nextLook = time + Self.lookSeconds
        drift.tellTrusted(time)
        func side(_ side: TraceSide) -> String {
            String(
                format: "%d replicas, %.0f short min", side.sets.reduce(0) { $0 + $1.ordered }, side.shortSeconds / 60)
        }
        voice.say(
            time, .note,
            "\(first.name) at \(demand.first.flatMap { $0 }.map(DemoVoice.short) ?? "nothing") | "
                + "twinscale \(side(twinned)) | reactive \(side(reactive))")
    }
}
