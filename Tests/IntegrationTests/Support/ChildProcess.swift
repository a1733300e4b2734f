import Glibc
import Testing

/// A process of its own. Its output is appended to a file, which a failed test can quote. Confined to one thread.
final class ChildProcess {
    let pid: pid_t
    private(set) var status: Int32?

    /// Starts `path` with the environment of this process and `environment` over it.
    init(_ path: String, _ arguments: [String], environment: [String: String] = [:], log: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Threads of a test may block signals; the child must not inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var variables = currentEnvironment()
        for (name, value) in environment { variables[name] = value }
        var found: pid_t = 0
        let code = withCStrings([path] + arguments) { argv in
            withCStrings(variables.map { "\($0)=\($1)" }) { envp in
                posix_spawn(&found, path, &actions, &attributes, argv, envp)
            }
        }
        guard code == 0 else { throw Trouble("'\(path)' cannot be started: \(String(cString: strerror(code)))") }
        pid = found
    }

    func send(_ signal: Int32) {
        if isRunning { kill(pid, signal) }
    }

    /// Asks the system; a child that has ended is reaped.
    var isRunning: Bool {
        guard status == nil else { return false }
        var word: Int32 = 0
        if waitpid(pid, &word, WNOHANG) == pid { status = word }
        return status == nil
    }

    /// Waits for its end; false if it has not come in time.
    func waitForExit(seconds: Double) -> Bool {
        let end = monotonicSeconds() + seconds
        while isRunning {
            if monotonicSeconds() > end { return false }
            usleep(5_000)
        }
        return true
    }

    /// Its exit code; nil while it runs or if a signal has ended it.
    var exitCode: Int32? {
        guard !isRunning, let status, status & 0x7f == 0 else { return nil }
        return (status >> 8) & 0xff
    }

    /// How it ended, in words.
    var ending: String {
        if isRunning { return "running" }
        return exitCode.map { "exit code \($0)" } ?? "signal \((status ?? 0) & 0x7f)"
    }

    /// Ends it at once and reaps it.
    func killNow() {
        send(SIGKILL)
        _ = waitForExit(seconds: 10)
    }

    deinit {
        if status == nil {
            kill(pid, SIGKILL)
            var word: Int32 = 0
            waitpid(pid, &word, 0)
        }
    }
}

/// What keeps a test from going on.
struct Trouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func currentEnvironment() -> [String: String] {
    var found: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
        let text = String(cString: entry)
        if let equals = text.firstIndex(of: "=") {
            found[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        next += 1
    }
    return found
}

private func withCStrings<R>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array that ends with nil is not empty") }
        return body(base)
    }
}

func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Runs `body` on a thread of its own and waits for it without blocking the cooperative pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        startThread { continuation.resume(with: Result { try body() }) }
    }
}

/// What a test has found wrong, in words; collected on its thread, recorded in the test's own task.
final class Findings {
    fileprivate(set) var words: [String] = []

    /// Notes a broken expectation.
    func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { words.append(what()) }
    }

    /// Notes everything in a list that should be empty.
    func expectNone(_ faults: [String]) { words += faults }
}

/// Runs a test's body on a thread of its own. An expectation that fails there would belong to no test, so the body
/// notes what it finds, and each finding becomes an issue here.
func checking(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable (Findings) throws -> Void
) async throws {
    let words = try await onThread {
        let findings = Findings()
        try body(findings)
        return findings.words
    }
    for word in words { Issue.record(Comment(rawValue: word), sourceLocation: sourceLocation) }
}

/// Starts a detached thread.
func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Work(body)).toOpaque())
    pthread_detach(thread)
}

private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// A directory that goes with this object, unless a test asks to keep it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/twinscale-integration-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Trouble("no temporary directory") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if getenv("TWINSCALE_KEEP_FILES") == nil { removeTree(path) }
    }
}

private func removeTree(_ path: String) {
    chmod(path, 0o755)
    guard let directory = opendir(path) else {
        unlink(path)
        return
    }
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { removeTree("\(path)/\(name)") }
    }
    closedir(directory)
    rmdir(path)
}

/// What a process said before it crashed: the lines around the first that speaks of it, or the last ones.
func lastWords(_ path: String) -> String {
    let lines = tail(path, lines: 2_000).split(separator: "\n").filter {
        !$0.hasPrefix("level=") && !$0.hasPrefix("time=")
    }
    let telling = lines.firstIndex { line in
        ["Assertion", "Fatal error", "*** ", "Crash:"].contains { line.contains($0) }
    }
    guard let telling else { return tail(path) }
    return lines[telling...].prefix(60).joined(separator: "\n")
}

/// The last lines of a text file.
func tail(_ path: String, lines: Int = 12) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 256 << 10)
    fseek(file, 0, SEEK_END)
    fseek(file, max(0, ftell(file) - bytes.count), SEEK_SET)
    let count = fread(&bytes, 1, bytes.count, file)
    let text = String(decoding: bytes.prefix(count), as: UTF8.self)
    return text.split(separator: "\n").suffix(lines).joined(separator: "\n")
}
