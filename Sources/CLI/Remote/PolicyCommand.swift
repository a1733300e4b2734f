import ArgumentParser
import Backtest
import Views

/// `twinscale policy`: how resources may be scaled.
struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "List, read, check, compare, try out, write and roll back policies.",
        discussion: """
            A policy is a file in YAML or JSON, described by topics/schemas/policy.schema.json. The usual way: \
            twinscale policy get shop > shop.json, change it, then policy diff shop shop.json, policy preview shop \
            shop.json, policy put shop shop.json. Asks a running twin-api. \(ServerAddress.places)
            """,
        subcommands: [
            List.self, Get.self, Versions.self, Validate.self, Diff.self, Preview.self, Put.self, Rollback.self,
            Delete.self,
        ], defaultSubcommand: List.self)

    private static let columns: [Printout.Column] = [
        .init("POLICY", at: "name"), .init("VERSION", at: "version"), .init("MODE", at: "policy", "mode"),
        .init("MATCHES") { entry in
            let match = entry.at(["policy", "match"])
            return match?.members.isEmpty ?? true ? "all" : match.cell
        },
        .init("WRITTEN", at: "written"), .init("REFUSED BY DECIDERS", at: "rejected"),
    ]

    private static func policy(_ file: String) throws(ToolError) -> JSONValue {
        do {
            return try JSONValue(try PolicyText.json(path: file))
        } catch let error as BacktestError {
            throw ToolError("\(error)")
        } catch {
            throw ToolError("'\(file)' is no policy")
        }
    }

    struct List: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List the policies in force.")

        @OptionGroup var server: ServerOptions
        @Option(help: "Entries at most.") var limit = 1_000

        func validate() throws { try checkLimit(limit) }

        func answer(_ remote: Remote) async throws -> Printout {
            let (items, hasMore) = try await remote.list(["v1", "policies"], limit: limit)
            return .table(items, columns, none: "No policies: every resource is observed.", hasMore: hasMore)
        }
    }

    struct Get: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Print a policy as JSON, ready to be changed.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The policy.") var name: String

        func answer(_ remote: Remote) async throws -> Printout {
            .tree(try await remote.get(["v1", "policies", name])["policy"] ?? .null)
        }
    }

    struct Versions: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the versions of a policy that are remembered, the newest first.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The policy.") var name: String

        func answer(_ remote: Remote) async throws -> Printout {
            let (items, _) = try await remote.list(["v1", "policies", name, "versions"], limit: 1_000)
            return .table(items, columns, none: "None is remembered.")
        }
    }

    struct Validate: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a policy without writing it.", discussion: "Exit code 1 if deciders would refuse it.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: PolicyFileOptions

        func answer(_ remote: Remote) async throws -> Printout {
            let found = try await remote.ask(
                .post, ["v1", "policies", subject.name, "validate"], body: policy(subject.file)
            ).value
            let isValid = found["valid"]?.flag ?? false
            return .page(found, [isValid ? "valid" : "not valid: \(found["reason"].cell)"])
        }

        func run() async throws {
            do {
                let printed = try await Remote.with(server) { try await answer($0) }
                print(printed.text(json: server.json))
                if case .page(let found, _) = printed, found["valid"]?.flag != true { throw ExitCode(1) }
            } catch let error as ToolError {
                throw error.exit
            }
        }
    }

    struct Diff: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a policy would change against the one in force, and for whom.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: PolicyFileOptions

        func answer(_ remote: Remote) async throws -> Printout {
            let diff = try await remote.ask(
                .post, ["v1", "policies", subject.name, "diff"], body: policy(subject.file)
            ).value
            let facts = Printout.facts([
                ("policy", diff["name"].cell), ("in force", diff["version"].cell),
                ("resources matched", diff["resources"].cell), ("gained", diff["gained"].cell),
                ("lost", diff["lost"].cell),
            ])
            let changes = diff["changes"]?.elements ?? []
            let table = Printout.section(
                "Changes", changes,
                [.init("FIELD", at: "path"), .init("BEFORE", at: "before"), .init("AFTER", at: "after")])
            return .page(diff, facts + (changes.isEmpty ? ["", "nothing changes"] : table))
        }
    }

    struct Preview: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a policy would have done over the recorded past.",
            discussion: """
                The stages themselves run over the recorded observations: once with this policy, once with today's, \
                once with the arithmetic of the Kubernetes autoscaler.
                """)

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: PolicyFileOptions
        @Option(help: "Over so many recorded days.") var days = 2.0

        func validate() throws { if !(0.01...30).contains(days) { throw ValidationError("--days is 0.01 to 30") } }

        func answer(_ remote: Remote) async throws -> Printout {
            var preview = try await remote.ask(
                .post, ["v1", "policies", subject.name, "preview"], [("days", "\(days)")], body: policy(subject.file)
            ).value
            guard let id = preview["id"]?.text else { throw ToolError("the server does not say which preview it is") }
            let bar = ProgressBar("previewing", isWanted: !server.json)
            while preview["status"]?.text == "running" {
                bar.show(Int((preview["progress"]?.number ?? 0) * 1_000), of: 1_000)
                try await Task.sleep(for: .milliseconds(250))
                preview = try await remote.get(["v1", "previews", id])
            }
            bar.end()
            guard preview["status"]?.text == "done" else {
                throw ToolError("the preview failed: \(preview["reason"].cell)")
            }
            let facts = Printout.facts([
                ("from", preview["from"].cell), ("to", preview["to"].cell), ("resources", preview["resources"].cell),
                ("samples", preview["samples"].cell),
            ])
            let columns: [Printout.Column] = [
                .init("POLICY", at: "name"), .init("SHORT") { $0["shortageShare"].percent },
                .init("SHORT UNIT H", at: "shortageUnitHours"), .init("UNIT H", at: "unitHours"),
                .init("IDLE UNIT H", at: "excessUnitHours"), .init("COST", at: "cost"),
                .init("ACTIONS", at: "actions"), .init("REVERSALS", at: "reversals"),
            ]
            return .page(preview, facts + Printout.section("What if", preview["arms"]?.elements ?? [], columns))
        }
    }

    struct Put: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create or replace a policy.", discussion: "The server checks it first, and raises its version.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: PolicyFileOptions
        @Option(help: ArgumentHelp("Only if this version is in force.", valueName: "number")) var ifVersion: Int?

        func answer(_ remote: Remote) async throws -> Printout {
            try await write(remote, subject.name, policy(subject.file), ifVersion: ifVersion)
        }
    }

    private static func write(
        _ remote: Remote, _ name: String, _ policy: JSONValue, ifVersion: Int?
    ) async throws -> Printout {
        let written = try await remote.ask(
            .put, ["v1", "policies", name], body: policy, ifMatch: ifVersion.map { "\($0)" }
        ).value
        let warning = written["warning"]?.text.map { ["but \(printable($0, bytesMax: 400))"] } ?? []
        return .page(written, ["\(written["name"].cell) is version \(written["version"].cell) now"] + warning)
    }

    struct Rollback: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put an older version of a policy in force again, as a new version.",
            discussion: "The version before the one in force, unless --to names another.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The policy.") var name: String
        @Option(help: ArgumentHelp("This version; see twinscale policy versions.", valueName: "number")) var to: Int?

        func answer(_ remote: Remote) async throws -> Printout {
            let (versions, _) = try await remote.list(["v1", "policies", name, "versions"], limit: 1_000)
            let older = versions.dropFirst().filter { $0["policy"]?.members.isEmpty == false }
            let wanted = to.map { number in older.first { $0["version"]?.integer == number } } ?? older.first
            guard let wanted, let body = wanted["policy"] else {
                throw ToolError(
                    to.map { "version \($0) of '\(name)' is not remembered" } ?? "no older version is remembered",
                    hint: "see twinscale policy versions \(name)")
            }
            // Withdrawn: there is no version in force that could have changed meanwhile.
            let isInForce = versions.first?["policy"]?.members.isEmpty == false
            let current = isInForce ? versions.first?["version"]?.integer : nil
            return try await write(remote, name, body, ifVersion: current)
        }
    }

    struct Delete: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Withdraw a policy; its resources follow the next that matches, or are observed.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The policy.") var name: String

        func answer(_ remote: Remote) async throws -> Printout {
            let answer = try await remote.ask(.delete, ["v1", "policies", name]).value
            return .page(answer, ["\(printable(name)) is withdrawn"])
        }
    }
}

/// A policy's name, and a file with what it should say.
struct PolicyFileOptions: ParsableArguments {
    @Argument(help: "The policy.") var name: String
    @Argument(help: ArgumentHelp("What it should say, in YAML or JSON.", valueName: "file")) var file: String
}
