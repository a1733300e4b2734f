import TestKit
import Testing

@testable import Scaling

/// A direct transcription of the concept's scaling policy engine: a loop over all twins that compares the predicted
/// load with capacity × threshold, then a second loop in which every twin's predicted load adjusts the thresholds of
/// its neighbours (more load next door: scale up earlier, less: later).
private struct Concept {
    struct Twin {
        var units: Int
        var capacityPerUnit: Double
        var predictedLoad = 0.0
        /// What the neighbours' loads take off both thresholds, in units of load.
        var adjustment = 0.0
    }

    var twins: [Twin]
    /// For each twin its neighbours and the weight of the edge towards them.
    var neighbours: [[(target: Int, weight: Double)]]
    let scalingThreshold: Double
    let underutilisationThreshold: Double

    /// Adjusts first, so that a round decides on the loads of the same moment.
    mutating func scaleResources(_ predictLoad: (Int) -> Double) {
        for index in twins.indices {
            twins[index].predictedLoad = predictLoad(index)
            twins[index].adjustment = 0
        }
        for index in twins.indices {
            for neighbour in neighbours[index] {
                adjustScalePolicy(neighbour.target, twins[index].predictedLoad * neighbour.weight)
            }
        }
        for index in twins.indices {
            let twin = twins[index]
            let capacity = Double(twin.units) * twin.capacityPerUnit
            if twin.predictedLoad > capacity * scalingThreshold - twin.adjustment {
                twins[index].units += 1
            } else if twin.predictedLoad < capacity * underutilisationThreshold - twin.adjustment {
                twins[index].units = max(twin.units - 1, 1)
            }
        }
    }

    private mutating func adjustScalePolicy(_ index: Int, _ loadFromNeighbour: Double) {
        twins[index].adjustment += loadFromNeighbour
    }
}

@Suite struct ThresholdTests {
    @Test(arguments: 0..<20)
    func `the threshold rule of the concept is reproduced step by step`(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let count = 5
        var concept = Concept(
            twins: (0..<count).map { _ in
                Concept.Twin(units: Int.random(in: 1...9, using: &random), capacityPerUnit: 64)
            },
            neighbours: (0..<count).map { source in
                (0..<count).filter { $0 != source }.map { ($0, Double(Int.random(in: -2...4, using: &random)) / 16) }
            }, scalingThreshold: 0.75, underutilisationThreshold: 0.25)
        let decider = try Decider()
        try decider.feed([
            policy(
                "rule",
                """
                {"mode":"recommend","capacityPerReplica":64,"scalingThreshold":0.75,"underutilisationThreshold":0.25,
                 "provisioningDelaySeconds":285,"stabilisation":{"downSeconds":0}}
                """)
        ])
        for step in 0..<60 {
            let units = concept.twins.map(\.units)
            let loads = (0..<count).map { _ in Double(Int.random(in: 0...640, using: &random)) }
            concept.scaleResources { loads[$0] }
            var said: [Said] = []
            for index in 0..<count {
                let influence = concept.twins[index].adjustment
                var outlook = Outlook.flat(
                    .random(in: 0...640, using: &random), forecast: loads[index] + influence,
                    ready: Float(units[index]),
                    influence: Float(influence))
                outlook.resource = "twin\(index)"
                said.append(outlook.at(1_005 + Int64(step) * 15))
            }
            let written = try decider.feed(said)
            for index in 0..<count {
                let record = written.decisions.last { $0.key == "twin\(index)" }
                // Nothing written means nothing changed.
                let desired = record?.int("desired") ?? decided["twin\(index)"] ?? -1
                decided["twin\(index)"] = desired
                #expect(desired == concept.twins[index].units, "seed \(seed), step \(step), twin \(index)")
            }
        }
    }

    private final class Memory { var values: [String: Int] = [:] }
    private let memory = Memory()
    private var decided: [String: Int] {
        get { memory.values }
        nonmutating set { memory.values = newValue }
    }

    @Test func `a distrusted forecast leaves the threshold rule with the present level`() throws {
        let decider = try Decider()
        try decider.feed([
            policy(
                "rule",
                """
                {"mode":"act","capacityPerReplica":100,"scalingThreshold":0.8,"underutilisationThreshold":0.3,
                 "stabilisation":{"downSeconds":0},"stepUpMax":3}
                """)
        ])
        var outlook = Outlook.flat(100, forecast: 900, ready: 4)
        outlook.distrusted = true
        #expect(try decider.feed([outlook.at(1_005)]).actions.first?.int("to") == 3)
        let trusted = try decider.feed([Outlook.flat(100, forecast: 900, ready: 4).at(1_020)])
        #expect(trusted.actions.first?.int("to") == 6)
        #expect(
            trusted.decisions.first?.text("reason")?.hasPrefix(
                "predicted requests of 900 is above 240, 80 % of the capacity of 3") == true)
    }
}
