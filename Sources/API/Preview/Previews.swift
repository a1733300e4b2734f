import Messages
import Runtime
import Synchronization
import TwinCore
import Views

/// Previews that run or have run: one at a time, on a thread of its own; a few wait, the last results are kept.
package final class Previews: Sendable {
    static let waitingMax = 4
    static let keptMax = 32

    /// One of them.
    struct Preview: Sendable {
        var id: String
        var policy: String
        var status = "running"
        var progress = 0.0
        var reason: String?
        var result: PreviewStudy.Result?

        func write(into writer: inout JSONWriter) {
            writer.beginObject()
            writer.member("id", id)
            writer.member("policy", policy)
            writer.member("status", status)
            writer.member("progress", progress)
            writer.member("reason", reason)
            writer.member("from", result?.from)
            writer.member("to", result?.to)
            writer.member("resources", result?.resources ?? 0)
            writer.member("samples", result?.samples ?? 0)
            writer.key("arms")
            writer.beginArray()
            for score in result?.scores ?? [] { score.write(into: &writer) }
            writer.endArray()
            writer.member("series", json: result?.series ?? Array("[]".utf8))
            writer.member("seriesResource", result?.seriesResource)
            writer.endObject()
        }
    }

    private struct State {
        var kept = Ledger<Preview>(recordsMax: Previews.keptMax)
        var waiting: [(id: String, study: PreviewStudy)] = []
        var isRunning = false
        var isStopping = false
    }

    private let state = Mutex(State())
    private let source: any RecordedSource

    init(_ source: any RecordedSource) { self.source = source }

    subscript(id: String) -> Preview? { state.withLock { $0.kept[id: id] } }

    /// Begins a study, or puts it behind those that wait; nil if too many do.
    func begin(_ study: PreviewStudy, policy: String, id: String) -> Preview? {
        let preview = Preview(id: id, policy: policy)
        let (isTaken, mustStart) = state.withLock { state -> (Bool, Bool) in
            guard state.waiting.count < Self.waitingMax, !state.isStopping else { return (false, false) }
            state.waiting.append((id, study))
            state.kept.put(id, preview)
            defer { state.isRunning = true }
            return (true, !state.isRunning)
        }
        guard isTaken else { return nil }
        if mustStart, !startThread({ self.work() }) {
            state.withLock { state in
                state.isRunning = false
                state.waiting.removeAll()
            }
            return nil
        }
        return preview
    }

    /// Lets nothing begin any more, and what runs end soon.
    package func stop() { state.withLock { $0.isStopping = true } }

    private func work() {
        while true {
            let next = state.withLock { state -> (id: String, study: PreviewStudy)? in
                guard !state.waiting.isEmpty, !state.isStopping else {
                    state.isRunning = false
                    return nil
                }
                return state.waiting.removeFirst()
            }
            guard let (id, asked) = next else { return }
            var study = asked
            do throws(PreviewError) {
                try source.read(&study.samples) { state.withLock { $0.isStopping } }
                study.samples.finish()
                update(id) { $0.progress = 0.2 }
                let result = try study.run { share in update(id) { $0.progress = 0.2 + 0.8 * min(max(share, 0), 1) } }
                update(id) { preview in
                    preview.status = "done"
                    preview.progress = 1
                    preview.result = result
                }
            } catch {
                update(id) { preview in
                    preview.status = "failed"
                    preview.reason = error.reason
                }
            }
        }
    }

    private func update(_ id: String, _ body: (inout Preview) -> Void) {
        state.withLock { $0.kept.update(id, body) }
    }
}
