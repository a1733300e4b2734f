import ArgumentParser
import CLI
import Testing

@Suite struct Health {
    @Test func readsStatusAndBody() {
        let well = HealthCommand.parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        #expect(well?.status == 200)
        #expect(well?.body == "ok\n")
        #expect(HealthCommand.parse("HTTP/1.0 503 Service Unavailable\r\n\r\nlag")?.status == 503)
    }

    @Test(arguments: ["", "HTTP/1.1", "HTTP/1.1 200 OK", "SSH-2.0\r\n\r\n", "HTTP/1.1 two\r\n\r\n"])
    func takesNothingElseForAnAnswer(text: String) { #expect(HealthCommand.parse(text) == nil) }

    @Test(arguments: ["", "9464", "127.0.0.1:", "127.0.0.1:99999", "host:1", "1.2.3.4:5:6"])
    func refusesAddresses(text: String) {
        #expect(throws: (any Error).self) { try TwinscaleCommand.parseAsRoot(["health", "--address", text]) }
    }

    @Test func saysWhenNobodyAnswers() throws {
        var command = try TwinscaleCommand.parseAsRoot(["health", "--address", "127.0.0.1:1", "--timeout", "1"])
        let code = #expect(throws: ExitCode.self) { try command.run() }
        #expect(code?.rawValue == 2)
    }
}
