import Backtest
import Messages
import Simulation
import TwinCore
import Views

/// One question: what would this policy have done. Everything it rests on is gathered before it runs.
struct PreviewStudy: Sendable {
    /// A resource that takes part.
    struct Resource: Sendable {
        var name: String
        var className: String?
        var tags: [(name: String, value: String)]
        /// The metric that decisions are made from.
        var metric: String?
        /// The policy asked about is for it; others only lend their forecasts.
        var isSubject: Bool
    }

    /// Calls between two of them.
    struct Edge: Sendable {
        var source: String
        var target: String
        var rate: Double
    }

    /// Subjects of one study at most.
    static let subjectsMax = 200
    static let pointsMax = 500

    var policy: JSONValue
    /// All policies in force, as they are and with the one asked about in its place.
    var current: [JSONValue]
    var proposed: [JSONValue]
    var resources: [Resource]
    var edges: [Edge]
    var events: [PlannedEventRecord]
    var samples: RecordedSamples

    /// What came out.
    struct Result: Sendable {
        var from: EventTime?
        var to: EventTime?
        var resources = 0
        var samples = 0
        var scores: [PreviewScore] = []
        /// JSON array of points.
        var series: [UInt8] = Array("[]".utf8)
        var seriesResource: String?
    }

    /// Runs the stages for both arms, and the reactive rule beside them.
    func run(progress: (Double) -> Void) throws(PreviewError) -> Result {
        let demands = demands()
        guard !demands.isEmpty else {
            throw PreviewError("nothing was recorded of the resources that the policy is for")
        }
        guard let terms = PreviewScore.Terms(policy) else {
            throw PreviewError("the policy does not say what a replica carries (capacityPerReplica)")
        }
        let files = try PreviewFiles()
        defer { files.remove() }
        let options = try files.options(self)
        let after = try files.decide(options, proposed) { progress($0 * 0.5) }
        let before = try files.decide(options, current) { progress(0.5 + $0 * 0.5) }
        var result = Result()
        result.from = samples.rows.first.map { EventTime(milliseconds: $0.time) }
        result.to = samples.rows.last.map { EventTime(milliseconds: $0.time) }
        result.resources = demands.count
        result.samples = samples.rows.count
        var scores = ["proposed", "current", "hpa"].map { PreviewScore(name: $0) }
        var farthest = -1.0
        for demand in demands {
            var rule = ReactiveRule(
                capacityPerReplica: terms.capacityPerUnit, targetUtilisation: terms.targetUtilisation,
                replicasMin: terms.minimum, replicasMax: terms.maximum)
            let points = demand.points
            let supplies = [
                scores[0].follow(points, terms, wanted: Self.decided(points, after[demand.resource] ?? [])),
                scores[1].follow(points, terms, wanted: Self.decided(points, before[demand.resource] ?? [])),
                scores[2].follow(points, terms) { index, ordered in
                    rule.decide(demand: points[index].level, current: ordered, at: points[index].time / 1_000)
                },
            ]
            let distance = zip(supplies[0], supplies[1]).reduce(0) { $0 + ($1.0 - $1.1).magnitude }
            if distance > farthest {
                farthest = distance
                result.seriesResource = demand.resource
                result.series = Self.series(points, supplies, terms)
            }
        }
        result.scores = scores
        return result
    }

    /// Demand over time of each subject.
    private func demands() -> [(resource: String, points: [(time: Int64, level: Double)])] {
        var placeBySeries = [Int](repeating: -1, count: samples.series.count)
        var demands: [(resource: String, points: [(time: Int64, level: Double)])] = []
        for resource in resources where resource.isSubject {
            guard
                let index = samples.series.firstIndex(where: {
                    $0.resource == resource.name && $0.metric == resource.metric && !$0.code.isCounter
                })
            else { continue }
            placeBySeries[index] = demands.count
            demands.append((resource.name, []))
        }
        for row in samples.rows where placeBySeries[Int(row.series)] >= 0 {
            demands[placeBySeries[Int(row.series)]].points.append((row.time, row.value))
        }
        return demands
    }

    /// The last decision at or before each sample.
    private static func decided(
        _ points: [(time: Int64, level: Double)], _ decisions: [(time: Int64, units: Int)]
    ) -> (Int, Int) -> Int? {
        var next = 0
        return { index, _ in
            while next < decisions.count, decisions[next].time <= points[index].time { next += 1 }
            return next > 0 ? decisions[next - 1].units : nil
        }
    }

    private static func series(
        _ points: [(time: Int64, level: Double)], _ supplies: [[Double]], _ terms: PreviewScore.Terms
    ) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 65_536)
        writer.beginArray()
        let step = max((points.count + pointsMax - 1) / pointsMax, 1)
        for index in stride(from: 0, to: points.count, by: step) {
            // The highest of what is left out is what matters.
            let level = points[index..<min(index + step, points.count)].map(\.level).max() ?? points[index].level
            writer.beginObject()
            writer.member("time", EventTime(milliseconds: points[index].time))
            writer.member("needed", terms.units(for: level, share: 1))
            for (key, supply) in zip(["proposed", "current", "hpa"] as [StaticString], supplies) {
                writer.member(key, index < supply.count ? supply[index] : nil)
            }
            writer.endObject()
        }
        writer.endArray()
        return writer.bytes
    }
}
