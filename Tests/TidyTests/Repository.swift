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
