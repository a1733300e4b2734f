import Messages
import Yams

/// A YAML file as a tree, with errors that name the line.
struct YAMLFile {
    /// A larger file is refused.
    static let bytesMax = 16 * 1_024 * 1_024

    let path: String
    let root: Node

    init(path: String) throws(BacktestError) {
        self.path = path
        let file = try InputFile(path: path)
        var bytes: [UInt8] = []
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { room.deallocate() }
        while true {
            let count = try file.read(into: room)
            if count == 0 { break }
            bytes.append(contentsOf: room[0..<count])
            guard bytes.count <= Self.bytesMax else {
                throw BacktestError(.limit, "\(path) is larger than \(Self.bytesMax) bytes")
            }
        }
        let composed: Node?
        do {
            composed = try compose(yaml: String(decoding: bytes, as: UTF8.self))
        } catch {
            let text = String(describing: error).split(separator: "\n").map { String($0) }.joined(separator: " ")
            throw BacktestError(.format, "\(path) is not yaml: \(text)")
        }
        guard let composed else { throw BacktestError(.format, "\(path) is empty") }
        root = composed
    }

    /// An error at a node.
    func fault(_ text: String, at node: Node) -> BacktestError {
        let place = node.mark.map { ", line \($0.line)" } ?? ""
        return BacktestError(.format, "\(path)\(place): \(text)")
    }

    /// The entries of a list that stands under `key`, or is the whole file.
    func list(_ key: String) throws(BacktestError) -> [Node] {
        if let sequence = root.sequence { return Array(sequence) }
        guard let mapping = root.mapping else { throw fault("\"\(key):\" with a list is expected", at: root) }
        for (name, _) in mapping where name.string != key {
            throw fault("unknown key \"\(name.string ?? "")\"; \"\(key):\" is expected", at: name)
        }
        guard let node = mapping[key] else { throw fault("\"\(key):\" with a list is expected", at: root) }
        if node.null != nil { return [] }
        guard let sequence = node.sequence else { throw fault("\"\(key)\" is not a list", at: node) }
        return Array(sequence)
    }

    /// The pairs of a mapping, in the order of the file, with keys as text.
    func pairs(_ node: Node) throws(BacktestError) -> [(key: String, value: Node)] {
        guard let mapping = node.mapping else { throw fault("a mapping is expected", at: node) }
        var pairs: [(key: String, value: Node)] = []
        for (key, value) in mapping {
            guard let name = key.string ?? key.scalar?.string else { throw fault("a key that is no word", at: key) }
            pairs.append((name, value))
        }
        return pairs
    }

    /// A scalar as text, whatever YAML takes it for (`007`, `yes`).
    func text(_ node: Node) throws(BacktestError) -> String {
        guard let scalar = node.scalar else { throw fault("a word is expected", at: node) }
        return scalar.string
    }

    func number(_ node: Node) throws(BacktestError) -> Double {
        guard let value = node.float ?? node.int.map({ Double($0) }), value.isFinite else {
            throw fault("a number is expected", at: node)
        }
        return value
    }

    /// Writes a node as JSON. Values under keys in `names` are names, and so text even where they look like numbers.
    func write(
        _ node: Node, into writer: inout JSONWriter, names: [String], isName: Bool = false, depth: Int = 0
    ) throws(BacktestError) {
        guard depth < 16, writer.byteCount < 1_048_576 else {
            throw fault("nested too deeply, or too long", at: node)
        }
        if node.mapping != nil {
            writer.beginObject()
            for (key, value) in try pairs(node) {
                writer.key(key)
                // Under `tags` every value is a name.
                let inner = names.contains(key) || (isName && key != "tags")
                try write(value, into: &writer, names: names, isName: inner, depth: depth + 1)
            }
            writer.endObject()
        } else if let sequence = node.sequence {
            writer.beginArray()
            for value in sequence {
                try write(value, into: &writer, names: names, isName: isName, depth: depth + 1)
            }
            writer.endArray()
        } else if isName {
            writer.string(try text(node))
        } else if node.null != nil {
            writer.null()
        } else if let value = node.bool {
            writer.bool(value)
        } else if let value = node.int {
            writer.int(value)
        } else if let value = node.float {
            writer.double(value)
        } else {
            writer.string(try text(node))
        }
    }
}
