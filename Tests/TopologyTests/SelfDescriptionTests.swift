import Testing
import Topology
import TwinCore

private let golden = """
    flowchart LR
        platform([platform])
        actuators([actuators])
        api([api])
        cli([cli])
        alerting([alerting])
        telemetry[(telemetry)]
        interactions[(interactions)]
        environment[(environment)]
        outcomes[(outcomes)]
        policies[(policies)]
        commands[(commands)]
        observations[(observations)]
        forecasts[(forecasts)]
        outlooks[(outlooks)]
        actions[(actions)]
        decisions[(decisions)]
        drift[(drift)]
        twins[(twins)]
        deadletters[(deadletters)]
        normalizer[normalizer]
        twin-updater[twin-updater]
        drift-detector[drift-detector]
        graph-propagator[graph-propagator]
        scaling-decider[scaling-decider]
        platform --> telemetry
        api --> telemetry
        platform --> interactions
        api --> interactions
        platform --> environment
        api --> environment
        actuators --> outcomes
        api --> outcomes
        api --> policies
        cli --> policies
        api --> commands
        cli --> commands
        telemetry --> normalizer
        interactions --> normalizer
        environment --> normalizer
        outcomes --> normalizer
        policies --> normalizer
        commands --> normalizer
        normalizer -- samples, interactions, events, outcomes --> observations
        normalizer -- outcomes, policies, commands --> outlooks
        normalizer -.-> deadletters
        observations --> twin-updater
        twin-updater -- forecasts, interactions, tags --> forecasts
        twin-updater -- summaries --> twins
        twin-updater -.-> deadletters
        forecasts --> drift-detector
        drift-detector -- drift events --> drift
        drift-detector -- retrain requests --> observations
        drift-detector -.-> deadletters
        forecasts --> graph-propagator
        graph-propagator -- outlooks --> outlooks
        graph-propagator -- influence across localities --> forecasts
        graph-propagator -.-> deadletters
        outlooks --> scaling-decider
        scaling-decider -- actions --> actions
        scaling-decider -- decisions --> decisions
        scaling-decider -- policies, said again --> outlooks
        scaling-decider -.-> deadletters
        environment --> api
        policies --> api
        commands --> api
        observations --> api
        forecasts --> api
        outlooks --> api
        actions --> actuators
        actions --> api
        decisions --> api
        decisions --> alerting
        drift --> api
        drift --> alerting
        twins --> api
        twins --> cli
        deadletters --> api
        deadletters --> cli

    """

@Suite struct SelfDescription {
    @Test func theFlowchartIsTheGoldenOne() {
        #expect(Topology.mermaid == golden)
    }

    @Test func theTextNamesEveryTopicStageAndCargo() {
        let text = Topology.text
        for plan in Topology.topics + Topology.stores { #expect(text.contains("\n\(plan.name) ")) }
        for plan in Topology.stages {
            #expect(text.contains("\n\(plan.stage.text)\n"))
            for flow in plan.reads + plan.writes { #expect(text.contains(" \(flow.carries)\n")) }
        }
        #expect(!text.contains(" \n"))
    }

    @Test func columnsAreAlignedAndLinesHaveNoSpacesAtTheEnd() {
        #expect(
            Topology.aligned([["a", "", "b"], ["long", "x"], [], ["", "", "c"]]) == [
                "a        b", "long  x", "", "         c",
            ])
    }

    @Test func theJSONIsAnObjectWithTheThreeLists() {
        #expect(Topology.json.hasPrefix("{\"topics\":[{\"name\":\"telemetry\","))
        for name in ["topics", "stores", "stages"] { #expect(Topology.json.contains("\"\(name)\":[{")) }
    }
}
