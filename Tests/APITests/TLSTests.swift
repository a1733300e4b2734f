import ArgumentParser
import Foundation
import Testing

@testable import API
@testable import CLI

/// The server over TLS, with a certificate made for the occasion.
@Suite struct TLSTests {
    private static let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// A key and a certificate of its own for localhost; their paths.
    private static func certificate(in folder: URL) throws -> (certificate: String, key: String) {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let certificate = folder.appendingPathComponent("c.pem").path
        let key = folder.appendingPathComponent("k.pem").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(openssl))
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return (certificate, key)
    }

    @Test(.enabled(if: openssl != nil, "openssl is not installed"))
    func onlyWhoTrustsTheCertificateIsServed() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let (certificate, key) = try Self.certificate(in: folder)
        let server = try TestServer()
        SmallFleet.fill(server)
        try await server.listen(try APIServer.builder(certificate: certificate, key: key)) { (port) async throws in
            func list(_ arguments: [String]) async throws -> String {
                let url = "https://localhost:\(port)"
                let command = try TwinscaleCommand.parseAsRoot(["twin", "list", "--server", url] + arguments)
                return try await #require(command as? any RemoteCommand).output()
            }
            #expect(try await list(["--ca", certificate]).contains("web"))
            let error = await #expect(throws: ToolError.self) { try await list([]) }
            #expect(error?.hint?.contains("--ca") == true)
        }
    }

    @Test func aKeyThatIsNotThereIsRefusedAtTheStart() {
        #expect(throws: (any Error).self) {
            try APIServer.builder(certificate: "/nowhere/c.pem", key: "/nowhere/k.pem")
        }
    }
}
