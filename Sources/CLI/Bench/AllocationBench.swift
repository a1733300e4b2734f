import DriftDetection
import Foundation
import Propagation
import Scaling
import TwinCore
import Twins

/// Counts allocations of the pure loops with the tracer of the C library (mtrace), which writes a line for each
/// while it
/// is on. It must be loaded before the program starts, so the count is made in a child process.
enum AllocationBench {
    /// Set in the child: where to put the traces.
    static let variable = "TWINSCALE_BENCH_TRACES"
    private static let library = "libc_malloc_debug.so.0"

    /// The models of the series by themselves.
    private static let ensemble = "ensemble"
    private static let ensembleSteps = 128_000

    /// Allocations per sample, by stage, in the second half of a feed, and those of the ensemble per step; nil if the
    /// tracer is not to be had.
    static func measure(records: Int, resources: Int) throws -> [(name: String, perSample: Double)]? {
        let directory = NSTemporaryDirectory() + "twinscale-traces-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let child = Process()
        child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        child.arguments = ["bench", "allocations", "--records", "\(records)", "--resources", "\(resources)"]
        var environment = ProcessInfo.processInfo.environment
        environment["LD_PRELOAD"] = library
        environment[variable] = directory
        child.environment = environment
        child.standardError = FileHandle.nullDevice
        child.standardOutput = FileHandle.nullDevice
        try child.run()
        child.waitUntilExit()
        guard child.terminationStatus == 0 else { return nil }
        var counts: [(String, Double)] = []
        for name in StageName.allCases.map(\.text) + [ensemble] {
            guard let lines = try? count("\(directory)/\(name)"),
                let text = try? String(contentsOfFile: "\(directory)/\(name).samples", encoding: .utf8),
                let samples = Double(text), samples > 0
            else { return nil }
            counts.append((name, Double(lines) / samples))
        }
        return counts
    }

    /// Lines that tell of an allocation: `@ caller + address size`, and `>` for a reallocation.
    private static func count(_ path: String) throws -> Int {
        let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        var count = 0
        var index = data.startIndex
        while let space = data[index...].firstIndex(of: UInt8(ascii: "\n")) {
            // The sign stands before the address, so behind a blank.
            let line = data[index..<space]
            if line.starts(with: "@".utf8), let sign = sign(line),
                sign == UInt8(ascii: "+") || sign == UInt8(ascii: ">")
            {
                count += 1
            }
            index = space + 1
        }
        return count
    }

    private static func sign(_ line: Data) -> UInt8? {
        var rest = line[...]
        // "@ caller sign address size": the third word, the caller having no blank.
        for _ in 0..<2 {
            guard let blank = rest.firstIndex(of: UInt8(ascii: " ")) else { return nil }
            rest = rest[(blank + 1)...]
        }
        return rest.first
    }

    /// In the child: runs the loops and traces the second half of each.
    static func trace(records: Int, resources: Int, into directory: String) throws {
        let feed = BenchFeed(records: records, resources: resources, partitions: StageBench.partitions)
        let tracer = try Tracer(directory)
        // Three quarters of the steps are traced.
        _ = try tracer.trace(ensemble, samples: ensembleSteps * 3 / 4) {
            ForecastBench.measure(steps: ensembleSteps, isWarm: $0)
        }
        let normalizer = try tracer.trace(StageName.normalizer.text, samples: records / 2) {
            try StageBench.normalize(feed, isWarm: $0)
        }
        // Of four partitions the last one is traced from its middle on: an eighth of the samples, as hashing has it.
        let share = { (_ cost: StageBench.Cost, _ topic: TopicName) -> Int in
            let lengths = (0..<StageBench.partitions).map {
                cost.outputs[TopicPartition(topic, $0)]?.reduce(0) { $0 + $1.count } ?? 0
            }
            return Int(Double(records) * Double(lengths.last ?? 0) / Double(max(lengths.reduce(0, +), 1)) / 2)
        }
        let observed = share(normalizer, .observations)
        let twins = try tracer.trace(StageName.twinUpdater.text, samples: observed) {
            try StageBench.run(TwinStage.self, TwinSettings(), normalizer.outputs, isWarm: $0)
        }
        _ = try tracer.trace(StageName.driftDetector.text, samples: observed) {
            try StageBench.run(DriftStage.self, DriftSettings(), twins.outputs, keepsOutputs: false, isWarm: $0)
        }
        let propagator = try tracer.trace(StageName.graphPropagator.text, samples: observed) {
            try StageBench.run(PropagationStage.self, PropagationSettings(), twins.outputs, isWarm: $0)
        }
        var outlooks = normalizer.outputs.filter { $0.key.topic == .outlooks }
        for (partition, values) in propagator.outputs where partition.topic == .outlooks {
            outlooks[partition, default: []] += values
        }
        _ = try tracer.trace(StageName.scalingDecider.text, samples: observed) {
            try StageBench.run(ScalingStage.self, ScalingSettings(), outlooks, keepsOutputs: false, isWarm: $0)
        }
    }

    /// Switches the C library's tracer.
    private struct Tracer {
        private typealias Switch = @convention(c) () -> Void
        private typealias VersionedLookup =
            @convention(c) (
                UnsafeMutableRawPointer?, UnsafePointer<CChar>, UnsafePointer<CChar>
            ) -> UnsafeMutableRawPointer?

        private let directory: String
        private let begin: Switch
        private let end: Switch

        init(_ directory: String) throws {
            self.directory = directory
            // By handle and version: the C library itself has functions of these names that do nothing.
            let version = "GLIBC_2.2.5"
            guard let handle = dlopen(AllocationBench.library, RTLD_NOW), let symbol = dlsym(nil, "dlvsym"),
                case let lookup = unsafeBitCast(symbol, to: VersionedLookup.self),
                let begin = lookup(handle, "mtrace", version), let end = lookup(handle, "muntrace", version)
            else {
                throw ToolError("the C library has no tracer of allocations")
            }
            self.begin = unsafeBitCast(begin, to: Switch.self)
            self.end = unsafeBitCast(end, to: Switch.self)
        }

        func trace<Cost>(
            _ name: String, samples: Int, _ body: (_ isWarm: () -> Void) throws -> Cost
        ) throws -> Cost {
            let path = "\(directory)/\(name)"
            setenv("MALLOC_TRACE", path, 1)
            let cost = try body { begin() }
            end()
            try "\(samples)".write(toFile: path + ".samples", atomically: false, encoding: .utf8)
            return cost
        }
    }
}
