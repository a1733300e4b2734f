import ArgumentParser
import Testing

@testable import CLI

@Suite("Options of the backtest")
struct BacktestOptionTests {
    private func parse(_ zone: String) throws {
        _ = try TwinscaleCommand.parseAsRoot(["backtest", "--telemetry", "t.csv", "--out", "o", "--time-zone", zone])
    }

    @Test("take a time zone by a rule", arguments: ["UTC", "CET-1CEST,M3.5.0,M10.5.0/3"])
    func taken(zone: String) throws { try parse(zone) }

    @Test("refuse one that is unknown, and say why", arguments: ["Mars/Olympus", "CET-1CEST,J60,J300", "../UTC"])
    func refused(zone: String) {
        let error = #expect(throws: (any Error).self) { try parse(zone) }
        let text = error.map { TwinscaleCommand.message(for: $0) } ?? ""
        #expect(text.contains("--time-zone: ") && text.contains(zone), "\(text)")
    }
}
