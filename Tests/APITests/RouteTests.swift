import HTTPTypes
import Messages
import Runtime
import Testing
import TwinCore
import Views

@testable import API

/// What each route answers over a small shop.
@Suite struct RouteTests {
    private func shop() throws -> TestServer {
        let server = try TestServer()
        SmallFleet.fill(server)
        return server
    }

    @Test func theFleetRanksWhoIsAtRisk() async throws {
        try await shop().test { (ask) async throws in
            let fleet = try await ask(.get, "/v1/fleet?horizonSeconds=3600").json()
            #expect(fleet["resources"]?.integer == 3)
            #expect(fleet["proposals"]?.integer == 1)
            #expect(fleet["inFlight"]?.integer == 1)
            // 129 + 60 + 20 at 95 % over 4 × 40.
            let risk = fleet["ranked"]?.elements.first?["risk"]
            #expect(risk?["atSeconds"]?.number == 3_600)
            let utilisation = try #require(risk?["utilisation"]?.number)
            #expect((utilisation - 209.0 / 160).magnitude < 1e-4)
            #expect(risk?["shortfall"]?.integer == 2)
            #expect(fleet["localities"]?.elements.first?["value"]?.text == "shop-1")
            #expect(fleet["localities"]?.elements.first?["heat"]?.elements.compactMap(\.integer) == [0, 0, 0, 0, 3])
            #expect(fleet["pricePerHour"]?.number == 6)
        }
    }

    @Test func twinsAreFilteredAndPaged() async throws {
        try await shop().test { (ask) async throws in
            let all = try await ask(.get, "/v1/twins").json()
            #expect(all["items"]?.elements.compactMap { $0["resource"]?.text } == ["cart", "db", "web"])
            let first = try await ask(.get, "/v1/twins?limit=2").json()
            #expect(first["total"]?.integer == 3)
            let next = try #require(first["next"]?.text)
            let second = try await ask(.get, "/v1/twins?limit=2&cursor=\(next)").json()
            #expect(second["items"]?.elements.compactMap { $0["resource"]?.text } == ["web"])
            #expect(second["next"] == .null)
            for (query, expected) in [
                ("tag=zone:b", ["db"]), ("q=a", ["cart"]), ("class=queue", []), ("locality=shop-2", []),
                ("localityType=zone&localityValue=a", ["cart", "web"]),
            ] {
                let found = try await ask(.get, "/v1/twins?\(query)").json()
                #expect(found["items"]?.elements.compactMap { $0["resource"]?.text } == expected, "\(query)")
            }
        }
    }

    @Test func aTwinTellsEverythingAboutItself() async throws {
        try await shop().test { (ask) async throws in
            let twin = try await ask(.get, "/v1/twins/web").json()
            #expect(twin["decision"]?["id"]?.text == "d-web")
            #expect(twin["metrics"]?.elements.first?["forecast"]?.elements.count == 5)
            #expect(twin["actions"]?.elements.first?["id"]?.text == "a-1")
            #expect(twin["drift"]?.elements.first?["id"]?.text == "r-1")
            #expect(twin["neighbours"]?.elements.first?["resource"]?.text == "cart")
            #expect(twin["leadSeconds"]?.number == 90)
            #expect(try await ask(.get, "/v1/twins/nobody").status == 404)
        }
    }

    @Test func aDriftIsOpenUntilTrustIsBack() async throws {
        let server = try shop()
        func fold(_ id: String, _ resource: String, kind: String, _ more: String) {
            server.fold(
                .drift, key: resource,
                #"{"id":"\#(id)","type":"x","subject":"\#(resource)","time":"2026-11-18T10:20:00Z","data":{"#
                    + #""resource":"\#(resource)","metric":"requests","kind":"\#(kind)"\#(more)}}"#)
        }
        fold("o-1", "web", kind: "level", #","distrusts":true"#)
        fold("o-2", "db", kind: "variance", #","distrusts":true,"explainedBy":"version""#)
        fold("o-3", "db", kind: "anomaly", #","distrusts":false"#)
        fold("o-4", "web", kind: "restored", #","drift":"level","distrustedSamples":40,"cost":12.5"#)
        try await server.test { (ask) async throws in
            let open = try await ask(.get, "/v1/drift?open=true").json()
            #expect(open["items"]?.elements.compactMap { $0["id"]?.text } == ["o-2"])
            let closed = try await ask(.get, "/v1/drift?kind=restored").json()
            #expect(closed["items"]?.elements.first?["data"]?["cost"]?.number == 12.5)
            #expect(try await ask(.get, "/v1/drift?open=perhaps").status == 400)
        }
    }

    @Test func thePastIsRememberedAndCompared() async throws {
        try await shop().test { (ask) async throws in
            let history = try await ask(.get, "/v1/twins/web/history").json()
            #expect(history["points"]?.elements.count == 30)
            #expect(history["points"]?.elements.first?["level"]?.number == 100)
            #expect(history["points"]?.elements.first?["capacity"]?.number == 160)
            let accuracy = try await ask(.get, "/v1/twins/web/accuracy?horizonSeconds=60").json()
            // Every forecast of the next minute came true.
            #expect(accuracy["count"]?.integer == 6)
            #expect(accuracy["meanAbsoluteError"]?.number == 0)
            #expect(accuracy["coverage80"]?.number == 1)
            let then = EventTime(milliseconds: SmallFleet.start + 10 * 60_000 + 1)
            guard case .string(let text) = JSONValue(then) else { throw JSONError(.unexpectedEnd, at: 0) }
            let past = try await ask(.get, "/v1/twins/web?at=\(text)").json()
            #expect(past["level"]?.number == 110)
            let before = past["metrics"]?.elements.first?["forecast"]?.elements
            #expect(before?.count == 4)
            #expect(before?.first?["tailCount"] == .null)
        }
    }

    @Test func aForecastTellsOnHowManyRareValuesItRests() async throws {
        try await shop().test { (ask) async throws in
            let forecast = try await ask(.get, "/v1/twins/web/forecast").json()
            #expect(forecast["horizons"]?.elements.map { $0["tailCount"]?.integer } == [40, 39, 38, 37, 36])
            let twin = try await ask(.get, "/v1/twins/web").json()
            #expect(twin["metrics"]?.elements.first?["forecast"]?.elements.first?["tailCount"]?.integer == 40)
        }
    }

    @Test func theGraphShowsPathsOfCalls() async throws {
        try await shop().test { (ask) async throws in
            let graph = try await ask(.get, "/v1/graph").json()
            #expect(graph["edges"]?.elements.compactMap { $0["source"]?.text } == ["web", "cart"])
            #expect(graph["nodes"]?.elements.count == 3)
            let paths = try await ask(.get, "/v1/graph/paths?from=web").json()
            #expect(paths["paths"]?.elements.compactMap { $0["to"]?.text } == ["cart", "db"])
            #expect(paths["paths"]?.elements.last?["rateMin"]?.number == 30)
            #expect(try await ask(.get, "/v1/graph/paths?from=nobody").status == 404)
            #expect(try await ask(.get, "/v1/graph?around=db&hops=1").json()["edges"]?.elements.count == 1)
        }
    }

    @Test func aPolicyIsWrittenChangedComparedAndWithdrawn() async throws {
        let server = try shop()
        try await server.test { (ask) async throws in
            let body = #"{"match":{"class":"service"},"mode":"act","capacityPerReplica":40}"#
            let made = try await ask(.put, "/v1/policies/shop", body: body)
            #expect(made.status == 200)
            #expect(made.headers[.eTag] == "\"1\"")
            let stale = try await ask(.put, "/v1/policies/shop", headers: [.ifMatch: "\"7\""], body: body)
            #expect(stale.status == 412)
            let changed = #"{"match":{"tags":{"zone":"a"}},"mode":"observe","capacityPerReplica":40}"#
            let diff = try await ask(.post, "/v1/policies/shop/diff", body: changed).json()
            #expect(
                diff["changes"]?.elements.compactMap { $0["path"]?.text } == ["match.class", "match.tags.zone", "mode"])
            #expect(diff["lost"]?.elements == [.string("db")])
            let second = try await ask(.put, "/v1/policies/shop", headers: [.ifMatch: "\"1\""], body: changed)
            #expect(try second.json()["version"]?.integer == 2)
            #expect(try await ask(.get, "/v1/policies/shop").json()["policy"]?["mode"]?.text == "observe")
            let versions = try await ask(.get, "/v1/policies/shop/versions").json()
            #expect(versions["items"]?.elements.compactMap { $0["version"]?.integer } == [2, 1])
            #expect(try await ask(.delete, "/v1/policies/shop").status == 204)
            #expect(try await ask(.get, "/v1/policies/shop").status == 404)
            let wrong = try await ask(.post, "/v1/policies/shop/validate", body: #"{"mode":"maybe"}"#).json()
            #expect(wrong["valid"]?.flag == false)
            #expect(wrong["reason"]?.text?.contains("'mode'") == true)
            #expect(try await ask(.put, "/v1/policies/shop", body: #"{"mode":"maybe"}"#).status == 422)
        }
        #expect(server.sink.records.map(\.topic) == [.policies, .policies, .policies])
        #expect(server.sink.records.last?.value == nil)
    }

    @Test func aProposalIsApproved() async throws {
        let server = try shop()
        try await server.test { (ask) async throws in
            let waiting = try await ask(.get, "/v1/proposals").json()
            let proposal = try #require(waiting["items"]?.elements.first?["data"]?["proposal"]?.text)
            let sent = try await ask(.post, "/v1/commands", body: #"{"verb":"approve","action":"\#(proposal)"}"#)
            #expect(sent.status == 202)
            let id = try #require(try sent.json()["id"]?.text)
            // The fleet's samples are of another day; the order is of this one.
            let given = try #require(try sent.json()["time"]?.time)
            #expect((given.milliseconds - wallMilliseconds()).magnitude < 60_000)
            server.fold(
                .decisions,
                #"{"id":"c-1","subject":"db","time":"2026-11-18T10:31:00Z","data":{"kind":"commandAccepted","#
                    + #""command":"\#(id)","verb":"approve","proposal":"\#(proposal)"}}"#)
            #expect(try await ask(.get, "/v1/proposals").json()["items"]?.elements.isEmpty == true)
            let again = try await ask(.post, "/v1/commands", body: #"{"verb":"approve","action":"\#(proposal)"}"#)
            #expect(again.status == 409)
            let commands = try await ask(.get, "/v1/commands").json()
            #expect(commands["items"]?.elements.first?["status"]?.text == "accepted")
            #expect(try await ask(.post, "/v1/commands", body: #"{"verb":"fly"}"#).status == 422)
        }
    }

    @Test func aPlannedEventIsAnnouncedAndCalledOff() async throws {
        try await shop().test { (ask) async throws in
            let body =
                #"{"start":"2026-11-27T06:00:00Z","end":"2026-11-27T22:00:00Z","#
                + #""scope":{"key":"cluster","value":"shop-1"},"kind":"campaign","uplift":1.8}"#
            #expect(try await ask(.put, "/v1/events/sale", body: body).status == 202)
            #expect(try await ask(.get, "/v1/events").json()["items"]?.elements.count == 1)
            #expect(try await ask(.delete, "/v1/events/sale").json()["cancelled"]?.flag == true)
            #expect(try await ask(.get, "/v1/events/sale").json()["cancelled"]?.flag == true)
            #expect(try await ask(.put, "/v1/events/sale", body: #"{"kind":"x"}"#).status == 422)
        }
    }

    @Test func telemetryIsCheckedBeforeItIsWritten() async throws {
        let server = try shop()
        try await server.test { (ask) async throws in
            let good = #"[{"resource":"web","metric":"cpu","value":0.5,"ts":1795521600}]"#
            #expect(try await ask(.post, "/v1/ingest/telemetry", body: good).json()["accepted"]?.integer == 1)
            #expect(try await ask(.post, "/v1/ingest/telemetry", body: #"[{"resource":"web"}]"#).status == 422)
            #expect(try await ask(.post, "/v1/ingest/telemetry", body: "").status == 422)
            let long = String(repeating: " ", count: 1_000_001)
            #expect(try await ask(.post, "/v1/ingest/telemetry", body: long).status == 413)
        }
        #expect(server.sink.records.map(\.topic) == [.telemetry])
    }

    @Test func metricsOfOpenTelemetryAreTakenAsTheirExportersSendThem() async throws {
        let server = try shop()
        try await server.test { (ask) async throws in
            let body = #"{"resourceMetrics":[]}"#
            #expect(try await ask(.post, "/v1/metrics", body: body).text == "{}")
            #expect(try await ask(.post, "/v1/metrics", body: #"{"resourceMetrics":"#).status == 400)
            let long = Array((body + String(repeating: " ", count: 9_000)).utf8)
            let small = try #require(Gzip.compress(long))
            let gzip: HTTPFields = [.contentEncoding: "gzip"]
            #expect(try await ask(.post, "/v1/metrics", headers: gzip, bytes: small).status == 200)
            // {1: {2: {2: {1: "m"}}}}
            let wire: [UInt8] = [0x0a, 7, 0x12, 5, 0x12, 3, 0x0a, 1, 0x6d]
            for (bytes, status) in [(wire, 200), (Array(wire.dropLast()), 400)] {
                let headers: HTTPFields = [.contentType: "application/x-protobuf"]
                #expect(try await ask(.post, "/v1/metrics", headers: headers, bytes: bytes).status == status)
            }
        }
        let types = ["application/json", "application/json", "application/x-protobuf"]
        #expect(server.sink.records.map(\.contentType) == types)
        #expect(server.sink.records[1].value?.count == 9_022)
    }

    @Test func aSmallBodyThatWouldBecomeALargeOneIsRefused() async throws {
        let server = try shop()
        let bomb = try #require(Gzip.compress([UInt8](repeating: 0x20, count: 2_000_000)))
        try await server.test { (ask) async throws in
            #expect(try await ask(.post, "/v1/metrics", headers: [.contentEncoding: "gzip"], bytes: bomb).status == 400)
        }
        #expect(server.sink.records.isEmpty)
    }

    @Test func aWriteThatTheBrokerDoesNotTakeIsNoSuccess() async throws {
        let server = try shop()
        server.sink.failure = OrderError("no broker", isTemporary: true)
        try await server.test { (ask) async throws in
            let answer = try await ask(.post, "/v1/commands", body: #"{"verb":"pause","resource":"web"}"#)
            #expect(answer.status == 503)
            #expect(answer.headers[.contentType] == "application/problem+json")
        }
    }

    @Test func integrationsGiveOneNumberAndManyLines() async throws {
        let server = try shop()
        let mute = SmallFleet.summary("mute").replacing(#""readyUnits":4"#, with: #""readyUnits":null"#)
        server.fold(.twins, key: "mute", mute)
        try await server.test { (ask) async throws in
            #expect(try await ask(.get, "/v1/keda/web").json()["value"]?.number == 5)
            #expect(try await ask(.get, "/v1/keda/web?value=forecast").json()["value"]?.number == 150)
            #expect(try await ask(.get, "/v1/keda/nobody").status == 404)
            #expect(try await ask(.get, "/v1/keda/mute").json()["detail"]?.text?.contains("role supply") == true)
            let policy = try await ask(.put, "/v1/policies/mute", body: #"{"match":{"resource":"mute"}}"#).json()
            #expect(policy["warning"]?.text?.contains("role supply") == true)
            let metrics = try await ask(.get, "/metrics").text
            #expect(metrics.contains("twinscale_twin_desired_units{resource=\"web\",locality=\"shop-1\"} 5\n"))
        }
    }

    @Test func anUnchangedAnswerIsNotSentAgainAndALongOneIsCompressed() async throws {
        try await shop().test { (ask) async throws in
            let first = try await ask(.get, "/v1/twins/web")
            let tag = try #require(first.headers[.eTag])
            let second = try await ask(.get, "/v1/twins/web", headers: [.ifNoneMatch: tag])
            #expect(second.status == 304)
            #expect(second.bytes.isEmpty)
            let small = try await ask(.get, "/v1/twins/web", headers: [.acceptEncoding: "gzip"])
            #expect(small.headers[.contentEncoding] == "gzip")
            #expect(small.bytes.prefix(2) == [0x1f, 0x8b])
            #expect(small.bytes.count < first.bytes.count / 2)
        }
    }

    @Test func everyAnswerForbidsWhatABrowserNeedNotDo() async throws {
        try await shop().test { (ask) async throws in
            for path in ["/v1/fleet", "/nothing", "/health"] {
                let answer = try await ask(.get, path)
                #expect(answer.headers[.contentSecurityPolicy]?.contains("script-src 'self'") == true)
                #expect(answer.headers[.xContentTypeOptions] == "nosniff")
            }
            #expect(try await ask(.post, "/v1/fleet", body: "{}").status == 405)
            #expect(try await ask(.get, "/v1/../../etc/passwd").status == 404)
            #expect(try await ask(.get, "/v1/twins/%00").status == 400)
            #expect(try await ask(.get, "/v1/twins?limit=0").status == 400)
            let unknown = try await ask(.get, "/v1/twins?limti=5")
            #expect(unknown.status == 400 && unknown.text.contains("limti") && unknown.text.contains("limit"))
            let twice = try await ask(.get, "/v1/twins?limit=1&limit=2")
            #expect(twice.status == 400 && twice.text.contains("'limit' stands twice"))
            #expect(try await ask(.get, "/v1/twins?tag=a:b&tag=c:d").status == 200)
            #expect(try await ask(.get, "/health?x=1").status == 400)
        }
    }

    @Test(.timeLimit(.minutes(2))) func aPolicyIsPreviewedOverWhatWasRecorded() async throws {
        try await shop().test { ask in
            let body =
                #"{"match":{"resource":"cart"},"mode":"observe","capacityPerReplica":40,"replicas":{"min":1,"max":9},"#
                + #""provisioningDelaySeconds":120,"pricePerUnitHour":0.5,"decisionIntervalSeconds":60}"#
            _ = try await ask(.put, "/v1/policies/cart", body: body.replacing("\"max\":9", with: "\"max\":3"))
            let begun = try await ask(.post, "/v1/policies/cart/preview?days=2", body: body)
            #expect(begun.status == 202)
            let id = try #require(try begun.json()["id"]?.text)
            var preview = try begun.json()
            while preview["status"]?.text == "running" {
                try await Task.sleep(for: .milliseconds(50))
                preview = try await ask(.get, "/v1/previews/\(id)").json()
            }
            #expect(preview["status"]?.text == "done", "\(preview["reason"] ?? .null)")
            #expect(preview["seriesResource"]?.text == "cart")
            #expect((2...500).contains(preview["series"]?.elements.count ?? 0))
            let arms = preview["arms"]?.elements ?? []
            #expect(arms.compactMap { $0["name"]?.text } == ["proposed", "current", "hpa"])
            let short = arms.compactMap { $0["shortageShare"]?.number }
            // Three replicas carry 120 of up to 180: a third of the time is short; nine carry everything.
            #expect(short[0] < 0.02)
            #expect((0.35...0.5).contains(short[1]))
            #expect(short[2] < 0.1)
            for arm in arms {
                let hours = try #require(arm["unitHours"]?.number)
                #expect((try #require(arm["cost"]?.number) - hours / 2).magnitude < 1e-6)
            }
            #expect(try await ask(.post, "/v1/policies/x/preview", body: #"{"match":{"resource":"no"}}"#).status == 409)
        }
    }
}
