import Foundation
import Glibc
import TwinCore

/// What the whole pipeline holds in memory: the five stages as processes of their own over a broker, given some rounds
/// of samples of every series, measured once they have come to rest.
struct MemoryBench {
    /// What one run found; bytes are sums over the five processes.
    struct Run {
        let series: Int
        let samples: Int
        var residentBytes = 0
        /// The most that each process ever held.
        var residentBytesMax = 0
        var cpuSeconds = 0.0

        /// What may be held: the share of every series, and what processes need without any.
        var boundBytes: Int { series * MemoryBench.bytesPerSeriesMax + MemoryBench.baseBytesMax }
    }

    static let bytesPerSeriesMax = 8_192
    static let baseBytesMax = 300_000_000
    private static let rounds = 12
    /// The processes rest when all of them together have used less than this share of a core for so long.
    private static let restShareMax = 0.1
    private static let restSeconds = 3.0
    private static let secondsMax = 900.0

    let broker: BrokerOptions
    let series: Int

    func run(_ bar: ProgressBar) throws -> Run {
        let bench = KafkaBench(broker)
        defer { bench.cleanUp() }
        try bench.prepare()
        let resources = max(series / BenchFeed.metrics.count, 1)
        let feed = BenchFeed(
            records: resources * BenchFeed.metrics.count * Self.rounds, resources: resources,
            partitions: KafkaBench.partitions)
        let programs = try DemoPipeline.programs()
        try FileManager.default.createDirectory(atPath: bench.directory, withIntermediateDirectories: true)
        var stages: [ChildProcess] = []
        defer { ChildProcess.end(stages, seconds: 8) }
        for (stage, program) in zip(StageName.allCases, programs.stages) {
            stages.append(
                try ChildProcess(
                    stage.text, program: program, arguments: bench.arguments(run: 1),
                    logPath: "\(bench.directory)/\(stage.text).log", group: stages.first?.pid ?? 0))
        }
        try bench.fill(feed, bar)
        try rest(stages, bar)
        var run = Run(series: feed.seriesCount, samples: feed.count)
        for stage in stages {
            let used = try ProcessUse(stage)
            run.residentBytes += used.residentBytes
            run.residentBytesMax += used.residentBytesMax
            run.cpuSeconds += used.cpuSeconds
        }
        return run
    }

    private func rest(_ stages: [ChildProcess], _ bar: ProgressBar) throws {
        let start = monotonicSeconds()
        var used = -Self.restSeconds
        var since = start
        while true {
            usleep(200_000)
            let now = monotonicSeconds()
            let total = try stages.reduce(0) { $0 + (try ProcessUse($1).cpuSeconds) }
            bar.show(Int(now - start), of: Int(Self.secondsMax), "five processes at work")
            if isInterrupted { throw ToolError("interrupted") }
            if now - start > Self.secondsMax { throw ToolError("the stages did not come to rest") }
            guard now - since >= Self.restSeconds else { continue }
            if total - used < Self.restShareMax * (now - since) { return }
            (used, since) = (total, now)
        }
    }
}

/// What a process has used, as the kernel tells.
private struct ProcessUse {
    var cpuSeconds = 0.0
    var residentBytes = 0
    var residentBytesMax = 0

    init(_ process: ChildProcess) throws {
        guard process.isRunning,
            let statistics = try? String(contentsOfFile: "/proc/\(process.pid)/stat", encoding: .utf8),
            let status = try? String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
        else {
            throw ToolError("\(process.name) \(process.ending): \(process.lastLines(3).joined(separator: " "))")
        }
        // Behind the name, which stands in brackets, user and system time are the 12th and 13th field.
        let fields = statistics.split(separator: ")").last?.split(separator: " ") ?? []
        if fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) {
            cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
        for line in status.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            guard words.count > 1, let kibibytes = Int(words[1]) else { continue }
            if words[0] == "VmRSS:" { residentBytes = kibibytes * 1_024 }
            if words[0] == "VmHWM:" { residentBytesMax = kibibytes * 1_024 }
        }
    }
}
