import Messages
import StageKit
import Testing
import TwinCore

@testable import Views

/// A stray time of a far future holds nothing up once the truth comes again.
@Suite struct StrayTimeTests {
    private static let start: Int64 = 1_795_000_000_000
    private static let future = 1_000_000

    private static func time(_ minute: Int) -> EventTime { EventTime(milliseconds: start + Int64(minute) * 60_000) }

    /// Folds an outlook of `resource`, whose sender has reached the minute `reached`, if any.
    private static func say(
        _ fleet: inout FleetView, _ resource: String, _ minute: Int, level: Double, offset: Int64, reached: Int? = nil
    ) {
        let timeMax = reached.map { time($0 + 60) }
        let place = OutlookPlace(task: 7, sequence: Sequence(offset: offset, index: 0), timeMax: timeMax)
        var name = resource
        var metric = "m"
        SeriesTests().outlook(minute, level: level) { entry in
            name.withUTF8 { name in
                metric.withUTF8 { metric in
                    fleet.receiveOutlook(
                        entry, resource: UnsafeRawBufferPointer(name), metric: UnsafeRawBufferPointer(metric),
                        at: place)
                }
            }
        }
    }

    private static func facts(_ id: String, minute: Int, desired: Int) -> DecisionFacts {
        DecisionFacts(
            id: id, time: time(minute), data: .object([.init("desired", .number(Double(desired)))]))
    }

    @Test func theFleetsTimeGoesBackWithTheSampleThatHadMovedIt() {
        var fleet = FleetView(limits: ViewLimits(), resourcesMax: 10)
        Self.say(&fleet, "a", 1, level: 5, offset: 1)
        Self.say(&fleet, "b", 2, level: 5, offset: 2)
        Self.say(&fleet, "a", Self.future, level: 500, offset: 3)
        #expect(fleet.reached == Self.time(Self.future))
        Self.say(&fleet, "a", 1, level: 6, offset: 4)
        #expect(fleet.reached == Self.time(2))
        #expect(fleet.twins[0].series[0].level == 6)
    }

    @Test func aTimeFarAheadOfTheSendersWatermarkDoesNotCount() {
        var fleet = FleetView(limits: ViewLimits(), resourcesMax: 10)
        Self.say(&fleet, "a", 1, level: 5, offset: 1, reached: 1)
        Self.say(&fleet, "b", Self.future, level: 500, offset: 2, reached: 1)
        #expect(fleet.reached == Self.time(1))
        Self.say(&fleet, "a", 50, level: 5, offset: 3, reached: 2)
        #expect(fleet.reached == Self.time(50))
    }

    @Test func theDecisionThatStandsLaterInTheLogCounts() {
        var fleet = FleetView(limits: ViewLimits(), resourcesMax: 10)
        fleet.receiveDecision(Self.facts("1", minute: 1, desired: 3), resource: "a", locality: nil)
        fleet.receiveDecision(Self.facts("2", minute: Self.future, desired: 18), resource: "a", locality: nil)
        fleet.receiveDecision(Self.facts("3", minute: 2, desired: 3), resource: "a", locality: nil)
        #expect(fleet.twins[0].decision?.id == "3")
        #expect(fleet.twins[0].decision?.desired == 3)
    }

    @Test func aWatermarkIsTheLastOneThatWasSaid() {
        var pipeline = PipelineView()
        let task = TaskID(stage: .graphPropagator, inbox: .forecasts, epoch: 1, partition: 0)
        pipeline.receive(task, watermark: Self.time(Self.future))
        pipeline.receive(task, watermark: Self.time(3))
        #expect(pipeline.receive(task, watermark: nil) == Self.time(3))
        #expect(pipeline.watermark(of: .graphPropagator) == Self.time(3))
    }
}
