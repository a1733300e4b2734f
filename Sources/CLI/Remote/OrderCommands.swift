import ArgumentParser
import Views

/// What every order may say.
struct OrderOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Why, for those who ask later.", valueName: "text")) var reason: String?
}

/// When an order ends.
struct UntilOption: ParsableArguments {
    @Option(help: ArgumentHelp("It ends then, as in 2026-11-24T12:00:00Z; without it with resume.", valueName: "time"))
    var until: String?
}

extension RemoteCommand {
    /// Sends an order, and says that it is on its way: deciders answer on the topic decisions.
    func order(_ remote: Remote, _ members: [(String, JSONValue?)]) async throws -> Printout {
        let body = JSONValue.object(members.compactMap { name, value in value.map { JSONValue.Member(name, $0) } })
        let sent = try await remote.ask(.post, ["v1", "commands"], body: body).value
        let subject = [sent["resource"], sent["policy"], sent["action"]].first { $0?.text != nil } ?? nil
        let line = "\(sent["verb"].cell) \(subject.cell) is on its way as \(sent["id"].cell)"
        return .page(sent, [line, "see whether it was accepted: twinscale commands"])
    }
}

/// `twinscale pause`: no actions on a resource or on all of a policy.
struct PauseCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Let no action be taken on a resource, or on all resources of a policy; decisions go on.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)")

    enum Direction: String, ExpressibleByArgument, CaseIterable { case up, down, both }

    @OptionGroup var server: ServerOptions
    @OptionGroup var subject: SubjectOptions
    @Option(help: ArgumentHelp("Only in this direction.", valueName: "up|down|both")) var direction = Direction.both
    @OptionGroup var until: UntilOption
    @OptionGroup var words: OrderOptions

    func answer(_ remote: Remote) async throws -> Printout {
        let verb =
            switch direction {
            case .both: "pause"
            case .up: "pauseUp"
            case .down: "pauseDown"
            }
        return try await order(
            remote,
            [("verb", .string(verb))] + subject.members
                + [("until", until.until.map { .string($0) }), ("reason", words.reason.map { .string($0) })])
    }
}

/// `twinscale resume`: lifts every order.
struct ResumeCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lift every order on a resource, or on all resources of a policy.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)")

    @OptionGroup var server: ServerOptions
    @OptionGroup var subject: SubjectOptions
    @OptionGroup var words: OrderOptions

    func answer(_ remote: Remote) async throws -> Printout {
        try await order(
            remote,
            [("verb", .string("resume"))] + subject.members + [("reason", words.reason.map { .string($0) })])
    }
}

/// `twinscale override`: a number of units, whatever the forecast says.
struct OverrideCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "override",
        abstract: "Order a number of units, a floor, a ceiling, or that nothing changes.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)")

    @OptionGroup var server: ServerOptions
    @OptionGroup var subject: SubjectOptions
    @Option(help: ArgumentHelp("So many units, whatever the forecast says.", valueName: "units")) var set: Int?
    @Option(help: ArgumentHelp("Never fewer.", valueName: "units")) var floor: Int?
    @Option(help: ArgumentHelp("Never more.", valueName: "units")) var ceiling: Int?
    @Flag(help: "No change.") var hold = false
    @OptionGroup var until: UntilOption
    @OptionGroup var words: OrderOptions

    private var wanted: [(verb: String, value: Int?)] {
        [("set", set), ("floor", floor), ("ceiling", ceiling)].filter { $0.1 != nil } + (hold ? [("hold", nil)] : [])
    }

    func validate() throws {
        if wanted.count != 1 { throw ValidationError("give one of --set, --floor, --ceiling, --hold") }
    }

    func answer(_ remote: Remote) async throws -> Printout {
        guard let wanted = wanted.first else { throw ToolError("nothing is ordered") }
        return try await order(
            remote,
            [("verb", .string(wanted.verb))] + subject.members
                + [
                    ("value", wanted.value.map { .number(Double($0)) }), ("until", until.until.map { .string($0) }),
                    ("reason", words.reason.map { .string($0) }),
                ])
    }
}

/// `twinscale approve`: lets a proposal go ahead.
struct ApproveCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Let a proposal go ahead (see twinscale decisions waiting).",
        discussion: "Asks a running twin-api. \(ServerAddress.places)")

    @OptionGroup var server: ServerOptions
    @OptionGroup var verdict: VerdictOptions

    func answer(_ remote: Remote) async throws -> Printout { try await order(remote, verdict.members("approve")) }
}

/// `twinscale reject`: turns a proposal down.
struct RejectCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "reject", abstract: "Turn a proposal down (see twinscale decisions waiting).",
        discussion: "Asks a running twin-api. \(ServerAddress.places)")

    @OptionGroup var server: ServerOptions
    @OptionGroup var verdict: VerdictOptions

    func answer(_ remote: Remote) async throws -> Printout { try await order(remote, verdict.members("reject")) }
}

/// A proposal, and what is said of it.
struct VerdictOptions: ParsableArguments {
    @Argument(help: "The proposal's id.") var proposal: String
    @OptionGroup var words: OrderOptions

    func members(_ verb: String) -> [(String, JSONValue?)] {
        [("verb", .string(verb)), ("action", .string(proposal)), ("reason", words.reason.map { .string($0) })]
    }
}

/// `twinscale commands`: orders, and whether they were accepted.
struct CommandsCommand: RemoteCommand {
    static let configuration = CommandConfiguration(
        commandName: "commands", abstract: "List orders and whether deciders accepted them, the newest first.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)")

    static let columns: [Printout.Column] = [
        .init("TIME", at: "time"), .init("VERB", at: "verb"),
        .init("SUBJECT") { command in
            ([command["resource"], command["policy"], command["action"]].first { $0?.text != nil } ?? nil).cell
        },
        .init("VALUE", at: "value"), .init("UNTIL", at: "until"), .init("BY", at: "owner"),
        .init("STATUS", at: "status"), .init("ANSWER", at: "answer"), .init("REASON", at: "reason"),
    ]

    @OptionGroup var server: ServerOptions
    @Option(help: ArgumentHelp("Only about this one.", valueName: "name")) var resource: String?
    @Option(help: "Entries at most.") var limit = 50

    func validate() throws { try checkLimit(limit) }

    func answer(_ remote: Remote) async throws -> Printout {
        let (items, hasMore) = try await remote.list(["v1", "commands"], [("resource", resource)], limit: limit)
        return .table(items, Self.columns, none: "No orders.", hasMore: hasMore)
    }
}

/// What an order is about.
struct SubjectOptions: ParsableArguments {
    @Argument(help: "The resource.") var resource: String?
    @Option(help: ArgumentHelp("All resources of this policy instead.", valueName: "name")) var policy: String?

    func validate() throws {
        if (resource == nil) == (policy == nil) { throw ValidationError("name a resource, or a policy with --policy") }
    }

    var members: [(String, JSONValue?)] {
        [("resource", resource.map { .string($0) }), ("policy", policy.map { .string($0) })]
    }
}
