import HTTPTypes

/// The table of all routes; `openapi.yaml` describes the same ones.
enum Routes {
    /// Every operation.
    static func all(_ settings: APISettings) -> [Route] {
        twins + graph + ledger + policies + orders + ingest(settings) + integrations + operation
    }

    private static var twins: [Route] {
        [
            Route(.get, "/v1/fleet", .viewer, TwinRoutes.fleet).forTenants,
            Route(.get, "/v1/twins", .viewer, TwinRoutes.list).forTenants,
            Route(.get, "/v1/twins/{resource}", .viewer, TwinRoutes.one).forTenants,
            Route(.get, "/v1/twins/{resource}/history", .viewer, TwinRoutes.history).forTenants,
            Route(.get, "/v1/twins/{resource}/forecast", .viewer, TwinRoutes.forecast).forTenants,
            Route(.get, "/v1/twins/{resource}/accuracy", .viewer, TwinRoutes.accuracy).forTenants,
            Route(.get, "/v1/localities", .viewer, TwinRoutes.localities).forTenants,
            Route(.get, "/v1/localities/{type}/{value}", .viewer, TwinRoutes.locality).forTenants,
        ]
    }

    private static var graph: [Route] {
        [
            Route(.get, "/v1/graph", .viewer, GraphRoutes.graph).forTenants,
            Route(.get, "/v1/graph/paths", .viewer, GraphRoutes.paths),
        ]
    }

    private static var ledger: [Route] {
        [
            Route(.get, "/v1/drift", .viewer, LedgerRoutes.drift).forTenants,
            Route(.get, "/v1/decisions", .viewer, LedgerRoutes.decisions).forTenants,
            Route(.get, "/v1/decisions/{id}", .viewer, LedgerRoutes.decision).forTenants,
            Route(.get, "/v1/proposals", .viewer, LedgerRoutes.proposals).forTenants,
            Route(.get, "/v1/actions", .viewer, LedgerRoutes.actions).forTenants,
            Route(.get, "/v1/actions/{id}", .viewer, LedgerRoutes.action).forTenants,
            Route(.get, "/v1/effectiveness", .viewer, LedgerRoutes.effectiveness).forTenants,
        ]
    }

    private static var policies: [Route] {
        [
            Route(.get, "/v1/policies", .viewer, PolicyRoutes.list).forTenants,
            Route(.get, "/v1/policies/{name}", .viewer, PolicyRoutes.one).forTenants,
            Route(.put, "/v1/policies/{name}", .admin, writing: PolicyRoutes.put),
            Route(.delete, "/v1/policies/{name}", .admin, writing: PolicyRoutes.delete),
            Route(.get, "/v1/policies/{name}/versions", .viewer, PolicyRoutes.versions),
            Route(.post, "/v1/policies/{name}/validate", .viewer, PolicyRoutes.validate),
            Route(.post, "/v1/policies/{name}/diff", .viewer, PolicyRoutes.diff),
            Route(.post, "/v1/policies/{name}/preview", .operator, PreviewRoutes.begin),
            Route(.get, "/v1/previews/{id}", .operator, PreviewRoutes.one),
        ]
    }

    private static var orders: [Route] {
        [
            Route(.get, "/v1/commands", .viewer, CommandRoutes.list).forTenants,
            Route(.post, "/v1/commands", .operator, writing: CommandRoutes.post).forTenants,
            Route(.get, "/v1/events", .viewer, EventRoutes.list),
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
            Route(.get, "/v1/keda/{resource}", .viewer, KedaRoutes.value).forTenants,
            Route(.get, "/v1/stream", .viewer, StreamRoutes.stream),
            Route(.get, "/metrics", .viewer, MetricsRoutes.metrics),
        ]
    }

    private static var operation: [Route] {
        [
            Route(.get, "/v1/deadletters", .viewer, OperationRoutes.deadletters),
            Route(.get, "/v1/pipeline", .viewer, OperationRoutes.pipeline),
            Route(.get, "/v1/me", .viewer, OperationRoutes.me).forTenants,
            Route(.get, "/v1/audit", .admin, OperationRoutes.audit),
            Route(.get, "/v1/openapi.yaml", nil, OperationRoutes.document),
            Route(.get, "/health", nil, OperationRoutes.health),
        ]
    }
}
