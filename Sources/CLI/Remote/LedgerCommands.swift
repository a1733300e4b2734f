import ArgumentParser
import Views

/// Which part of a ledger is listed.
struct LedgerOptions: ParsableArguments {
    @OptionGroup var span: SpanOptions
    @Option(help: ArgumentHelp("Only about this one.", valueName: "name")) var resource: String?
    @Option(help: "Entries at most.") var limit = 50

    func validate() throws { try checkLimit(limit) }

    /// For the server.
    var query: [(String, String?)] { [("resource", resource), ("from", span.from), ("to", span.to)] }
}

/// `twinscale decisions`: the ledger.
struct DecisionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decisions",
        abstract: "List decisions and why they were made, or those that wait for approval.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)",
        subcommands: [List.self, Waiting.self, Show.self], defaultSubcommand: List.self)

    static let columns: [Printout.Column] = [
        .init("TIME", at: "time"), .init("RESOURCE", at: "subject"), .init("KIND", at: "data", "kind"),
        .init("MODE", at: "data", "mode"),
        .init("UNITS") { entry in
            // As in its action: from the units that are ready, whatever is under way.
            let ready = entry.at(["data", "inputs", "readyUnits"])?.integer ?? entry.at(["data", "current"])?.integer
            guard let ready, let to = entry.at(["data", "desired"])?.integer else { return "-" }
            return ready == to ? "\(to)" : "\(ready) → \(to)"
        },
        .init("ID", at: "id"), .init("REASON", at: "data", "reason"),
    ]

    struct List: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List decisions, the newest first.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var part: LedgerOptions
        @Option(help: ArgumentHelp("Only this kind: decision, result, policyRejected, …", valueName: "kind"))
        var kind: String?
        @Option(help: ArgumentHelp("Only in this mode: observe, recommend, approve, act.", valueName: "mode"))
        var mode: String?
        @Flag(help: "Only those that want another number than there is.") var changes = false
        @Flag(help: "Also that orders were accepted (see twinscale commands).") var all = false

        func answer(_ remote: Remote) async throws -> Printout {
            let showsAll = all || kind != nil
            let (items, hasMore) = try await remote.list(
                ["v1", "decisions"],
                part.query + [("kind", kind), ("mode", mode), ("changes", changes ? "true" : nil)], limit: part.limit
            ) { showsAll || $0.at(["data", "kind"])?.text != "commandAccepted" }
            return .table(items, columns, none: "No decisions match.", hasMore: hasMore)
        }
    }

    struct Waiting: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "List proposals that wait for approval, the oldest first.",
            discussion: "Answer with: twinscale approve PROPOSAL, or twinscale reject PROPOSAL.")

        @OptionGroup var server: ServerOptions
        @Option(help: "Entries at most.") var limit = 100

        func validate() throws { try checkLimit(limit) }

        func answer(_ remote: Remote) async throws -> Printout {
            let page = try await remote.get(["v1", "proposals"], [("limit", "\(min(limit, 1_000))")])
            return .table(
                page["items"]?.elements ?? [],
                [.init("PROPOSAL", at: "data", "proposal")] + columns.filter { !["KIND", "ID"].contains($0.title) },
                none: "Nothing waits for approval.", hasMore: page["next"]?.text != nil)
        }
    }

    struct Show: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Show one decision whole, with what came of it.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The decision's id.") var id: String

        func answer(_ remote: Remote) async throws -> Printout {
            .tree(try await remote.get(["v1", "decisions", id]))
        }
    }
}

/// `twinscale actions`: what was ordered of actuators, and what they did.
struct ActionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "actions",
        abstract: "List actions with what became of them, and how effective they were.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)",
        subcommands: [List.self, Show.self, Effect.self], defaultSubcommand: List.self)

    static let columns: [Printout.Column] = [
        .init("ISSUED", at: "issued"), .init("RESOURCE", at: "resource"),
        .init("UNITS") { "\($0["from"].cell) → \($0["to"].cell)" }, .init("STATUS", at: "status"),
        .init("ID", at: "id"), .init("REASON", at: "reason"),
    ]

    struct List: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List actions, the newest first.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var part: LedgerOptions
        @Option(help: ArgumentHelp("Only with this status: pending, accepted, ready, …", valueName: "status"))
        var status: String?

        func answer(_ remote: Remote) async throws -> Printout {
            let (items, hasMore) = try await remote.list(
                ["v1", "actions"], part.query + [("status", status)], limit: part.limit)
            return .table(items, columns, none: "No actions match.", hasMore: hasMore)
        }
    }

    struct Show: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one action with its outcomes and its measured effect.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The action's id.") var id: String

        func answer(_ remote: Remote) async throws -> Printout { .tree(try await remote.get(["v1", "actions", id])) }
    }

    struct Effect: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what actions were expected to do, and what they did.")

        @OptionGroup var server: ServerOptions
        @Option(help: ArgumentHelp("Only about this one.", valueName: "name")) var resource: String?

        func answer(_ remote: Remote) async throws -> Printout {
            let effect = try await remote.get(["v1", "effectiveness"], [("resource", resource)])
            let facts = Printout.facts([
                ("actions", effect["actions"].cell), ("ready", effect["ready"].cell),
                ("failed", effect["failed"].cell), ("open", effect["open"].cell),
                ("lead time", effect["leadSecondsMean"].span),
                ("lead time expected", effect["leadSecondsExpectedMean"].span),
                ("error of the utilisation", effect["utilisationErrorMean"].percent),
            ])
            let columns: [Printout.Column] = [
                .init("RESOURCE", at: "resource"), .init("ACTIONS", at: "actions"), .init("READY", at: "ready"),
                .init("FAILED", at: "failed"), .init("LEAD") { $0["leadSecondsMean"].span },
                .init("ERROR") { $0["utilisationErrorMean"].percent },
            ]
            return .page(effect, facts + Printout.section("By resource", effect["resources"]?.elements ?? [], columns))
        }
    }
}

/// `twinscale drift`: where models stopped fitting.
struct DriftCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "drift", abstract: "List drift events, the newest first.",
        discussion:
            "RETRAIN ASKED: whether the twin was asked to fit afresh. COST, where trust is back: what forecasts cost "
            + "meanwhile, the sum of their errors beyond the usual, in standard deviations. "
            + "Asks a running twin-api. \(ServerAddress.places)")

    static let columns: [Printout.Column] = [
        .init("TIME", at: "time"), .init("RESOURCE", at: "data", "resource"), .init("METRIC", at: "data", "metric"),
        .init("KIND", at: "data", "kind"), .init("SINCE", at: "data", "since"),
        .init("CAUSE", at: "data", "explainedBy"), .init("RETRAIN ASKED", at: "data", "retrainRequested"),
        .init("COST, DEVIATIONS", at: "data", "cost"), .init("REASON", at: "data", "reason"),
    ]

    @OptionGroup var server: ServerOptions
    @OptionGroup var part: LedgerOptions
    @Option(
        help: ArgumentHelp(
            "Only this kind: level, trend, variance, season, saturation, anomaly, data; restored: trust is back.",
            valueName: "kind"))
    var kind: String?
    @Flag(help: "Only those for which the twin is not trusted again yet.")
    var open = false

    func answer(_ remote: Remote) async throws -> Printout {
        let (items, hasMore) = try await remote.list(
            ["v1", "drift"], part.query + [("kind", kind), ("open", open ? "true" : nil)], limit: part.limit)
        return .table(items, Self.columns, none: "No drift.", hasMore: hasMore)
    }
}
