import Foundation

/// A hand-written consumer in C that does the peer job, compiled and run beside ours: `--yardstick FILE.c`. Its
/// `job` verb
/// takes brokers, input, output, group and the number of records, and ends with a line of JSON with `cpu_s_per_M`.
struct Yardstick {
    let source: String
    private let binary: String

    init(source: String) throws {
        self.source = source
        binary = NSTemporaryDirectory() + "twinscale-yardstick-\(getpid())"
        let (status, text) = try Self.run("/usr/bin/env", ["cc", "-O2", "-o", binary, source, "-lrdkafka", "-lm"])
        guard status == 0 else {
            throw ToolError(
                "the yardstick '\(source)' does not compile: \(text.suffix(300))", hint: "it needs cc and librdkafka")
        }
    }

    /// CPU-seconds per million records.
    func job(_ bootstrap: String, from input: String, to output: String, group: String, records: Int) throws -> Double {
        let (status, text) = try Self.run(
            binary, ["job", bootstrap, input, output, group, "\(records)", "mode=alo", "hold=0.1", "idle=20"])
        let line = text.split(separator: "\n").last { $0.hasPrefix("{") } ?? ""
        struct Result: Decodable { var cpu_s_per_M: Double }
        guard status == 0, let result = try? JSONDecoder().decode(Result.self, from: Data(line.utf8)) else {
            throw ToolError("the yardstick failed: \(text.suffix(300))")
        }
        return result.cpu_s_per_M
    }

    func remove() { unlink(binary) }

    private static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
