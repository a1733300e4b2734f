import Runtime
import Views

/// The keys of `twin-api`, in the section `api` of the file that all programs share.
enum APIKeys {
    static let all: [ConfigurationKey] = server + access + views + work

    private static let server = [
        ConfigurationKey(
            "api.listen", .text, default: "127.0.0.1:8080",
            "Address that is served. Any other than a loopback address needs authentication."),
        ConfigurationKey("api.tls.certificate", .text, default: "", "Certificate chain in PEM; with it TLS is spoken."),
        ConfigurationKey("api.tls.key", .text, default: "", "Its private key in PEM."),
        ConfigurationKey(
            "api.dashboard", .text, default: "", "Folder of the dashboard's files; empty: those built in."),
        ConfigurationKey(
            "api.d3", .text, default: "/usr/share/nodejs/d3/dist/d3.min.js",
            "The drawing library of the dashboard, d3 for browsers in one file, where Debian's node-d3 puts it."),
        ConfigurationKey(
            "api.addressFile", .text, default: "", "File that the address is written to once the server listens."),
        ConfigurationKey("api.cors.origin", .text, default: "", "Origin that may call from browsers; empty: none."),
    ]

    private static let access = [
        ConfigurationKey(
            "api.auth.tokens", .text, default: "",
            "File of bearer tokens, hashed: a line 'NAME ROLE SHA256 [TENANT]' each, made by twin-api token. "
                + "Read again on change, within seconds."),
        ConfigurationKey("api.auth.oidc.issuer", .text, default: "", "Issuer whose JWTs are taken."),
        ConfigurationKey("api.auth.oidc.audience", .text, default: "", "Audience that they must name."),
        ConfigurationKey(
            "api.auth.oidc.keys", .text, default: "", "File of the issuer's public keys (JWKS), read again on change."),
        ConfigurationKey("api.auth.oidc.rolesClaim", .text, default: "roles", "Claim that lists roles."),
        ConfigurationKey(
            "api.auth.oidc.tenantClaim", .text, default: "",
            "Claim that names the tenant; with it only an admin may be without one."),
        ConfigurationKey(
            "api.tenantTag", .text, default: "",
            "Tag of a resource that names its tenant; who is bound to a tenant sees no other's."),
        ConfigurationKey("api.audit", .text, default: "", "File that the audit log is appended to; empty: the log."),
        ConfigurationKey(
            "api.limits.requestsPerSecond", .number(0.1...1_000_000), default: "50",
            "Requests of one client, on average; not counted from a loopback address without authentication."),
        ConfigurationKey("api.limits.burst", .number(1...1_000_000), default: "200", "Requests at once."),
        ConfigurationKey(
            "api.limits.bodyBytesMax", .integer(1_024...64 << 20), default: "1000000", "Largest body of an ingest."),
        ConfigurationKey(
            "api.limits.connectionsMax", .integer(1...100_000), default: "2000",
            "Connections at once; one more takes the place of that which has waited longest for its next request."),
        ConfigurationKey(
            "api.limits.connectionsPerClientMax", .integer(1...100_000), default: "500",
            "The same for the connections of one address, a loopback address or a proxy's as well."),
        ConfigurationKey(
            "api.limits.headSeconds", .number(0.1...3_600), default: "10",
            "Time for the head of a request, from the connection's begin or the answer before."),
    ]

    private static let views: [ConfigurationKey] = {
        let d = ViewLimits()
        func key(_ name: String, _ value: Int, _ help: String) -> ConfigurationKey {
            ConfigurationKey("api.views.\(name)", .integer(1...100_000_000), default: "\(value)", help)
        }
        return [
            ConfigurationKey(
                "api.views.historyHours", .number(0.01...8_760), default: "24",
                "How far back topics are read at the start."),
            ConfigurationKey(
                "api.views.snapshot", .text, default: "",
                "File that the views are saved to and restored from; empty: they are built from the topics each time."),
            ConfigurationKey(
                "api.views.snapshotSeconds", .integer(1...86_400), default: "300", "How often, besides at the end."),
            key("resourcesMax", d.resourcesMax, "Twins."),
            key("finePointsMax", d.finePointsMax, "Recent levels per series."),
            key("coarsePointsMax", d.coarsePointsMax, "Older levels per series, means of 15 minutes."),
            key("issuedMax", d.issuedMax, "Past forecasts per series."),
            key("edgesMax", d.edgesMax, "Edges of the graph."),
            key("decisionsMax", d.decisionsMax, "Decisions."),
            key("actionsMax", d.actionsMax, "Actions."),
            key("driftMax", d.driftMax, "Drift events."),
        ]
    }()

    private static let work = [
        ConfigurationKey("api.metrics.twinsMax", .integer(0...100_000), default: "100", "Twins in /metrics."),
        ConfigurationKey(
            "api.preview.samplesMax", .integer(1_000...1_000_000_000), default: "1000000",
            "Recorded samples that one preview reads."),
    ]

    /// Limits of the views as configured.
    static func limits(_ configuration: ProgramConfiguration) -> ViewLimits {
        var limits = ViewLimits()
        limits.resourcesMax = configuration.integer("api.views.resourcesMax")
        limits.finePointsMax = configuration.integer("api.views.finePointsMax")
        limits.coarsePointsMax = configuration.integer("api.views.coarsePointsMax")
        limits.issuedMax = configuration.integer("api.views.issuedMax")
        limits.edgesMax = configuration.integer("api.views.edgesMax")
        limits.decisionsMax = configuration.integer("api.views.decisionsMax")
        limits.actionsMax = configuration.integer("api.views.actionsMax")
        limits.driftMax = configuration.integer("api.views.driftMax")
        return limits
    }
}
