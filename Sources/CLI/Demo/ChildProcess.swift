import Foundation
import Glibc

/// The demo cannot go on; the reason is for people.
struct DemoError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A process that we have started, with its output in a file.
final class ChildProcess {
    let name: String
    let pid: pid_t
    let logPath: String
    private(set) var exitStatus: Int32?

    /// Starts a program. `group` 0 makes the child the leader of a group of its own, so that Ctrl-C in the terminal
    /// reaches us alone and we end the children in order; another number joins that group.
    init(_ name: String, program: String, arguments: [String], logPath: String, group: pid_t) throws {
        self.name = name
        self.logPath = logPath
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setpgroup(&attributes, group)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, &attributes, words, environ)
        guard code == 0 else {
            throw DemoError("cannot start '\(program)': \(String(cString: strerror(code)))")
        }
        self.pid = pid
    }

    /// Whether it runs; notes how it ended.
    var isRunning: Bool {
        if exitStatus != nil { return false }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return true }
        exitStatus = status
        return false
    }

    /// How it ended, in words.
    var ending: String {
        guard let exitStatus else { return "runs" }
        let signal = exitStatus & 0x7f
        return signal == 0 ? "ended with exit code \((exitStatus >> 8) & 0xff)" : "was ended by signal \(signal)"
    }

    func send(_ signal: Int32) { if isRunning { kill(pid, signal) } }

    /// The last lines that it wrote.
    func lastLines(_ count: Int) -> [String] {
        guard let data = FileManager.default.contents(atPath: logPath) else { return [] }
        return String(decoding: data.suffix(8_192), as: UTF8.self).split(separator: "\n").suffix(count).map(String.init)
    }

    /// Asks all to end, in the order given, and makes them end when the time is up.
    static func end(_ children: [ChildProcess], seconds: Double) {
        for child in children { child.send(SIGTERM) }
        let end = monotonicSeconds() + seconds
        while children.contains(where: \.isRunning), monotonicSeconds() < end { usleep(10_000) }
        for child in children where child.isRunning { child.send(SIGKILL) }
        while children.contains(where: \.isRunning) { usleep(5_000) }
    }
}

/// Seconds of a clock that only goes forward.
func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
