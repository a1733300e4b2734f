import Kafka
import Testing
import TwinCore

@testable import Runtime

@Suite("Starting")
struct StartTests {
    @Test("Missing topics are named, with the command that makes them", .timeLimit(.minutes(1)))
    func missingTopics() async throws {
        let stand = try Stand(topics: ["observations"])
        let failure = await #expect(throws: StageFailure.self) { try await stand.service().run() }
        #expect(failure?.kind == .refused)
        #expect(failure?.reason == "topics are missing: forecasts, deadletters")
        let command = "twinscale topics apply --bootstrap \(stand.broker.bootstrapServers)"
        #expect(failure?.hint == "create them with: \(command)")
        let named = await #expect(throws: StageFailure.self) {
            try await stand.service(["--namespace", "shop"]).run()
        }
        #expect(named?.reason.contains("shop.observations") == true)
        #expect(named?.hint == "create them with: \(command) --namespace shop")
    }

    @Test("Another partition count than the configured one refuses the start", .timeLimit(.minutes(1)))
    func partitionCount() async throws {
        let stand = try Stand(partitions: 4)
        let failure = await #expect(throws: StageFailure.self) { try await stand.service(["--partitions", "8"]).run() }
        #expect(failure?.kind == .refused)
        #expect(failure?.reason == "topic 'observations' has 4 partitions, configured are 8")
        #expect(failure?.exitCode == 2)
    }

    @Test("Without a broker a start ends in time and says where it looked", .timeLimit(.minutes(1)))
    func missingBroker() async throws {
        let configuration = try RuntimeConfiguration(
            stage: .twinUpdater,
            arguments: ["--kafka", "bootstrap.servers=127.0.0.1:1", "--start-timeout-milliseconds", "1500"])
        let start = monotonicMilliseconds()
        let service = StageService(echo(), configuration, log: quietLog())
        let failure = await #expect(throws: StageFailure.self) { try await service.run() }
        #expect(monotonicMilliseconds() - start < 10_000)
        #expect(failure?.kind == .broken)
        #expect(failure?.exitCode == 3)
        #expect(failure?.reason.contains("127.0.0.1:1 within 1500 ms") == true, "\(String(describing: failure))")
        #expect(service.board.unreadiness != nil)
    }

    @Test("A stop that comes while no broker answers ends at once", .timeLimit(.minutes(1)))
    func stopWhileWaiting() async throws {
        let configuration = try RuntimeConfiguration(
            stage: .twinUpdater, arguments: ["--kafka", "bootstrap.servers=127.0.0.1:1"])
        let service = StageService(echo(), configuration, log: quietLog())
        async let run: Void = service.run()
        try await Task.sleep(for: .milliseconds(300))
        service.requestStop()
        try await run
    }
}
