import ArgumentParser
import Views

/// `twinscale twin`: what is known of resources.
struct TwinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "twin",
        abstract: "List twins, or show one: its state, history, forecast, and what came of forecasts.",
        discussion: "Asks a running twin-api. \(ServerAddress.places)",
        subcommands: [List.self, Fleet.self, Show.self, History.self, Forecast.self, Accuracy.self],
        defaultSubcommand: List.self)

    /// The most that is expected to be needed within so many minutes, of what is ready, and when.
    private static func columns(within minutes: Int) -> [Printout.Column] {
        [
            .init("RESOURCE", at: "resource"), .init("LOCALITY", at: "locality"), .init("METRIC", at: "metric"),
            .init("LEVEL", at: "level"), .init("READY", at: "readyUnits"), .init("DESIRED", at: "desiredUnits"),
            .init("NEEDED OF READY, \(minutes) MIN") { $0.at(["risk", "utilisation"]).percent },
            .init("IN") { $0.at(["risk", "atSeconds"]).span }, .init("MODE", at: "mode"),
            .init("QUALITY", at: "quality"),
        ]
    }

    struct List: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "List twins in the order of their names.")

        @OptionGroup var server: ServerOptions
        @Option(help: ArgumentHelp("Only of this locality.", valueName: "name")) var locality: String?
        @Option(
            help: ArgumentHelp("Only with this tag, such as zone:eu-1; may be repeated.", valueName: "name:value"))
        var tag: [String] = []
        @Option(name: .customLong("class"), help: ArgumentHelp("Only of this class.", valueName: "name"))
        var className: String?
        @Option(help: ArgumentHelp("Only those whose name holds this text.", valueName: "text")) var name: String?
        @Option(help: "Entries at most.") var limit = 100

        func validate() throws { try checkLimit(limit) }

        func answer(_ remote: Remote) async throws -> Printout {
            let (items, hasMore) = try await remote.list(
                ["v1", "twins"],
                [("locality", locality), ("class", className), ("q", name)] + tag.map { ("tag", $0) }, limit: limit)
            return .table(items, columns(within: 30), none: "No twins match.", hasMore: hasMore)
        }
    }

    struct Fleet: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show who is at risk, the most endangered first, and what it all costs.")

        @OptionGroup var server: ServerOptions
        @Option(help: ArgumentHelp("How far ahead.", valueName: "minutes")) var within = 30
        @Option(help: "Twins at most.") var limit = 20

        func validate() throws {
            if !(1...1_440).contains(within) { throw ValidationError("--within is 1 to 1440 minutes") }
            if !(1...1_000).contains(limit) { throw ValidationError("--limit is 1 to 1000") }
        }

        func answer(_ remote: Remote) async throws -> Printout {
            let fleet = try await remote.get(
                ["v1", "fleet"], [("horizonSeconds", "\(within * 60)"), ("limit", "\(limit)")])
            let facts = Printout.facts([
                ("time", fleet["time"].cell), ("resources", fleet["resources"].cell),
                ("at risk", fleet["atRisk"].cell), ("distrusted", fleet["distrusted"].cell),
                ("stale", fleet["stale"].cell), ("proposals", fleet["proposals"].cell),
                ("actions open", fleet["inFlight"].cell), ("price per hour", fleet["pricePerHour"].cell),
                ("saved per hour", fleet["savedPerHour"].cell),
            ])
            return .page(
                fleet,
                facts + Printout.section("At risk", fleet["ranked"]?.elements ?? [], columns(within: within)))
        }
    }

    struct Show: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Show everything about one twin.")

        @OptionGroup var server: ServerOptions
        @Argument(help: "The resource.") var resource: String
        @Option(help: ArgumentHelp("As it was then.", valueName: "time")) var at: String?

        func answer(_ remote: Remote) async throws -> Printout {
            let twin = try await remote.get(["v1", "twins", resource], [("at", at)])
            let facts = Printout.facts([
                ("resource", twin["resource"].cell), ("as of", twin["asOf"].cell), ("locality", twin["locality"].cell),
                ("class", twin["class"].cell), ("tags", twin["tags"].tags), ("time", twin["time"].cell),
                ("ready units", twin["readyUnits"].cell), ("desired units", twin["desiredUnits"].cell),
                ("policy", twin["policy"].cell), ("mode", twin["mode"].cell),
                ("capacity per unit", twin["capacityPerUnit"].cell), ("target", twin["targetUtilisation"].percent),
                ("lead time", twin["leadSeconds"].span), ("needed of ready", twin.at(["risk", "utilisation"]).percent),
                ("decision", twin.at(["decision", "data", "reason"]).cell),
            ])
            let metrics: [Printout.Column] = [
                .init("METRIC", at: "metric"), .init("ROLE", at: "role"), .init("LEVEL", at: "level"),
                .init("QUALITY", at: "quality"), .init("DISTRUSTED", at: "distrusted"), .init("YOUNG", at: "young"),
                .init("STEP") { $0["stepSeconds"].span }, .init("SAMPLES", at: "samples"),
            ]
            let neighbours: [Printout.Column] = [
                .init("RESOURCE", at: "resource"), .init("DIRECTION", at: "direction"), .init("RATE", at: "rate"),
                .init("SHARE") { $0["share"].percent },
            ]
            return .page(
                twin,
                facts + Printout.section("Metrics", twin["metrics"]?.elements ?? [], metrics)
                    + Printout.section("Actions", twin["actions"]?.elements ?? [], ActionsCommand.columns)
                    + Printout.section("Drift", twin["drift"]?.elements ?? [], DriftCommand.columns)
                    + Printout.section("Orders", twin["orders"]?.elements ?? [], CommandsCommand.columns)
                    + Printout.section("Neighbours", twin["neighbours"]?.elements ?? [], neighbours))
        }
    }

    struct History: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Show past levels of one metric.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: MetricOptions
        @OptionGroup var span: SpanOptions

        func answer(_ remote: Remote) async throws -> Printout {
            let history = try await remote.get(
                ["v1", "twins", subject.resource, "history"],
                [("metric", subject.metric), ("from", span.from), ("to", span.to)])
            return .table(
                history["points"]?.elements ?? [],
                [
                    .init("TIME", at: "time"), .init("LEVEL", at: "level"), .init("READY", at: "readyUnits"),
                    .init("CAPACITY", at: "capacity"),
                ], none: "Nothing is remembered of that span.")
        }
    }

    struct Forecast: RemoteCommand {
        static let configuration = CommandConfiguration(abstract: "Show what is expected of one metric.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: MetricOptions

        func answer(_ remote: Remote) async throws -> Printout {
            let forecast = try await remote.get(
                ["v1", "twins", subject.resource, "forecast"], [("metric", subject.metric)])
            let facts = Printout.facts([
                ("metric", forecast["metric"].cell), ("issued", forecast["issued"].cell),
                ("level", forecast["level"].cell), ("quality", forecast["quality"].cell),
                ("distrusted", forecast["distrusted"].cell), ("young", forecast["young"].cell),
                ("ready units", forecast["readyUnits"].cell), ("capacity", forecast["capacity"].cell),
            ])
            let columns: [Printout.Column] = [
                .init("IN") { $0["horizonSeconds"].span }, .init("MEAN", at: "mean"), .init("10 %", at: "q10"),
                .init("50 %", at: "q50"), .init("90 %", at: "q90"), .init("95 %", at: "q95"),
                .init("99 %", at: "q99"), .init("99.9 %", at: "q999"), .init("RARE SEEN", at: "tailCount"),
                .init("NEIGHBOURS ADD", at: "influence"),
            ]
            return .page(
                forecast, facts + Printout.section("Expected", forecast["horizons"]?.elements ?? [], columns))
        }
    }

    struct Accuracy: RemoteCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what was forecast, and what was observed.")

        @OptionGroup var server: ServerOptions
        @OptionGroup var subject: MetricOptions
        @Option(help: ArgumentHelp("Which horizon; the shortest without it.", valueName: "seconds")) var horizon: Int?

        func answer(_ remote: Remote) async throws -> Printout {
            let accuracy = try await remote.get(
                ["v1", "twins", subject.resource, "accuracy"],
                [("metric", subject.metric), ("horizonSeconds", horizon.map { "\($0)" })])
            let facts = Printout.facts([
                ("metric", accuracy["metric"].cell), ("horizon", accuracy["horizonSeconds"].span),
                ("pairs", accuracy["count"].cell), ("mean absolute error", accuracy["meanAbsoluteError"].cell),
                ("weighted error", accuracy["weightedError"].percent),
                ("between 10 % and 90 %", accuracy["coverage80"].percent),
            ])
            let columns: [Printout.Column] = [
                .init("TIME", at: "time"), .init("MEAN", at: "mean"), .init("10 %", at: "q10"),
                .init("90 %", at: "q90"), .init("OBSERVED", at: "came"),
            ]
            return .page(accuracy, facts + Printout.section("Pairs", accuracy["points"]?.elements ?? [], columns))
        }
    }
}

/// Which series of which resource.
struct MetricOptions: ParsableArguments {
    @Argument(help: "The resource.") var resource: String
    @Option(help: ArgumentHelp("Which metric; without it the one that decisions are made from.", valueName: "name"))
    var metric: String?
}

/// A span of event time.
struct SpanOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Not before, as in 2026-11-24T12:00:00Z.", valueName: "time")) var from: String?
    @Option(help: ArgumentHelp("Before.", valueName: "time")) var to: String?
}

/// Refuses what no list can be as long as.
func checkLimit(_ limit: Int) throws {
    if !(1...1_000_000).contains(limit) { throw ValidationError("--limit is 1 to 1000000") }
}
