import ArgumentParser
import Views

/// `twinscale event`: what is planned.
struct EventCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "event",
        abstract: "List, announce and call off planned events, which twins expect beforehand.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)",
        subcommands: [List.self, Show.self, Add.self, Cancel.self], defaultSubcommand: List.self)

    private static func lines(_ event: JSONValue) -> [String] {
        Printout.facts([
            ("event", event["id"].cell), ("kind", event["kind"].cell), ("start", event["start"].cell),
            ("end", event["end"].cell),
            ("scope", "\(event.at(["scope", "key"]).cell):\(event.at(["scope", "value"]).cell)"),
            ("demand ×", event["uplift"].cell), ("called off", event["cancelled"].cell),
        ])
    }

    struct List: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List planned events, the soonest first.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var span: SpanOptions
        @Option(help: "Entries at most.") var limit = 100

        func validate() throws { try checkLimit(limit) }

        func answer(_ remote: Remote) async throws -> Printout {
            let (items, hasMore) = try await remote.list(
                ["v1", "events"], [("from", span.from), ("to", span.to)], limit: limit)
            return .table(
                items,
                [
                    .init("EVENT", at: "id"), .init("KIND", at: "kind"), .init("START", at: "start"),
                    .init("END", at: "end"),
                    .init("SCOPE") { "\($0.at(["scope", "key"]).cell):\($0.at(["scope", "value"]).cell)" },
                    .init("DEMAND ×", at: "uplift"), .init("CALLED OFF", at: "cancelled"),
                ], none: "Nothing is planned.", hasMore: hasMore)
        }
    }

    struct Show: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Show one planned event.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The event.") var id: String

        func answer(_ remote: Remote) async throws -> Printout {
            let event = try await remote.get(["v1", "events", id])
            return .page(event, lines(event))
        }
    }

    struct Add: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Announce a planned event, or change one.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The event.") var id: String
        @Option(help: ArgumentHelp("When it begins, as in 2026-11-27T06:00:00Z.", valueName: "time"))
        var start: String
        @Option(help: ArgumentHelp("When it ends.", valueName: "time")) var end: String
        @Option(help: ArgumentHelp("For whom: resource:cart, or a tag such as zone:eu-1.", valueName: "name:value"))
        var scope: String
        @Option(help: ArgumentHelp("What it is, such as campaign; events of a kind teach the next.", valueName: "word"))
        var kind: String
        @Option(help: ArgumentHelp("By what demand is multiplied, before anything is learned.", valueName: "factor"))
        var uplift: Double?

        func validate() throws {
            if scope.split(separator: ":", maxSplits: 1).count != 2 {
                throw ValidationError("--scope is of the form name:value")
            }
        }

        func answer(_ remote: Remote) async throws -> Printout {
            let parts = scope.split(separator: ":", maxSplits: 1).map(String.init)
            var body = JSONValue.object([])
                .setting("start", .string(start)).setting("end", .string(end))
                .setting(
                    "scope",
                    JSONValue.object([]).setting("key", .string(parts[0])).setting("value", .string(parts[1]))
                )
                .setting("kind", .string(kind))
            if let uplift { body = body.setting("uplift", .number(uplift)) }
            let event = try await remote.ask(.put, ["v1", "events", id], body: body).value
            return .page(event, lines(event))
        }
    }

    struct Cancel: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Call a planned event off.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The event.") var id: String

        func answer(_ remote: Remote) async throws -> Printout {
            let event = try await remote.ask(.delete, ["v1", "events", id]).value
            return .page(event, lines(event))
        }
    }
}
