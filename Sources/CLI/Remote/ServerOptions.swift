import ArgumentParser
import Foundation
import Runtime
import Yams

/// How to reach twin-api, for every subcommand that asks it.
package struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Address of twin-api (\(ServerAddress.urlDefault)).", valueName: "url"))
    var server: String?

    @Option(help: ArgumentHelp("File that holds your token, and nothing else.", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("Certificates to trust instead of the system's, in PEM.", valueName: "file"))
    var ca: String?

    @Flag(help: "Send the token over an unencrypted connection to another machine too.")
    var insecure = false

    @Option(help: ArgumentHelp("How long to wait for an answer.", valueName: "seconds"))
    var timeout = 10

    @Flag(help: "Print JSON: of a list an object a line.")
    var json = false

    package init() {}

    package func validate() throws {
        if !(1...3_600).contains(timeout) { throw ValidationError("--timeout is 1 to 3600 seconds") }
    }
}

/// Where twin-api is and who asks: from options, else the environment, else the file of the user.
struct ServerAddress: Sendable {
    static let urlDefault = "http://127.0.0.1:8080"
    /// A longer token is none.
    private static let tokenBytesMax = 16_384

    /// Without a slash at its end.
    let url: String
    let token: String?
    let ca: String?

    /// How the settings are named where people look for them.
    static let places = """
        The server's address is given by --server, else TWINSCALE_SERVER, else `server` in \
        ~/.config/twinscale/cli.yaml; the token by --token-file, else TWINSCALE_TOKEN, else `tokenFile` there; \
        certificates to trust by --ca, else TWINSCALE_CA, else `ca` there. A token is never an argument: others could \
        read it in the list of processes.
        """

    init(_ options: ServerOptions, environment: [String: String] = StageProcess.environment()) throws(ToolError) {
        let file = try Self.file(environment)
        var url = options.server ?? environment["TWINSCALE_SERVER"] ?? file["server"] ?? Self.urlDefault
        while url.hasSuffix("/") { url.removeLast() }
        guard let parts = URLComponents(string: url), let scheme = parts.scheme, let host = parts.host, !host.isEmpty,
            ["http", "https"].contains(scheme), parts.query == nil, parts.user == nil
        else {
            throw ToolError("'\(printable(url))' is no address of a server", hint: "write http://127.0.0.1:8080")
        }
        self.url = url
        ca = options.ca ?? environment["TWINSCALE_CA"] ?? file["ca"]
        token = try Self.token(options, environment, file)
        let isLocal = ["localhost", "::1", "[::1]"].contains(host) || host.hasPrefix("127.")
        if token != nil, scheme == "http", !isLocal, !options.insecure {
            throw ToolError(
                "the token would travel unencrypted to \(host)",
                hint: "ask https://…, or say that you want it with --insecure")
        }
    }

    private static func token(
        _ options: ServerOptions, _ environment: [String: String], _ file: [String: String]
    ) throws(ToolError) -> String? {
        let path = options.tokenFile
        if path == nil, let token = environment["TWINSCALE_TOKEN"], !token.isEmpty { return try checked(token) }
        guard let path = path ?? file["tokenFile"] else { return nil }
        guard let handle = FileHandle(forReadingAtPath: (path as NSString).expandingTildeInPath),
            let data = try? handle.read(upToCount: tokenBytesMax + 1)
        else { throw ToolError("the token file '\(path)' cannot be read") }
        return try checked(String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// What can stand in a header. The token itself is in no message.
    private static func checked(_ token: String) throws(ToolError) -> String {
        guard (1...tokenBytesMax).contains(token.utf8.count), token.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else { throw ToolError("what is given as token is none", hint: "it is one word of ASCII characters") }
        return token
    }

    /// `cli.yaml` of the user, if there is one.
    private static func file(_ environment: [String: String]) throws(ToolError) -> [String: String] {
        let base = environment["XDG_CONFIG_HOME"] ?? environment["HOME"].map { $0 + "/.config" }
        guard let path = base.map({ $0 + "/twinscale/cli.yaml" }), FileManager.default.fileExists(atPath: path) else {
            return [:]
        }
        let known = ["server", "tokenFile", "ca"]
        guard let text = try? ConfigurationSources.read(path), let root = try? Yams.compose(yaml: text),
            let mapping = root.mapping
        else { throw ToolError("'\(path)' cannot be read", hint: "it holds lines such as server: https://…") }
        var values: [String: String] = [:]
        for (key, value) in mapping {
            guard let name = key.string, known.contains(name), let text = value.scalar?.string else {
                throw ToolError("'\(path)' holds what is not known", hint: "known are \(known.joined(separator: ", "))")
            }
            values[name] = text
        }
        return values
    }
}
