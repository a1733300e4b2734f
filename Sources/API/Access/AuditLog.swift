import Foundation
import Glibc
import Logging
import Messages
import Runtime
import Synchronization
import TwinCore
import Views

/// Who did what: every request that could change something, and every refusal of a known or unknown caller.
package final class AuditLog: Sendable {
    /// One line of it.
    struct Entry: Sendable {
        var time: EventTime
        var who: String
        var role: String
        var method: String
        var path: String
        var status: Int
        var address: String?
        var detail: String?

        var json: [UInt8] {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("time", time)
            writer.member("who", who)
            writer.member("role", role)
            writer.member("method", method)
            writer.member("path", path)
            writer.member("status", status)
            writer.member("address", address)
            writer.member("detail", detail)
            writer.endObject()
            return writer.bytes
        }
    }

    /// Entries that can be asked for over HTTP.
    static let entriesMax = 10_000

    private struct State {
        var recent = Ledger<[UInt8]>(recordsMax: AuditLog.entriesMax)
        var number = 0
        var descriptor: Int32 = -1
    }

    private let state: Mutex<State>
    private let log: Logger

    /// - Parameter path: appended to; without it entries go to the log.
    /// Throws if the file cannot be opened.
    package init(path: String?, log: Logger) throws(StageFailure) {
        self.log = log
        var state = State()
        if let path {
            state.descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            guard state.descriptor >= 0 else {
                throw StageFailure(.refused, "the audit log '\(path)' cannot be opened", hint: "check api.audit")
            }
        }
        self.state = Mutex(state)
    }

    func note(_ entry: Entry) {
        let json = entry.json
        let isWritten = state.withLock { state -> Bool in
            state.number += 1
            state.recent.put(String(state.number), json)
            guard state.descriptor >= 0 else { return false }
            let line = json + [0x0a]
            return line.withUnsafeBytes { write(state.descriptor, $0.baseAddress, $0.count) } == line.count
        }
        if isWritten { return }
        log.notice(
            "audit",
            metadata: [
                "who": "\(entry.who)", "role": "\(entry.role)", "method": "\(entry.method)", "path": "\(entry.path)",
                "status": "\(entry.status)", "address": "\(entry.address ?? "")", "detail": "\(entry.detail ?? "")",
            ])
    }

    /// Newest first.
    func page(before cursor: Int?, limit: Int) -> (records: [[UInt8]], next: Int?) {
        state.withLock { $0.recent.page(before: cursor, limit: limit) { _ in true } }
    }
}
