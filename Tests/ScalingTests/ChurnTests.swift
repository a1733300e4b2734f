import Messages
import StageKit
import Testing
import TwinCore

@testable import Scaling

@Suite struct ChurnTests {
    @Test func `ever new resources fill nothing once the old ones are gone, and leave nothing in a budget`() throws {
        var settings = ScalingSettings()
        settings.resourcesMax = 20
        let decider = try Decider(settings)
        let terms = #"{"mode":"act","capacityPerReplica":100,"budget":{"name":"b","unitsMax":60}}"#
        try decider.feed([policy("p", terms)])
        func counter(_ name: String) -> UInt64? { decider.task.stageCounters.first { $0.name == name }?.value }
        for generation in 0..<30 {
            let time = 1_005 + Int64(generation) * 3_600
            var said: [Said] = []
            for resource in 0..<20 {
                var outlook = Outlook.flat(250, forecast: 250, ready: 2)
                outlook.resource = "r\(resource)-\(generation)"
                said.append(tags(outlook.resource, locality: "l\(generation)", "{}"))
                said.append(outlook.at(time))
            }
            let written = try decider.feed(said)
            #expect(!written.actions.isEmpty, "generation \(generation)")
            let gone = (0..<20).map { Said(kind: .gone, resource: "r\($0)-\(generation)") }
            try decider.feed(gone, watermark: time)
            #expect(counter("resources") == 0)
        }
        #expect(counter("resourcesRefused") == 0)
        let cells = decider.task.freeze().sections.first { $0.tag == sectionTag("scRS") }
        #expect(cells?.pages.count == 1)
    }
}
