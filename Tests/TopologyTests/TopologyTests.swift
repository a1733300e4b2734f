import StageKit
import Testing
import Topology
import TwinCore

@Suite struct TopologyPage {
    @Test func everyTopicAndEveryStageStandsOnThePageOnce() {
        #expect(Topology.topics.compactMap(\.topic) == TopicName.allCases)
        #expect(Topology.stages.map(\.stage) == StageName.allCases)
        #expect(Topology.stores.allSatisfy { $0.topic == nil })
    }

    @Test func noTopicIsWithoutAWriterOrAReader() {
        for plan in Topology.topics + Topology.stores {
            #expect(!Topology.writers(of: plan).isEmpty, "\(plan.name) has no writer")
            #expect(!Topology.readers(of: plan).isEmpty, "\(plan.name) has no reader")
        }
    }

    @Test func everyStageButTheNormalizerHasOneInbox() {
        for stage in StageName.allCases {
            let count = Topology.inboxes(of: stage).count
            #expect(stage == .normalizer ? count == 6 : count == 1)
            #expect(Topology.outputs(of: stage).last == .deadletters)
        }
    }

    @Test func noEdgeStandsTwice() {
        for plan in Topology.stages {
            #expect(Set(plan.reads.map(\.topic)).count == plan.reads.count)
            #expect(Set(plan.writes.map(\.topic)).count == plan.writes.count)
        }
    }

    @Test func framesAreExactlyTheCoPartitionedTopics() {
        #expect(Topology.topics.filter { $0.schema == "frame.proto" }.map(\.topic) == Topology.coPartitioned)
        #expect(Topology.coPartitioned.allSatisfy { Topology.plan(of: $0).key == .locality })
    }

    @Test func theRuleOnePartitionIsTheLayoutsToo() {
        let layout = TopicLayout(partitions: 7)
        for topic in TopicName.allCases {
            #expect(layout[topic] == (Topology.plan(of: topic).partitions == .one ? 1 : 7))
        }
    }

    @Test func retentionsAreDurationsAndCompactedTopicsHaveNone() {
        for plan in Topology.topics + Topology.stores {
            #expect((plan.cleanup == .compact) == (plan.retention == nil))
            if let retention = plan.retention { #expect(Topology.milliseconds(ofDuration: retention) ?? 0 > 0) }
        }
    }

    @Test func aStagesTasksAreThePartitionsOfItsInboxes() {
        let layout = TopicLayout(partitions: 3)
        #expect(Topology.tasks(of: .normalizer, layout: layout).count == 4 * 3 + 2)
        let tasks = Topology.tasks(of: .driftDetector, layout: layout)
        #expect(tasks.map(\.partition) == [0, 1, 2])
        #expect(tasks.allSatisfy { $0.inbox == .forecasts && $0.epoch == 1 })
        #expect(Topology.tasks(of: .twinUpdater, layout: layout) { _ in 5 }.allSatisfy { $0.epoch == 5 })
    }

    @Test func aNamespaceIsAPrefixAndHasPlainCharacters() {
        #expect(Topology.brokerName(.actions, namespace: "") == "actions")
        #expect(Topology.brokerName(.actions, namespace: "replay-7") == "replay-7.actions")
        #expect(Topology.fault(inNamespace: "") == nil)
        #expect(Topology.fault(inNamespace: "a_B-9") == nil)
        for bad in ["a.b", "a/b", "ä", " ", "..", String(repeating: "n", count: 65)] {
            #expect(Topology.fault(inNamespace: bad) != nil, "\(bad)")
        }
    }
}

@Suite struct Durations {
    @Test(
        arguments: [
            ("P7D", 604_800_000), ("PT0S", 0), ("P1W", 604_800_000), ("P1DT2H3M4S", 93_784_000), ("PT90M", 5_400_000),
            ("86400000", 86_400_000), ("0", 0), ("PT1H", 3_600_000), ("P1WT1S", 604_801_000),
        ] as [(String, Int64)])
    func areRead(text: String, milliseconds: Int64) {
        #expect(Topology.milliseconds(ofDuration: text) == milliseconds)
    }

    @Test(arguments: [
        "", "P", "PT", "7D", "P7", "PD", "P-1D", "P1M", "P1Y", "PT1D", "P1H", "P1DT", "PT1S1M", "P1D1D", "P1.5D", "p1d",
        "-5", "P99999999999999999999D", "P9223372036854775807W", "P7D ", "PTT1S", "P1D\u{0}", "P١D",
    ])
    func areRefused(text: String) { #expect(Topology.milliseconds(ofDuration: text) == nil) }
}
