import Foundation

/// One Swift file of the package.
struct SourceFile: Sendable {
    /// From the package's folder on.
    let path: String
    /// The target's folder: the second component of the path.
    let module: String
    let isTest: Bool
    /// As they stand.
    let lines: [String]
    /// With comments and strings blanked out.
    let code: [String]

    init(path: String, bytes: [UInt8]) {
        self.path = path
        let parts = path.split(separator: "/")
        module = parts.count > 1 ? String(parts[1]) : ""
        isTest = path.hasPrefix("Tests/")
        lines = Self.split(bytes)
        code = Self.split(Blanker.blank(bytes))
    }

    private static func split(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// The modules that it imports, each with the index of its line.
    var imports: [(line: Int, module: String)] {
        code.indices.compactMap { index in
            let words = code[index].split(separator: " ")
            let access = ["package", "internal", "private", "fileprivate"]
            guard let at = words.firstIndex(of: "import"),
                words[..<at].allSatisfy({ access.contains(String($0)) || $0.hasPrefix("@") })
            else { return nil }
            let kinds: [Substring] = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]
            return words[(at + 1)...].first { !kinds.contains($0) }.map { (index, String($0.prefix { $0 != "." })) }
        }
    }

    /// `path:line: text`, as editors read it.
    func place(_ index: Int, _ text: String) -> String { "\(path):\(index + 1): \(text)" }
}

/// The package's folder, read once.
enum Repository {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static let files: [SourceFile] = ["Sources", "Tests"].flatMap { folder -> [SourceFile] in
        let names = FileManager.default.enumerator(atPath: root.appendingPathComponent(folder).path)
        let paths = (names?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }.sorted()
        return paths.compactMap { path in
            let data = FileManager.default.contents(atPath: root.appendingPathComponent("\(folder)/\(path)").path)
            return data.map { SourceFile(path: "\(folder)/\(path)", bytes: Array($0)) }
        }
    }

    static var sources: [SourceFile] { files.filter { !$0.isTest } }

    /// The targets of Package.swift, each with what it names as its dependencies.
    static func dependencies() throws -> [(target: String, modules: [String])] {
        let package = try String(contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8)
        let targets = package.components(separatedBy: "\n    targets: [").last ?? ""
        let starts = ["library(", "executable(", "tests(", ".target(", ".systemLibrary("]
        var blocks: [[String]] = []
        for line in targets.components(separatedBy: "\n") {
            if starts.contains(where: { line.hasPrefix("        " + $0) }) { blocks.append([]) }
            if !blocks.isEmpty { blocks[blocks.count - 1].append(line) }
        }
        return blocks.map { lines in
            let text = lines.joined(separator: "\n")
            let quoted = text.components(separatedBy: "\"").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
            let name = (quoted.first ?? "") + (text.hasPrefix("        tests(") ? "Tests" : "")
            return (name, quoted.dropFirst() + (text.contains("+ stages") ? Rules.stages : []))
        }
    }

    static func folders(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent(folder).path).sorted()
    }
}

extension String {
    /// Positions at which `word` stands with no letter, digit or `_` before it, nor after it where it ends in one.
    func positions(ofWord word: String) -> [Int] {
        let text = Array(utf8)
        let word = Array(word.utf8)
        guard let first = word.first, let last = word.last, text.count >= word.count else { return [] }
        var found: [Int] = []
        for start in 0...(text.count - word.count) where text[start] == first {
            guard text[start..<(start + word.count)].elementsEqual(word) else { continue }
            let end = start + word.count
            if start > 0, Self.isWord(text[start - 1]), Self.isWord(first) { continue }
            if end < text.count, Self.isWord(text[end]), Self.isWord(last) { continue }
            found.append(start)
        }
        return found
    }

    static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 128...:
            true
        default: false
        }
    }
}
