import Foundation
import Testing

@testable import CLI

@Suite("What the demo tells of drift")
struct DriftTellerTests {
    /// 2026-11-24T12:00:00Z.
    private static let noon: Int64 = 1_795_521_600

    /// A teller that drifts are told to as the detector writes them.
    private final class Rig {
        private(set) var lines: [String] = []
        private lazy var teller = DriftTeller(voice: DemoVoice(silent: false) { [unowned self] in lines.append($0) })
        private let reader = DemoReader()

        private func time(_ minute: Int64) -> String {
            ISO8601DateFormatter().string(
                from: Date(timeIntervalSince1970: Double(DriftTellerTests.noon + 60 * minute)))
        }

        func drift(_ resource: String, _ locality: String, since: Int64, at minute: Int64) throws {
            let text = """
                {"data": {"resource": "\(resource)", "locality": "\(locality)", "metric": "requests", "kind": "level",
                  "reason": "moved", "score": 1, "magnitude": 4, "since": "\(time(since))", "distrusts": true,
                  "retrainRequested": true}}
                """
            let event = try Array(text.utf8).withUnsafeBytes { try #require(reader.read(DriftEvent.self, $0)) }
            teller.take(event.data, at: DriftTellerTests.noon + 60 * minute)
        }

        func group(_ locality: String, resources: Int) throws {
            let text = """
                {"data": {"locality": "\(locality)", "scope": "locality", "alarm": false, "since": "\(time(0))",
                  "resources": \(resources), "resourcesKnown": 9, "resourcesExplained": 0, "resource": "worst"}}
                """
            let event = try Array(text.utf8).withUnsafeBytes { try #require(reader.read(DriftGroupEvent.self, $0)) }
            teller.take(event.data)
        }

        /// What is said in a minute.
        func tell(_ minute: Int64) -> [String] {
            lines = []
            teller.tell(DriftTellerTests.noon + 60 * minute)
            return lines
        }
    }

    @Test("Three resources of three localities are each told alone, at once")
    func apart() throws {
        let rig = Rig()
        for index in 0..<3 { try rig.drift("svc-\(index)", "zone-\(index)", since: 0, at: 1) }
        let lines = rig.tell(1)
        #expect(lines.count == 3)
        for index in 0..<3 { #expect(lines[index].contains("svc-\(index), requests: its level has moved")) }
        #expect(rig.tell(2).isEmpty)
    }

    @Test("Many of one locality are told in its summary, and so is who began before it and is found later")
    func together() throws {
        let rig = Rig()
        for index in 0..<4 { try rig.drift("svc-\(index)", "zone", since: 0, at: 1) }
        #expect(rig.tell(1).isEmpty)
        try rig.group("zone", resources: 4)
        let lines = rig.tell(6)
        #expect(lines.count == 1 && lines[0].contains("4 of the 9 resources of zone drifted together"))
        try rig.drift("svc-4", "zone", since: 2, at: 8)
        #expect(rig.tell(8).isEmpty)
        #expect((9..<30).allSatisfy { rig.tell($0).isEmpty })
        try rig.drift("svc-5", "zone", since: 50, at: 55)
        #expect(rig.tell(55).count == 1)
    }

    @Test("What no summary takes up is told alone, the first few in full")
    func left() throws {
        let rig = Rig()
        for index in 0..<5 { try rig.drift("svc-\(index)", "zone", since: 0, at: 1) }
        try rig.group("zone", resources: 1)
        try rig.group("elsewhere", resources: 5)
        #expect(rig.tell(1).count == 1)
        let told = (2..<30).flatMap { rig.tell($0) }
        #expect(told.count == 4)
        #expect(told.last?.contains("and svc-3, svc-4") == true)
    }
}
