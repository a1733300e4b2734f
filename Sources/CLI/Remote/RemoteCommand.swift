import ArgumentParser
import Topology
import Views

/// A subcommand that asks twin-api and prints what it says.
protocol RemoteCommand: AsyncParsableCommand {
    var server: ServerOptions { get }
    /// Asks, and says what is to be printed.
    func answer(_ remote: Remote) async throws -> Printout
}

extension RemoteCommand {
    /// Prints the answer, or the reason why there is none.
    func run() async throws {
        do {
            let text = try await output()
            if !text.isEmpty { print(text) }
        } catch let error as ToolError {
            throw error.exit
        }
    }

    /// What is printed, without the last line end.
    func output() async throws -> String {
        try await Remote.with(server) { try await answer($0) }.text(json: server.json)
    }
}

/// What a subcommand prints: JSON for programs, text for people.
enum Printout: Sendable {
    /// A column of a table.
    struct Column: Sendable {
        let title: String
        let cell: @Sendable (JSONValue) -> String

        init(_ title: String, _ cell: @escaping @Sendable (JSONValue) -> String) {
            self.title = title
            self.cell = cell
        }

        /// The value at a path of members.
        init(_ title: String, at path: String...) {
            self.init(title) { $0.at(path).cell }
        }
    }

    /// A list; `none` is said of an empty one.
    case table([JSONValue], [Column], none: String, hasMore: Bool = false)
    /// One thing, and its lines.
    case page(JSONValue, [String])
    /// One thing, for people as it is, indented.
    case tree(JSONValue)

    func text(json: Bool) -> String {
        switch self {
        case .table(let items, _, _, _) where json: items.map(\.line).joined(separator: "\n")
        case .page(let value, _) where json: value.line
        case .tree(let value) where json: value.line
        case .table([], _, let none, _): none
        case .table(let items, let columns, _, let hasMore):
            (Self.rows(items, columns) + (hasMore ? ["", "there are more; see --limit"] : [])).joined(separator: "\n")
        case .page(_, let lines): lines.joined(separator: "\n")
        case .tree(let value): value.indented
        }
    }

    /// Lines of a table with its titles.
    static func rows(_ items: [JSONValue], _ columns: [Column]) -> [String] {
        Topology.aligned([columns.map(\.title)] + items.map { item in columns.map { $0.cell(item) } })
    }

    /// Names and values in two columns; what is not known is left out.
    static func facts(_ facts: [(String, String)]) -> [String] {
        Topology.aligned(facts.filter { $0.1 != "-" }.map { [$0.0, $0.1] })
    }

    /// A table below a title; nothing if it is empty.
    static func section(_ title: String, _ items: [JSONValue], _ columns: [Column]) -> [String] {
        items.isEmpty ? [] : ["", title] + rows(items, columns).map { "  " + $0 }
    }
}

extension JSONValue {
    /// The member at a path; nil where one is missing.
    func at(_ path: [String]) -> JSONValue? {
        path.reduce(self as JSONValue?) { value, name in value?[name] }
    }

    /// The value as one line of JSON.
    var line: String { String(decoding: bytes, as: UTF8.self) }

    /// The value as JSON with a member a line.
    var indented: String { indented(at: 0) }

    private func indented(at depth: Int) -> String {
        let (outer, inner) = (String(repeating: "  ", count: depth), String(repeating: "  ", count: depth + 1))
        switch self {
        case .object(let members) where !members.isEmpty:
            let lines = members.map { "\(inner)\(JSONValue.string($0.name).line): \($0.value.indented(at: depth + 1))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(outer)}"
        case .array(let elements) where !elements.isEmpty:
            return "[\n" + elements.map { inner + $0.indented(at: depth + 1) }.joined(separator: ",\n") + "\n\(outer)]"
        default: return line
        }
    }
}

extension JSONValue? {
    /// For a table: text made safe for a terminal, numbers short, `-` for what is not known.
    var cell: String {
        switch self {
        case .string(let text)?: text.isEmpty ? "-" : printable(text, bytesMax: 400)
        case .number(let number)?: EntryFields.short(number)
        case .bool(let flag)?: flag ? "yes" : "no"
        case .array(let elements)?:
            elements.isEmpty ? "-" : elements.map { ($0 as JSONValue?).cell }.joined(separator: ", ")
        case .object(let members)?: printable(JSONValue.object(members).line, bytesMax: 400)
        case .null?, nil: "-"
        }
    }

    /// A ratio in per cent.
    var percent: String {
        self?.number.map { "\(EntryFields.short(($0 * 1_000).rounded() / 10)) %" } ?? "-"
    }

    /// Seconds as a span of time.
    var span: String { self?.number.map { StatusCommand.age($0) } ?? "-" }

    /// `name:value` of every member of an object.
    var tags: String {
        let tags = self?.members ?? []
        return tags.isEmpty ? "-" : tags.map { printable("\($0.name):\($0.value.text ?? "")") }.joined(separator: " ")
    }
}
