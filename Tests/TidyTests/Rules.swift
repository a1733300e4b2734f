/// What the repository is checked against: one table per rule.
enum Rules {
    static let lineCharactersMax = 120
    static let functionLinesMax = 70
    static let fileLinesMax = 600

    /// The five stages, with what models they are made of.
    static let stages = ["Normalization", "Twins", "DriftDetection", "Propagation", "Scaling"]

    /// Targets that never see the world.
    static let pure = ["TwinCore", "Messages", "StageKit", "Forecasting", "TaskLoop", "Topology", "Views"] + stages

    private static let core = ["TwinCore"]
    private static let kit = ["TwinCore", "Messages", "StageKit"]
    /// exp, log, pow; nothing else of it (see `pureWords`).
    private static let math = ["Glibc"]
    private static let shell = ["Foundation", "Glibc", "Synchronization", "Dispatch"]
    private static let packages = [
        "ArgumentParser", "Configuration", "Logging", "Metrics", "ServiceLifecycle", "UnixSignals", "Yams",
    ]
    private static let run = ["Topology", "TaskLoop", "Snapshots", "Worker"]

    /// What each target's files may import. The arrows of the design: none may turn round.
    static let imports: [(module: String, allowed: [String])] = [
        ("TwinCore", []),
        ("Messages", core),
        ("StageKit", core + ["Messages"]),
        ("Forecasting", core + math),
        ("Normalization", kit),
        ("Twins", kit + ["Forecasting"] + math),
        ("DriftDetection", kit + math),
        ("Propagation", kit + math),
        ("Scaling", kit + math),
        ("Topology", kit + stages),
        ("TaskLoop", core),
        ("Snapshots", core + ["CZstd", "Glibc", "Synchronization"]),
        ("Worker", kit + ["TaskLoop", "Snapshots", "Glibc", "Synchronization"]),
        ("Simulation", kit + stages + run + ["Glibc", "Synchronization"]),
        ("Kafka", core + ["CRdKafka", "Glibc", "Synchronization"]),
        ("Runtime", kit + stages + run + ["Kafka"] + shell + packages),
        ("Backtest", kit + stages + ["Forecasting", "Topology", "Simulation", "CZlib", "Yams"] + shell),
        ("Views", kit),
        (
            "API",
            kit + ["Scaling", "Topology", "Snapshots", "Views", "Kafka", "Runtime", "Simulation", "Backtest", "CZlib"]
                + shell + packages
                + [
                    "Hummingbird", "HummingbirdCore", "HummingbirdTLS", "HTTPTypes", "NIOCore", "NIOSSL",
                    "NIOHTTPTypes", "Crypto", "JWTKit",
                ]
        ),
        (
            "CLI",
            kit + stages + run + ["Forecasting", "Simulation", "Kafka", "Runtime", "Backtest", "Views"] + shell
                + packages + ["AsyncHTTPClient", "NIOCore", "NIOHTTP1", "NIOSSL"]
        ),
        ("normalizer", ["Runtime", "Normalization"]),
        ("twin-updater", ["Runtime", "Twins"]),
        ("drift-detector", ["Runtime", "DriftDetection"]),
        ("graph-propagator", ["Runtime", "Propagation"]),
        ("scaling-decider", ["Runtime", "Scaling"]),
        ("twinscale", ["CLI"]),
        ("twin-api", ["API"]),
    ]

    /// C modules, each behind a wall of its own.
    static let walls: [(module: String, only: [String])] = [
        ("CRdKafka", ["Kafka"]), ("CZstd", ["Snapshots"]), ("CZlib", ["Backtest", "API"]),
    ]

    /// A word that must not stand in code, and what to write instead.
    struct Ban: Sendable {
        let word: String
        let instead: String
    }

    /// In the code of pure targets.
    static let pureWords: [Ban] = [
        Ban(word: "async", instead: "a value that says what to do next"),
        Ban(word: "await", instead: "a value that says what to do next"),
        Ban(word: "Task {", instead: "the shell, which owns concurrency"),
        Ban(word: "Date(", instead: "the record's event time"),
        Ban(word: ".random", instead: "a number derived from the record"),
        Ban(word: "RandomNumberGenerator", instead: "a number derived from the record"),
        Ban(word: "random(", instead: "a number derived from the record"),
        Ban(word: "shuffled(", instead: "an order that the records give"),
        Ban(word: "print(", instead: "a counter; the shell logs"),
        Ban(word: "ContinuousClock", instead: "the record's event time"),
        Ban(word: "SuspendingClock", instead: "the record's event time"),
        Ban(word: "time(nil", instead: "the record's event time"),
        Ban(word: "clock_gettime", instead: "the record's event time"),
        Ban(word: "gettimeofday", instead: "the record's event time"),
        Ban(word: "getenv", instead: "the stage's settings"),
        Ban(word: "fopen", instead: "the shell"),
        Ban(word: "hashValue", instead: "fnv1a64; Swift seeds its hashes per process"),
        Ban(word: "Hasher(", instead: "Digest; Swift seeds its hashes per process"),
    ]

    /// In the code of the five stages: what iterates in an order that differs from run to run.
    static let stageWords: [Ban] = [
        Ban(word: "[String:", instead: "NameID and a PagedTable"),
        Ban(word: "Dictionary", instead: "PairIndex, or an array in order"),
        Ban(word: "Set<", instead: "a flag in the cell"),
    ]

    /// In all code.
    static let codeWords: [Ban] = [
        Ban(word: "try!", instead: "a typed throw"),
        Ban(word: "as!", instead: "as?"),
        Ban(word: "fatalError(", instead: "an error, or preconditionFailure for our own mistakes"),
        Ban(word: "unowned(unsafe)", instead: "a strong reference"),
    ]

    /// In all text, comments included, whatever the case.
    static let textWords: [Ban] = [
        Ban(word: "todo", instead: "the code, or an issue"),
        Ban(word: "fixme", instead: "the code, or an issue"),
        Ban(word: "xxx", instead: "the code, or an issue"),
        Ban(word: "not implemented", instead: "the code"),
        Ban(word: "not yet built", instead: "the code"),
        Ban(word: "placeholder", instead: "the thing itself"),
        Ban(word: "../shared", instead: "a path in this repository"),
    ]

    /// Functions that protocols of others require; they are documented there.
    static let requirements: Set<String> = ["run", "validate", "encode", "hash"]

    /// What stands at the top of the repository, besides dotfiles and what is ignored.
    static let topLevel = [
        "Package.swift", "Sources", "Tests", "topics", "docker", "README.md", "LICENSE", "Makefile",
    ]
    static let ignoredTopLevel = ["Package.resolved", "data"]
}
