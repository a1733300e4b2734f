// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableExperimentalFeature("Lifetimes"),
    ] + (Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)])

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let hummingbirdTesting = Target.Dependency.product(name: "HummingbirdTesting", package: "hummingbird")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let jwt = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// The five pure stages and what they are made of: no I/O, no clock, no Foundation.
let stages: [Target.Dependency] = ["Normalization", "Twins", "DriftDetection", "Propagation", "Scaling"]

let package = Package(
    name: "twinscale",
    products: [
        .executable(name: "normalizer", targets: ["normalizer"]),
        .executable(name: "twin-updater", targets: ["twin-updater"]),
        .executable(name: "drift-detector", targets: ["drift-detector"]),
        .executable(name: "graph-propagator", targets: ["graph-propagator"]),
        .executable(name: "scaling-decider", targets: ["scaling-decider"]),
        .executable(name: "twin-api", targets: ["twin-api"]),
        .executable(name: "twinscale", targets: ["twinscale"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.36.0"),
    ],
    targets: [
        // The words, the bytes, the contract of a stage.
        library("TwinCore"),
        library("Messages", ["TwinCore"]),
        library("StageKit", ["TwinCore", "Messages"]),

        // The five pure stages and their models.
        library("Normalization", ["TwinCore", "Messages", "StageKit"]),
        // Models are all arithmetic: without optimisation every test that runs them takes minutes.
        .target(
            name: "Forecasting", dependencies: ["TwinCore"],
            swiftSettings: settings + [.unsafeFlags(["-O"], .when(configuration: .debug))]),
        library("Twins", ["TwinCore", "Messages", "StageKit", "Forecasting"]),
        library("DriftDetection", ["TwinCore", "Messages", "StageKit"]),
        library("Propagation", ["TwinCore", "Messages", "StageKit"]),
        library("Scaling", ["TwinCore", "Messages", "StageKit"]),
        library("Topology", ["TwinCore", "Messages", "StageKit"] + stages),

        // What runs a stage: the loop as a pure state machine, snapshots, and the worker that joins them.
        library("TaskLoop", ["TwinCore"]),
        library("Snapshots", ["TwinCore", "CZstd"]),
        library("Worker", ["TwinCore", "Messages", "StageKit", "TaskLoop", "Snapshots"]),
        library(
            "Simulation", ["TwinCore", "Messages", "StageKit", "Topology", "TaskLoop", "Snapshots", "Worker"] + stages),

        // The shell.
        .systemLibrary(name: "CRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        library("Kafka", ["TwinCore", "CRdKafka"]),
        library(
            "Runtime",
            [
                "TwinCore", "Messages", "StageKit", "Topology", "TaskLoop", "Snapshots", "Worker", "Kafka",
                logging, metrics, lifecycle, signals, configuration, yams, argumentParser,
            ] + stages),
        library(
            "Backtest",
            ["TwinCore", "Messages", "StageKit", "Forecasting", "Topology", "Simulation", "CZlib", yams] + stages),
        library(
            "CLI",
            [
                "TwinCore", "Messages", "StageKit", "Forecasting", "Topology", "TaskLoop", "Snapshots", "Worker",
                "Simulation", "Kafka", "Runtime", "Backtest", "Views", logging, argumentParser, yams, httpClient, nio,
                nioHTTP1, nioSSL,
            ] + stages),

        // What operators see: views folded from the topics, served over HTTP.
        library("Views", ["TwinCore", "Messages", "StageKit", "Topology"]),
        .target(
            name: "API",
            dependencies: [
                "TwinCore", "Messages", "StageKit", "Topology", "Scaling", "Views", "Kafka", "Runtime", "Simulation",
                "Backtest", "CZlib", hummingbird, hummingbirdCore, hummingbirdTLS, nio, nioSSL, httpTypes, crypto, jwt,
                nioHTTPTypes, logging, lifecycle, signals, "Snapshots",
            ],
            resources: [.copy("openapi.yaml"), .copy("Dashboard")], swiftSettings: settings),

        executable("normalizer", ["Runtime", "Normalization"]),
        executable("twin-updater", ["Runtime", "Twins"]),
        executable("drift-detector", ["Runtime", "DriftDetection"]),
        executable("graph-propagator", ["Runtime", "Propagation"]),
        executable("scaling-decider", ["Runtime", "Scaling"]),
        executable("twin-api", ["API"]),
        executable("twinscale", ["CLI"]),

        // What tests share: seeded chance, and a stage run over frames of a test's own.
        .target(
            name: "TestKit", dependencies: ["TwinCore", "Messages", "StageKit"], path: "Tests/TestKit",
            swiftSettings: settings),
        tests("TwinCore", ["TestKit", "TwinCore"]),
        tests("Messages", ["TestKit", "Messages", "TwinCore"], exclude: ["Fixtures"]),
        tests("StageKit", ["StageKit", "Messages", "TwinCore"]),
        tests("Normalization", ["TestKit", "Normalization", "StageKit", "Messages", "TwinCore"]),
        tests("Forecasting", ["TestKit", "Forecasting", "TwinCore"]),
        tests("Twins", ["TestKit", "Twins", "Forecasting", "StageKit", "Messages", "TwinCore"]),
        tests("DriftDetection", ["TestKit", "DriftDetection", "StageKit", "Messages", "TwinCore"]),
        tests("Propagation", ["TestKit", "Propagation", "StageKit", "Messages", "TwinCore"]),
        tests("Scaling", ["TestKit", "Scaling", "StageKit", "Messages", "TwinCore"]),
        tests("Topology", ["Topology", "StageKit", "TwinCore"]),
        tests("CLI", ["CLI", "Topology", "Kafka", "StageKit", "Messages", "TwinCore", argumentParser]),
        tests("TaskLoop", ["TaskLoop", "TwinCore"]),
        tests("Snapshots", ["TestKit", "Snapshots", "TwinCore"]),
        tests(
            "Simulation",
            [
                "Simulation", "Worker", "Topology", "StageKit", "Messages", "TaskLoop", "Snapshots", "TwinCore",
            ] + stages),
        tests("Kafka", ["Kafka", "TwinCore"]),
        tests(
            "Runtime",
            [
                "Runtime", "Normalization", "Kafka", "Worker", "Snapshots", "TaskLoop", "StageKit", "Messages",
                "TwinCore", logging,
            ]),
        tests("Views", ["TestKit", "Views", "StageKit", "Messages", "TwinCore"]),
        tests(
            "API",
            [
                "TestKit", "API", "CLI", "Views", "Runtime", "Kafka", "StageKit", "Scaling", hummingbirdCore,
                "Messages",
                "TwinCore",
                hummingbird, hummingbirdTesting, argumentParser, httpClient,
                httpTypes, nio, crypto, jwt, logging, yams,
            ]),
        tests("Backtest", ["TestKit", "Backtest", "StageKit", "Messages", "TwinCore", "CZlib"]),
        tests(
            "Integration",
            [
                "CLI", "Runtime", "Kafka", "Simulation", "Topology", "Worker", "Snapshots", "StageKit", "Messages",
                "TwinCore", logging, argumentParser,
            ] + stages),
        tests("Tidy", []),
    ]
)
