import Messages
import Normalization
import StageKit
import Testing
import TwinCore

@Suite struct ChurnTests {
    private func sample(_ resource: String, _ seconds: Int, locality: String) -> String {
        let time = 1_767_225_600 + seconds
        return #"{"resource":"\#(resource)","metric":"rps","value":1,"ts":\#(time),"locality":"\#(locality)"}"#
    }

    @Test func `ever new resources fill neither the directory nor the names`() throws {
        var settings = NormalizerSettings()
        settings.resourcesMax = 60
        settings.expireSeconds = 3_600
        settings.restateSeconds = 600
        let harness = try Harness(.telemetry, settings: settings, namesMax: 200)
        for generation in 0..<200 {
            for resource in 0..<10 {
                let name = "r\(resource)-\(generation)"
                harness.send(sample(name, generation * 1_800, locality: "cluster-\(generation)"))
                harness.send(sample("steady", generation * 1_800, locality: "here"))
            }
        }
        #expect(harness.count("resourcesRefused") == 0 && harness.count("namesRefused") == 0)
        let outputs = try harness.take()
        #expect(outputs.filter { $0.kind == .sample && $0.resource == "steady" }.count == 2_000)
        #expect(Set(outputs.filter { $0.kind == .sample }.map(\.resource)).count == 2_001)
        let again = try Harness(.telemetry, settings: settings, namesMax: 200, restoring: harness.task.freeze())
        #expect(again.task.freeze().digest == harness.task.freeze().digest)
    }

    @Test func `a resource that is heard of is kept, however long ago it was described`() throws {
        var settings = NormalizerSettings()
        settings.expireSeconds = 3 * 86_400
        let harness = try Harness(.interactions, settings: settings)
        func call(_ day: Int, _ locality: String) -> String {
            #"{"source":"a","target":"b","rate":1,"ts":\#(1_767_225_600 + day * 86_400)\#(locality)}"#
        }
        let known = #","sourceLocality":"x","targetLocality":"x""#
        for day in 0..<3 { harness.send(call(0, day == 0 ? known : "")) }
        for day in 1..<20 { for _ in 0..<3 { harness.send(call(day, known)) } }
        _ = try harness.take()
        harness.send(call(20, ""))
        harness.send(call(20, ""))
        harness.send(call(20, ""))
        #expect(Set(try harness.take().map(\.partition)) == [harness.partition(of: "x")])
    }
}
