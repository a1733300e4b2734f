import HTTPTypes
import Messages
import Synchronization
import TwinCore
import Views

/// Prometheus' text format: the pipeline, this server, and the twins at greatest risk, so many and no more.
enum MetricsRoutes {
    static func metrics(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        var text = ""
        pipeline(services, &text)
        server(services, &text)
        twins(services, &text)
        var reply = Reply(.bytes(Array(text.utf8)))
        reply.type = "text/plain; version=0.0.4; charset=utf-8"
        return reply
    }

    private static func head(_ name: String, _ type: String, _ help: String, _ text: inout String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private static func line(_ name: String, _ labels: [(String, String)], _ value: Double, _ text: inout String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.0)=\"\(escaped($0.1))\"" }.joined(separator: ",") + "}"
        }
        text +=
            value.isNaN
            ? " NaN\n"
            : value == value.rounded() && value.magnitude < 1e15
                ? " \(Int64(value))\n" : " \(value)\n"
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    private static func pipeline(_ services: Services, _ text: inout String) {
        let status = services.monitor.status
        let senders = services.store.pipeline.withLock { $0 }
        head("twinscale_stage_lag_records", "gauge", "Records that a stage has not committed.", &text)
        for stage in status.stages {
            guard let lag = stage.lag else { continue }
            line("twinscale_stage_lag_records", [("stage", stage.stage.text)], Double(lag), &text)
        }
        head("twinscale_stage_watermark_seconds", "gauge", "Event time that a stage has reached.", &text)
        for stage in StageName.allCases {
            if let time = senders.watermark(of: stage) {
                line("twinscale_stage_watermark_seconds", [("stage", stage.text)], time.seconds, &text)
            }
        }
        head("twinscale_stage_snapshot_timestamp_seconds", "gauge", "When the newest snapshot was made.", &text)
        for stage in status.stages {
            if let made = stage.snapshotMilliseconds {
                line(
                    "twinscale_stage_snapshot_timestamp_seconds", [("stage", stage.stage.text)], Double(made) / 1_000,
                    &text)
            }
        }
        head("twinscale_deadletters_total", "counter", "Dead letters seen since the server started.", &text)
        line("twinscale_deadletters_total", [], Double(services.store.letters.withLock { $0.total }), &text)
        let (proposals, open) = services.store.ledger.withLock { ($0.proposals.count, $0.openActions()) }
        head("twinscale_proposals_waiting", "gauge", "Proposals that wait for approval.", &text)
        line("twinscale_proposals_waiting", [], Double(proposals), &text)
        head("twinscale_actions_open", "gauge", "Actions without a final outcome.", &text)
        line("twinscale_actions_open", [], Double(open), &text)
    }

    private static func server(_ services: Services, _ text: inout String) {
        let status = services.monitor.status
        let (resources, series) = services.store.sizes()
        let counts = services.store.counts()
        head("twinscale_api_ready", "gauge", "Whether the views are built and followed.", &text)
        line("twinscale_api_ready", [], status.isReady ? 1 : 0, &text)
        head("twinscale_api_behind_records", "gauge", "Records that the views have not read.", &text)
        for topic in status.topics {
            if let behind = topic.behind {
                line("twinscale_api_behind_records", [("topic", topic.topic.text)], Double(behind), &text)
            }
        }
        head("twinscale_api_records_total", "counter", "Records folded into the views.", &text)
        for topic in status.topics {
            line("twinscale_api_records_total", [("topic", topic.topic.text)], Double(topic.records), &text)
        }
        for (name, help, value) in [
            ("twinscale_twins", "Twins.", resources), ("twinscale_series", "Series of all twins.", series),
            ("twinscale_api_stream_clients", "Listeners of /v1/stream.", services.hub.count),
        ] {
            head(name, "gauge", help, &text)
            line(name, [], Double(value), &text)
        }
        for (name, help, value) in [
            ("twinscale_api_refused_total", "Things left out beyond a limit.", counts.refused),
            ("twinscale_api_malformed_total", "Records not understood.", counts.malformed &+ status.malformedFrames),
            ("twinscale_api_stream_dropped_total", "Listeners that were too slow.", services.hub.dropped),
        ] {
            head(name, "counter", help, &text)
            line(name, [], Double(value), &text)
        }
        head("twinscale_api_responses_total", "counter", "Answers by class of status.", &text)
        for (index, count) in services.requests.byClass.enumerated() where index >= 2 {
            line("twinscale_api_responses_total", [("class", "\(index)xx")], Double(count), &text)
        }
    }

    /// What a twin tells.
    private struct Sample: Sendable {
        var resource: String
        var locality: String
        var utilisation: Double
        var values: [(name: String, help: String, value: Double?)]
    }

    private static func twins(_ services: Services, _ text: inout String) {
        var samples: [Sample] = []
        services.store.forEachTwin { samples.append(sample($0)) }
        samples.sort {
            $0.utilisation != $1.utilisation ? $0.utilisation > $1.utilisation : $0.resource < $1.resource
        }
        let told = samples.prefix(services.settings.metricsTwinsMax)
        guard let first = told.first else { return }
        for (index, series) in first.values.enumerated() {
            head(series.name, "gauge", series.help, &text)
            for sample in told {
                guard let value = sample.values[index].value, value.isFinite else { continue }
                line(series.name, [("resource", sample.resource), ("locality", sample.locality)], value, &text)
            }
        }
    }

    private static func sample(_ twin: TwinView) -> Sample {
        let risk = twin.risk(withinSeconds: TwinJSON.horizonSecondsDefault)
        return Sample(
            resource: twin.resource, locality: twin.locality ?? "", utilisation: risk?.utilisation ?? -1,
            values: [
                (
                    "twinscale_twin_level", "Present level of the metric that decisions are made from.",
                    twin.primary?.level
                ),
                ("twinscale_twin_ready_units", "Units that are ready.", twin.readyUnits),
                (
                    "twinscale_twin_desired_units", "Units that the last decision wants.",
                    twin.decision?.desired.map { Double($0) }
                ),
                ("twinscale_twin_expected_utilisation", "Highest use expected within 30 minutes.", risk?.utilisation),
                (
                    "twinscale_twin_distrusted", "Whether the model is distrusted.",
                    twin.primary.map { $0.code.isDistrusted ? 1 : 0 }
                ),
            ])
    }
}
