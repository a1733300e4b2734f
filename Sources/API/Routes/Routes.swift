import HTTPTypes

/// The table of all routes; `openapi.yaml` describes the same ones.
enum Routes {
    /// Every operation.
    static func all(_ settings: APISettings) -> [Route] {
        twins + graph + ledger + policies + orders + ingest(settings) + integrations + operation
    }

    private static var twins: [Route] {
        [
            Route(.get, "/v1/fleet", .viewer, TwinRoutes.fleet).forTenants
                .asking("horizonSeconds", "localityType", "limit"),
            Route(.get, "/v1/twins", .viewer, TwinRoutes.list).forTenants
                .asking("limit", "cursor", "locality", "localityType", "localityValue", "tag", "class", "q"),
            Route(.get, "/v1/twins/{resource}", .viewer, TwinRoutes.one).forTenants.asking("at"),
            Route(.get, "/v1/twins/{resource}/history", .viewer, TwinRoutes.history).forTenants
                .asking("metric", "from", "to"),
            Route(.get, "/v1/twins/{resource}/forecast", .viewer, TwinRoutes.forecast).forTenants.asking("metric"),
            Route(.get, "/v1/twins/{resource}/accuracy", .viewer, TwinRoutes.accuracy).forTenants
                .asking("metric", "horizonSeconds"),
            Route(.get, "/v1/localities", .viewer, TwinRoutes.localities).forTenants.asking("localityType"),
            Route(.get, "/v1/localities/{type}/{value}", .viewer, TwinRoutes.locality).forTenants
                .asking("limit", "cursor"),
        ]
    }

    private static var graph: [Route] {
        [
            Route(.get, "/v1/graph", .viewer, GraphRoutes.graph).forTenants
                .asking("limit", "locality", "around", "hops"),
            Route(.get, "/v1/graph/paths", .viewer, GraphRoutes.paths).asking("from", "to", "hopsMax"),
        ]
    }

    private static var ledger: [Route] {
        [
            Route(.get, "/v1/drift", .viewer, LedgerRoutes.drift).forTenants
                .asking("limit", "cursor", "resource", "from", "to", "kind", "open"),
            Route(.get, "/v1/decisions", .viewer, LedgerRoutes.decisions).forTenants
                .asking("limit", "cursor", "resource", "from", "to", "kind", "mode", "changes"),
            Route(.get, "/v1/decisions/{id}", .viewer, LedgerRoutes.decision).forTenants,
            Route(.get, "/v1/proposals", .viewer, LedgerRoutes.proposals).forTenants.asking("limit"),
            Route(.get, "/v1/actions", .viewer, LedgerRoutes.actions).forTenants
                .asking("limit", "cursor", "resource", "from", "to", "status"),
            Route(.get, "/v1/actions/{id}", .viewer, LedgerRoutes.action).forTenants,
            Route(.get, "/v1/effectiveness", .viewer, LedgerRoutes.effectiveness).forTenants.asking("resource"),
        ]
    }

    private static var policies: [Route] {
        [
            Route(.get, "/v1/policies", .viewer, PolicyRoutes.list).forTenants.asking("limit", "cursor"),
            Route(.get, "/v1/policies/{name}", .viewer, PolicyRoutes.one).forTenants,
            Route(.put, "/v1/policies/{name}", .admin, writing: PolicyRoutes.put),
            Route(.delete, "/v1/policies/{name}", .admin, writing: PolicyRoutes.delete),
            Route(.get, "/v1/policies/{name}/versions", .viewer, PolicyRoutes.versions).asking("limit"),
            Route(.post, "/v1/policies/{name}/validate", .viewer, PolicyRoutes.validate),
            Route(.post, "/v1/policies/{name}/diff", .viewer, PolicyRoutes.diff),
            Route(.post, "/v1/policies/{name}/preview", .operator, PreviewRoutes.begin).asking("days"),
            Route(.get, "/v1/previews/{id}", .operator, PreviewRoutes.one),
        ]
    }

    private static var orders: [Route] {
        [
            Route(.get, "/v1/commands", .viewer, CommandRoutes.list).forTenants.asking("limit", "cursor", "resource"),
            Route(.post, "/v1/commands", .operator, writing: CommandRoutes.post).forTenants,
            Route(.get, "/v1/events", .viewer, EventRoutes.list).asking("limit", "cursor", "from", "to"),
            Route(.get, "/v1/events/{id}", .viewer, EventRoutes.one),
            Route(.put, "/v1/events/{id}", .operator, writing: EventRoutes.put),
            Route(.delete, "/v1/events/{id}", .operator, writing: EventRoutes.cancel),
        ]
    }

    private static func ingest(_ settings: APISettings) -> [Route] {
        let limit = settings.bodyBytesMax
        return [
            Route(.post, "/v1/ingest/telemetry", .operator, bodyBytesMax: limit, writing: IngestRoutes.telemetry),
            // The path that OpenTelemetry's exporters append to their endpoint.
            Route(.post, "/v1/metrics", .operator, bodyBytesMax: limit, writing: IngestRoutes.openTelemetry),
            Route(.post, "/v1/ingest/interactions", .operator, bodyBytesMax: limit, writing: IngestRoutes.interactions),
            Route(.post, "/v1/ingest/outcomes", .operator, bodyBytesMax: limit, writing: IngestRoutes.outcomes),
        ]
    }

    private static var integrations: [Route] {
        [
            Route(.get, "/v1/keda/{resource}", .viewer, KedaRoutes.value).forTenants.asking("value"),
            Route(.get, "/v1/stream", .viewer, StreamRoutes.stream).asking("twin", "only"),
            Route(.get, "/metrics", .viewer, MetricsRoutes.metrics),
        ]
    }

    private static var operation: [Route] {
        [
            Route(.get, "/v1/deadletters", .viewer, OperationRoutes.deadletters).asking("limit", "cursor"),
            Route(.get, "/v1/pipeline", .viewer, OperationRoutes.pipeline),
            Route(.get, "/v1/me", .viewer, OperationRoutes.me).forTenants,
            Route(.get, "/v1/audit", .admin, OperationRoutes.audit).asking("limit", "cursor"),
            Route(.get, "/v1/openapi.yaml", nil, OperationRoutes.document),
            Route(.get, "/health", nil, OperationRoutes.health),
        ]
    }
}
