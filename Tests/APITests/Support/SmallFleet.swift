import Messages
import StageKit
import TwinCore
import Views

@testable import API

/// A shop of three services, written as the pipeline writes it.
enum SmallFleet {
    static let start: Int64 = 1_795_000_000_000
    static let horizons: [Float] = [60, 300, 900, 1_800, 3_600]

    /// Folds half an hour of outlooks, calls, decisions, an action and a drift event.
    static func fill(_ server: TestServer) {
        for resource in ["web", "cart", "db"] {
            server.fold(.twins, key: resource, summary(resource))
            server.fold(.decisions, key: resource, decision(resource, id: "d-\(resource)"))
        }
        frames(server)
        server.fold(.actions, key: "web", action("a-1", resource: "web"))
        server.fold(.drift, key: "web", drift("r-1", resource: "web"))
        server.fold(.decisions, key: "db", decision("db", id: "d-db-2", proposal: "p-1"))
        server.fold(
            .deadletters,
            #"{"id":"x-1","stage":"normalizer","reason":"no","topic":"telemetry","partition":0,"#
                + #""offset":4,"key":null,"value":"eA=="}"#)
    }

    static func summary(_ resource: String) -> String {
        #"{"id":"s","resource":"\#(resource)","sequence":{"offset":1,"index":0},"locality":"shop-1","class":"service","#
            + #""tags":{"zone":"\#(resource == "db" ? "b" : "a")"},"readyUnits":4,"time":"2026-11-18T10:00:00Z","#
            + #""metrics":{}}"#
    }

    static func decision(_ resource: String, id: String, proposal: String? = nil) -> String {
        #"{"specversion":"1.0","id":"\#(id)","source":"twinscale/scaling-decider","type":"io.twinscale.decision.v1","#
            + #""subject":"\#(resource)","time":"2026-11-18T10:30:00Z","datacontenttype":"application/json","data":{"#
            + #""kind":"decision","decision":"\#(id)","resource":"\#(resource)","locality":"shop-1","mode":"approve","#
            + #""current":4,"desired":5,"reason":"more is coming","inputs":{"metric":"requests","level":100,"#
            + #""quantile":0.95,"value":150,"horizonSeconds":900,"capacityPerReplica":40,"targetUtilisation":0.7,"#
            + #""leadSecondsDeclared":60,"leadSecondsLearned":90},"candidates":{"reactive":4,"predictive":5},"#
            + #""constraints":[],"neighbours":{"added":0,"horizonSeconds":900},"policy":{"name":"shop","version":1},"#
            + #""whatWouldChange":"less","shortfall":0,"pricePerHour":2.5,"action":null,"#
            + #""proposal":\#(proposal.map { "\"\($0)\"" } ?? "null")}}"#
    }

    static func action(_ id: String, resource: String) -> String {
        #"{"specversion":"1.0","id":"\#(id)","source":"twinscale/scaling-decider","type":"io.twinscale.action.v1","#
            + #""subject":"\#(resource)","time":"2026-11-18T10:20:00Z","datacontenttype":"application/json","data":{"#
            + #""action":"\#(id)","resource":"\#(resource)","locality":"shop-1","from":3,"to":4,"direction":"up","#
            + #""mode":"act","reason":"more is coming","issued":"2026-11-18T10:20:00Z","#
            + #""deadline":"2026-11-18T10:50:00Z","supersedes":null,"policy":{"name":"shop","version":1}}}"#
    }

    static func drift(_ id: String, resource: String) -> String {
        #"{"specversion":"1.0","id":"\#(id)","source":"twinscale/drift-detector","type":"io.twinscale.drift.v1","#
            + #""subject":"\#(resource)","time":"2026-11-18T10:10:00Z","datacontenttype":"application/json","data":{"#
            + #""resource":"\#(resource)","metric":"requests","kind":"level","reason":"higher","score":2,"#
            + #""magnitude":5,"since":"2026-11-18T10:05:00Z","samplesSince":5,"value":100,"retrainRequested":true,"#
            + #""affectedMetrics":[]}}"#
    }

    /// Half an hour, a sample a minute, as frames.
    static func frames(_ server: TestServer) {
        let names = NameTable(namesMax: 100)
        let ids = ["web", "cart", "db"].compactMap { names.intern($0) }
        let metric = names.intern("requests") ?? 0
        let folder = ViewFolder(server.store)
        var numbers = [Float](repeating: 0, count: ForecastNumbers.outlookCount(horizons: horizons.count))
        var last = Sequence.none
        for minute in 0..<30 {
            let level = 100 + Float(minute)
            fillNumbers(&numbers, level: level)
            numbers.withUnsafeBytes { bytes in
                var writer = FrameWriter()
                for (index, id) in ids.enumerated() {
                    let entry = Entry(
                        kind: .outlook,
                        code: ForecastCode(quality: .fresh, role: .demand, isDistrusted: false, isYoung: false).raw,
                        resource: id, object: metric, time: EventTime(milliseconds: start + Int64(minute) * 60_000),
                        value: Double(level),
                        numbers: FloatSlice(start: bytes.baseAddress, count: numbers.count))
                    let sequence = Sequence(offset: Int64(minute), index: Int64(index))
                    writer.append(entry, sequence: sequence, previous: last) { names.bytes(of: $0) }
                    last = sequence
                }
                let frame = writer.finish(
                    sender: TaskID(stage: .graphPropagator, inbox: .forecasts, epoch: 1, partition: 0), incarnation: 1)
                frame.withUnsafeBytes { folder.receive(.outlooks, key: nil, value: $0, written: nil) }
            }
        }
        interactions(folder, names, ids)
    }

    private static func fillNumbers(_ numbers: inout [Float], level: Float) {
        numbers[ForecastNumbers.stepSeconds] = 60
        numbers[ForecastNumbers.horizonCount] = Float(horizons.count)
        numbers[ForecastNumbers.readyUnits] = 4
        numbers[ForecastNumbers.sampleCount] = 1_000
        for (h, seconds) in horizons.enumerated() {
            let block = ForecastNumbers.block(h)
            numbers[block] = seconds
            numbers[block + 1] = level + seconds / 60
            for q in 0..<QuantileLevels.count { numbers[block + 2 + q] = level + seconds / 60 + Float(q - 1) * 10 }
            numbers[ForecastNumbers.tailCount(h)] = Float(40 - h)
            numbers[ForecastNumbers.influence(h, of: horizons.count)] = Float(h)
        }
    }

    private static func interactions(_ folder: ViewFolder, _ names: NameTable, _ ids: [NameID]) {
        var writer = FrameWriter()
        let numbers: [Float] = [4_096, 0.02]
        numbers.withUnsafeBytes { bytes in
            for (index, pair) in [(ids[0], ids[1]), (ids[1], ids[2])].enumerated() {
                writer.append(
                    Entry(
                        kind: .interaction, resource: pair.0, object: pair.1, time: EventTime(milliseconds: start),
                        value: 50 - Double(index) * 20, numbers: FloatSlice(start: bytes.baseAddress, count: 2)),
                    sequence: Sequence(offset: 1, index: Int64(index)),
                    previous: index == 0 ? .none : Sequence(offset: 1, index: 0)
                ) { names.bytes(of: $0) }
            }
            let frame = writer.finish(
                sender: TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0), incarnation: 1,
                heartbeat: Heartbeat(watermark: EventTime(milliseconds: start), isIdle: false, senders: []))
            frame.withUnsafeBytes { folder.receive(.forecasts, key: nil, value: $0, written: nil) }
        }
    }
}
