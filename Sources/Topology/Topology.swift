import StageKit
import TwinCore

/// The pipeline on one page: every topic, and every edge topic → stage → topic.
///
/// ```
///  platform ──► telemetry ─────┐
///           ──► interactions ──┤
///           ──► environment ───┼► normalizer ─► observations ─► twin-updater ─► forecasts ─┬► drift-detector ─► drift
///  actuators ─► outcomes ──────┤      │             ▲                                      │        │
///  API, CLI ──► policies ──────┤      │             └──────── retrain requests ────────────┼────────┘
///           ──► commands ──────┘      │                                                    ▼
///                                     └──────────────► outlooks ◄──────────────── graph-propagator
///                         (outcomes, policies, commands)   │                       (+ influence, back into forecasts)
///                                                          ▼
///                                                   scaling-decider ─► actions, decisions
/// ```
///
/// The command line, the API, the tests and the files in `topics/` are checked against this page. Non-obvious:
/// - A stage has one inbox, because the order within a partition is the interleaving that a replay repeats. Whatever a
///   stage must know is written into its inbox by its producers: that is why policies travel through `outlooks`.
/// - Three edges lead backwards: retrain requests, influence, and policies that a decider says again into its own
///   inbox, so that whoever is rebuilt from it finds them all. They are bounded: by the detector's own rest after a
///   drift, by hops and damping, by a turn for each policy twice a day.
package enum Topology {
    /// Every topic, in the order of the flow.
    package static let topics: [TopicPlan] = [
        // From outside: open formats, any partition.
        TopicPlan(
            .telemetry, key: .anything, keep: "P7D", schema: "telemetry.schema.json",
            from: [.platform, .api], "samples of metrics, as the platform measures them"),
        TopicPlan(
            .interactions, key: .anything, keep: "P7D", schema: "interaction.schema.json",
            from: [.platform, .api], "who calls whom, how often, how slowly, with how many errors"),
        TopicPlan(
            .environment, key: .anything, keep: "P30D", schema: "event.schema.json",
            from: [.platform, .api], to: [.api], "planned events: campaigns, maintenance, holidays"),
        TopicPlan(
            .outcomes, key: .anything, keep: "P30D", schema: "outcome.schema.json",
            from: [.actuators, .api], "what became of an action"),
        TopicPlan(
            .policies, key: .policy, .one, keep: nil,
            compact: TopicPlan.compaction(dirtyRatio: "0.1", segmentMinutes: 1_440, tombstoneHours: 168),
            schema: "policy.schema.json", from: [.api, .cli], to: [.api],
            "what may be done to a resource, and to what end"),
        TopicPlan(
            .commands, key: .command, .one, keep: "P30D", schema: "command.schema.json",
            from: [.api, .cli], to: [.api], "an operator's orders, such as to approve an action"),

        // Inside: frames, by locality, co-partitioned.
        TopicPlan(
            .observations, key: .locality, keep: "P7D", schema: "frame.proto", to: [.api],
            "the twin-updater's inbox: what happened, in the words of the pipeline"),
        TopicPlan(
            .forecasts, key: .locality, keep: "P3D", schema: "frame.proto", to: [.api],
            "the detector's and the propagator's inbox: what each twin expects of itself"),
        TopicPlan(
            .outlooks, key: .locality, keep: "P3D", schema: "frame.proto", to: [.api],
            "the decider's inbox: forecasts with the neighbours' influence, and what decisions depend on"),

        // To the outside: JSON, by resource.
        TopicPlan(
            .actions, key: .resource, keep: "P30D", schema: "action.schema.json",
            to: [.actuators, .api], "what an actuator is to do"),
        TopicPlan(
            .decisions, key: .resource, keep: "P30D", schema: "decision.schema.json",
            to: [.api, .alerting], "why an action was decided or not, and later what came of it"),
        TopicPlan(
            .drift, key: .resource, keep: "P30D", schema: "drift.schema.json",
            to: [.api, .alerting], "a series that no longer behaves as its twin has learned"),
        TopicPlan(
            .twins, key: .resource, keep: nil,
            compact: TopicPlan.compaction(dirtyRatio: "0.2", segmentMinutes: 60, tombstoneHours: 24),
            schema: "twin.schema.json", to: [.api, .cli], "the latest summary of each twin"),
        TopicPlan(
            .deadletters, key: .source, keep: "P14D", schema: "deadletter.schema.json",
            to: [.api, .cli], "records that could not be understood, with the reason"),
    ]

    /// Topics that hold state beside the flow. Needed only where configuration names them.
    package static let stores: [TopicPlan] = [
        TopicPlan(
            store: "snapshots", key: .slot,
            compact: TopicPlan.compaction(dirtyRatio: "0.2", segmentMinutes: 10, tombstoneHours: 24),
            schema: "snapshot.md", "snapshots of tasks, where they are kept on the broker")
    ]

    /// Every stage with its edges, in the order of the flow.
    package static let stages: [StagePlan] = [
        StagePlan(
            .normalizer,
            reads: [
                Flow(.telemetry, "samples"), Flow(.interactions, "interactions"), Flow(.environment, "events"),
                Flow(.outcomes, "outcomes"), Flow(.policies, "policies"), Flow(.commands, "commands"),
            ],
            writes: [
                Flow(.observations, "samples, interactions, events, outcomes"),
                Flow(.outlooks, "outcomes, policies, commands"),
                Flow(.deadletters, "what could not be decoded"),
            ]),
        StagePlan(
            .twinUpdater,
            reads: [Flow(.observations, "samples, interactions, events, outcomes, retrain requests")],
            writes: [
                Flow(.forecasts, "forecasts, interactions, tags"), Flow(.twins, "summaries"),
                Flow(.deadletters, "frames that do not decode"),
            ]),
        StagePlan(
            .driftDetector,
            reads: [Flow(.forecasts, "forecasts")],
            writes: [
                Flow(.drift, "drift events"), Flow(.observations, "retrain requests"),
                Flow(.deadletters, "frames that do not decode"),
            ]),
        StagePlan(
            .graphPropagator,
            reads: [Flow(.forecasts, "forecasts, interactions, tags, influence")],
            writes: [
                Flow(.outlooks, "outlooks"), Flow(.forecasts, "influence across localities"),
                Flow(.deadletters, "frames that do not decode"),
            ]),
        StagePlan(
            .scalingDecider,
            reads: [Flow(.outlooks, "outlooks, outcomes, policies, commands")],
            writes: [
                Flow(.actions, "actions"), Flow(.decisions, "decisions"), Flow(.outlooks, "policies, said again"),
                Flow(.deadletters, "frames that do not decode"),
            ]),
    ]

    /// Inboxes whose partitions belong together: output partition = input partition. Their counts must be equal.
    package static let coPartitioned: [TopicName] = [.observations, .forecasts, .outlooks]

    /// Partitions of a standard topic, where nobody says otherwise.
    package static let partitionsDefault: Int32 = 4
}
