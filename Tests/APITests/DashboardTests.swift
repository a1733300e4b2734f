import Foundation
import HTTPTypes
import Testing

@testable import API

/// The files that browsers get. What they do there, the tests in Tests/Browser show.
@Suite struct DashboardTests {
    private static let folder = TestServer.sources.appendingPathComponent("Dashboard")

    private static func files() throws -> StaticFiles { try StaticFiles(folder: folder.path) }

    /// Paths of all scripts from the dashboard's folder on, with their text.
    private static func scripts() throws -> [(path: String, text: String)] {
        let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return try names.filter { $0.hasSuffix(".js") }.sorted().map { name in
            (name, try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8))
        }
    }

    @Test func theFirstPageAllowsOwnScriptsOnly() async throws {
        try await TestServer(files: Self.files()).test { (ask) async throws in
            for path in ["/", "/index.html"] {
                let page = try await ask(.get, path)
                #expect(page.status == 200)
                #expect(page.headers[.contentType] == "text/html; charset=utf-8")
                let policy = try #require(page.headers[.contentSecurityPolicy])
                #expect(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"))
                #expect(!policy.contains("unsafe"))
            }
        }
    }

    @Test func everyScriptThatIsAskedForIsThere() throws {
        let files = try Self.files()
        let scripts = try Self.scripts()
        #expect(scripts.count > 10)
        for (path, text) in scripts {
            let base = URL(fileURLWithPath: "/" + path).deletingLastPathComponent()
            for match in text.matches(of: /from "(\.[^"]+)"/) {
                let wanted = base.appendingPathComponent(String(match.1)).standardizedFileURL.path
                #expect(files[String(wanted.dropFirst())] != nil, "\(path) imports \(match.1)")
            }
        }
    }

    /// Names and tags come from anybody: they may become text, never markup or code.
    @Test func noScriptMakesMarkupOfText() throws {
        let banned = [
            "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", ".html(", "eval(", "new Function",
            "setAttribute(\"style\"", "javascript:", "srcdoc",
        ]
        for (path, text) in try Self.scripts() {
            for word in banned { #expect(!text.contains(word), "\(path) uses \(word)") }
        }
        let index = try String(contentsOf: Self.folder.appendingPathComponent("index.html"), encoding: .utf8)
        #expect(!index.contains("style=") && !index.contains("<style") && !index.contains(" on"))
        #expect(index.matches(of: /<script(?! src=)/).isEmpty, "a script stands in the page itself")
    }

    @Test func theDrawingLibraryIsServedFromItsPackage() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("d3-\(UUID().uuidString).js")
        try Data("d3 = {}".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        var files = try Self.files()
        let missing = files.add(script: "lib/d3.min.js", from: file.path + ".not")
        let found = files.add(script: "lib/d3.min.js", from: file.path)
        #expect(!missing && found)
        let served = files
        try await TestServer(files: served).test { (ask) async throws in
            let script = try await ask(.get, "/lib/d3.min.js")
            #expect(script.status == 200)
            #expect(script.text == "d3 = {}")
            #expect(script.headers[.contentType] == "text/javascript; charset=utf-8")
        }
    }
}
