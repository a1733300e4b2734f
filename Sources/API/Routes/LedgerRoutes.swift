import Messages
import Scaling
import Synchronization
import TwinCore
import Views

extension ViewStore {
    /// The newest actions and drift events of a resource. Looks at the newest records only, so that one twin costs the
    /// same however long the ledger is.
    func recent(
        _ resource: String, before moment: EventTime, limit: Int
    ) -> (actions: [ActionRecord], drift: [LedgerEntry]) {
        ledger.withLock { ledger in
            (
                ledger.recentActions(of: resource, limit: limit).filter { ($0.issued ?? .distantPast) <= moment },
                ledger.recentDrift(of: resource, limit: limit).filter { $0.time <= moment }
            )
        }
    }
}

/// Decisions, actions, drift.
enum LedgerRoutes {
    /// A span of event time that a list is about.
    private struct Span {
        let resource: String?
        let from: EventTime
        let to: EventTime
        /// Nil: all.
        let seen: Set<String>?

        init(_ query: Query, _ services: Services) throws(Problem) {
            seen = services.store.seenNames()
            resource = try query.name("resource")
            from = try query.time("from") ?? .distantPast
            to = try query.time("to") ?? .distantFuture
        }

        func holds(_ subject: String, _ time: EventTime) -> Bool {
            time >= from && time < to && (resource.map { $0 == subject } ?? true) && seen?.contains(subject) ?? true
        }
    }

    static func drift(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let span = try Span(call.query, services)
        let kinds = DriftKind.allCases.filter { $0 != .none }.map(\.text) + ["restored"]
        let kind = try call.query.word("kind", kinds)
        let onlyOpen = try call.query.flag("open") ?? false
        let (limit, cursor) = (try call.query.limit(), try call.query.numberCursor())
        let page = services.store.ledger.withLock { ledger in
            ledger.drift.page(before: cursor, limit: limit) { entry in
                span.holds(entry.subject, entry.time) && (kind == nil || entry.kind == kind)
                    && (!onlyOpen || ledger.isOpen(entry))
            }
        }
        return .page(page.records.map(\.text), next: page.next.map(String.init))
    }

    static func decisions(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let span = try Span(call.query, services)
        let kind = try call.query.word("kind", LedgerKind.allCases.map(\.rawValue))
        let mode = try call.query.word("mode", PolicyMode.allCases.map(\.text))
        let onlyChanges = try call.query.flag("changes") ?? false
        let (limit, cursor) = (try call.query.limit(), try call.query.numberCursor())
        let page = services.store.ledger.withLock { ledger in
            ledger.decisions.page(before: cursor, limit: limit) { entry in
                span.holds(entry.subject, entry.time) && (kind == nil || entry.kind == kind)
                    && (mode == nil || entry.mode == mode) && (!onlyChanges || entry.isChange)
            }
        }
        return .page(page.records.map(\.text), next: page.next.map(String.init))
    }

    static func decision(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let id = try call.parameter("id")
        let found = services.store.ledger.withLock { ledger -> (entry: LedgerEntry, action: ActionRecord?)? in
            guard let entry = ledger.decisions[id: id] else { return nil }
            return (entry, (entry.action ?? entry.proposal).flatMap { ledger.actions[id: $0] })
        }
        guard let found, services.store.sees(found.entry.subject) else {
            throw .notFound("decision '\(id)' (any more)")
        }
        return .json { writer in
            writer.beginObject()
            writer.member("decision", json: found.entry.text)
            writer.key("action")
            if let action = found.action { action.write(into: &writer) } else { writer.null() }
            writer.endObject()
        }
    }

    static func proposals(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let limit = try call.query.limit()
        let seen = services.store.seenNames()
        let waiting = services.store.ledger.withLock { ledger in
            let mine = ledger.proposals.lazy.filter { seen?.contains($0.resource) ?? true }.prefix(limit)
            return mine.compactMap { ledger.decisions[id: $0.decision]?.text } as [[UInt8]]
        }
        return .page(waiting, next: nil)
    }

    static func actions(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let span = try Span(call.query, services)
        let reported = OutcomeSample.Status.allCases.map { String(describing: $0) }
        let status = try call.query.word("status", ["pending"] + reported + ["superseded"])
        let (limit, cursor) = (try call.query.limit(), try call.query.numberCursor())
        let page = services.store.ledger.withLock { ledger in
            ledger.actions.page(before: cursor, limit: limit) { action in
                span.holds(action.resource, action.issued ?? span.from) && (status == nil || action.status == status)
            }
        }
        let items = page.records.map { action in
            var writer = JSONWriter()
            action.write(into: &writer)
            return writer.bytes
        }
        return .page(items, next: page.next.map(String.init))
    }

    static func action(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let id = try call.parameter("id")
        guard let action = services.store.ledger.withLock({ $0.actions[id: id] }),
            services.store.sees(action.resource)
        else {
            throw .notFound("action '\(id)' (any more)")
        }
        return .json { action.write(into: &$0) }
    }

    static func effectiveness(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let resource = try call.query.name("resource")
        // The sum over all is everybody's; of one, its tenant's.
        guard services.store.seenNames() == nil || resource.map({ services.store.sees($0) }) ?? false else {
            throw .invalid("'resource' must be one of yours")
        }
        // Copied out, as summing up is no work for a lock.
        let actions = services.store.ledger.withLock { $0.actions }
        return .json { Effectiveness.write(actions, resource: resource, into: &$0) }
    }
}
