import Foundation
import Topology
import Yams

/// Reads `topics/*.yaml`.
package enum TopicFiles {
    /// Every topic's file in a directory, by name. Throws a one-line reason that names the file.
    package static func read(directory: String) throws(TopicFileError) -> [TopicFile] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw TopicFileError(
                "cannot read the directory '\(directory)' with the topics' files; name it with --topics DIR")
        }
        var files: [TopicFile] = []
        for name in names.sorted() where name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
            files.append(try read(path: directory + "/" + name))
        }
        guard !files.isEmpty else {
            throw TopicFileError("no topic's file (*.yaml) in '\(directory)'; name the directory with --topics DIR")
        }
        return files
    }

    /// One file.
    package static func read(path: String) throws(TopicFileError) -> TopicFile {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw TopicFileError("cannot read '\(path)'")
        }
        let file = try decode(String(decoding: data, as: UTF8.self), path: path)
        let stem = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        guard file.name == stem else {
            throw TopicFileError("'\(path)' is about topic '\(file.name)'; the file and the topic have the same name")
        }
        return file
    }

    /// Text of a file; `path` is for the reason of an error. Unknown fields are errors, as they are mostly misspelt.
    package static func decode(_ text: String, path: String) throws(TopicFileError) -> TopicFile {
        do {
            let content = try YAMLDecoder().decode(Content.self, from: text)
            if let unknown = try YAMLDecoder().decode([String: Anything].self, from: text).keys.sorted().first(
                where: { Content.CodingKeys(rawValue: $0) == nil })
            {
                throw TopicFileError("'\(path)': unknown field '\(unknown)'")
            }
            return content.file
        } catch let error as TopicFileError {
            throw error
        } catch let error as DecodingError {
            throw TopicFileError("'\(path)': \(explain(error))")
        } catch {
            throw TopicFileError("'\(path)': \(oneLine(String(describing: error)))")
        }
    }

    private static func explain(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, _): return "field '\(key.stringValue)' is missing"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            return "field '\(path(context))' is not of type \(type)"
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            let cause = context.underlyingError.map { oneLine(String(describing: $0)) }
            return "not YAML: \(cause ?? oneLine(context.debugDescription))"
        case .dataCorrupted(let context): return "field '\(path(context))': \(oneLine(context.debugDescription))"
        @unknown default: return oneLine(String(describing: error))
        }
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}

/// A field of any type, for its name only.
private struct Anything: Decodable {
    init(from decoder: any Decoder) throws {}
}

/// The fields as they stand in the file.
private struct Content: Decodable {
    var name: String
    var description: String
    var optional: Bool?
    var epoch: Int
    var key: String
    var partitions: Int
    var cleanup: String
    var retention: Scalar?
    var settings: [String: Scalar]?
    var schema: String
    var writers: [String]
    var readers: [String]

    enum CodingKeys: String, CodingKey {
        case name, description, optional, epoch, key, partitions, cleanup, retention, settings, schema, writers, readers
    }

    var file: TopicFile {
        TopicFile(
            name: name, description: description, epoch: epoch, key: key, partitions: partitions, cleanup: cleanup,
            retention: retention?.text, settings: (settings ?? [:]).map { TopicFile.Setting($0.key, $0.value.text) },
            schema: schema, writers: writers, readers: readers, isOptional: optional ?? false)
    }
}

/// A string, number or truth value, as its text: settings of Kafka are text.
private struct Scalar: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let integer = try? container.decode(Int64.self) {
            text = String(integer)
        } else {
            text = try container.decode(String.self)
        }
    }
}
