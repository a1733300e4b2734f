import ArgumentParser
import Views

/// `twinscale graph`: who talks to whom.
struct GraphCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graph",
        abstract: "Show who talks to whom, the busiest first, and over which paths a change travels.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)",
        subcommands: [Edges.self, Paths.self, Localities.self], defaultSubcommand: Edges.self)

    struct Edges: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List the edges, the busiest first.")

        @OptionGroup var server: ServerOptions
        @Option(help: ArgumentHelp("Only around this resource.", valueName: "resource")) var around: String?
        @Option(help: "How many calls away from it.") var hops = 2
        @Option(help: ArgumentHelp("Only with an end in this locality.", valueName: "name")) var locality: String?
        @Option(help: "Edges at most.") var limit = 100

        func validate() throws {
            if !(1...8).contains(hops) { throw ValidationError("--hops is 1 to 8") }
            if !(1...1_000).contains(limit) { throw ValidationError("--limit is 1 to 1000") }
        }

        func answer(_ remote: Remote) async throws -> Printout {
            let graph = try await remote.get(
                ["v1", "graph"],
                [("around", around), ("hops", "\(hops)"), ("locality", locality), ("limit", "\(limit)")])
            if server.json { return .page(graph, []) }
            return .table(
                graph["edges"]?.elements ?? [],
                [
                    .init("SOURCE", at: "source"), .init("TARGET", at: "target"), .init("CALLS/S", at: "rate"),
                    .init("BYTES/S", at: "bytesPerSecond"), .init("LATENCY S", at: "latencySeconds"),
                    .init("CROSSES", at: "crossesLocality"), .init("SEEN", at: "time"),
                ], none: "No calls are known.", hasMore: graph["truncated"]?.flag ?? false)
        }
    }

    struct Paths: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the shortest path of calls to another resource, or all that one reaches.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "Where the calls begin.") var from: String
        @Option(help: ArgumentHelp("Where they end.", valueName: "resource")) var to: String?
        @Option(help: "Calls in a row at most.") var hops = 4

        func validate() throws { if !(1...16).contains(hops) { throw ValidationError("--hops is 1 to 16") } }

        func answer(_ remote: Remote) async throws -> Printout {
            let found = try await remote.get(
                ["v1", "graph", "paths"], [("from", from), ("to", to), ("hopsMax", "\(hops)")])
            return .table(
                found["paths"]?.elements ?? [],
                [
                    .init("TO", at: "to"), .init("HOPS", at: "hops"), .init("THINNEST", at: "rateMin"),
                    .init("OVER") { path in
                        (path["resources"]?.elements ?? []).map { printable($0.text ?? "") }.joined(separator: " → ")
                    },
                ], none: "No calls lead there.")
        }
    }

    struct Localities: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List types and values of localities.")

        @OptionGroup var server: ServerOptions
        @Option(help: ArgumentHelp("Only of this type, such as zone.", valueName: "name")) var type: String?

        func answer(_ remote: Remote) async throws -> Printout {
            let found = try await remote.get(["v1", "localities"], [("localityType", type)])
            let items = (found["types"]?.elements ?? []).flatMap { type in
                (type["values"]?.elements ?? []).map { $0.setting("type", type["type"] ?? .null) }
            }
            return .table(
                items, [.init("TYPE", at: "type"), .init("VALUE", at: "value"), .init("RESOURCES", at: "resources")],
                none: "No localities are known.")
        }
    }
}
