import Synchronization
import TwinCore
import Views

/// What the server needs to know about itself.
package struct APISettings: Sendable {
    package var namespace = ""
    package var isTLS = false
    /// The tag that names a resource's tenant; empty: there are no tenants.
    package var tenantTag = ""
    /// The one origin that browsers may call from, beside our own.
    package var corsOrigin: String?
    /// Largest body of an ingest.
    package var bodyBytesMax = 1_000_000
    /// Twins that `/metrics` tells of.
    package var metricsTwinsMax = 100
    /// Recorded samples that one preview reads.
    package var previewSamplesMax = 1_000_000

    package init() {}
}

/// Answers since the start, by class of status.
final class RequestCounts: Sendable {
    private let counts = Mutex([UInt64](repeating: 0, count: 6))

    func count(status: Int) {
        counts.withLock { $0[min(max(status / 100, 0), 5)] &+= 1 }
    }

    /// Index 2 for 2xx, and so on.
    var byClass: [UInt64] { counts.withLock { $0 } }
}

/// Everything that routes work with.
package final class Services: Sendable {
    let settings: APISettings
    package let store: ViewStore
    package let hub: StreamHub
    let sink: any OrderSink
    let access: Access
    let limiter: RateLimiter
    let audit: AuditLog
    let files: StaticFiles
    let document: [UInt8]
    let monitor: any PipelineMonitor
    let previews: Previews
    let requests: RequestCounts

    init(
        settings: APISettings, store: ViewStore, hub: StreamHub, sink: any OrderSink, access: Access,
        limiter: RateLimiter, audit: AuditLog, files: StaticFiles, document: [UInt8], monitor: any PipelineMonitor,
        previews: Previews, requests: RequestCounts = RequestCounts()
    ) {
        self.settings = settings
        self.store = store
        self.hub = hub
        self.sink = sink
        self.access = access
        self.limiter = limiter
        self.audit = audit
        self.files = files
        self.document = document
        self.monitor = monitor
        self.previews = previews
        self.requests = requests
    }

    /// The same, as far as somebody may see it.
    func seen(by principal: Principal) -> Services {
        guard let tenant = principal.tenant else { return self }
        return Services(
            settings: settings, store: store.seen(with: Sight(tag: settings.tenantTag, tenant: tenant)), hub: hub,
            sink: sink, access: access, limiter: limiter, audit: audit, files: files, document: document,
            monitor: monitor, previews: previews, requests: requests)
    }
}
