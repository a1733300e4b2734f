import Foundation
import Yams

/// A value as it was written somewhere.
struct WrittenValue: Sendable, Equatable {
    var text: String
    /// Where, for people: `twinscale.yaml`, `TWINSCALE_PARTITIONS`, `--partitions`.
    var origin: String
}

/// Everything that was configured, by source, still as text; the sources lie over each other in the order file,
/// environment, command line.
package struct ConfigurationSources: Sendable {
    /// What the command line asks for instead of running.
    package enum Request: Sendable, Equatable {
        case run, version, printConfiguration
        case help(isWhole: Bool)
    }

    /// Bytes of a configuration file at most.
    static let fileBytesMax = 1 << 20

    /// Sections of programs that are no stages: skipped by all others.
    static let otherSections = ["api"]

    package private(set) var request = Request.run
    private(set) var filePath: String?
    private(set) var file: [String: WrittenValue] = [:]
    private(set) var environment: [String: WrittenValue] = [:]
    private(set) var arguments: [String: WrittenValue] = [:]
    /// librdkafka's properties, in the order in which the sources give them; later ones win.
    private(set) var kafka: [(name: String, value: WrittenValue)] = []
    /// Variables that begin like ours and are none: not an error, as orchestrators invent such names.
    package private(set) var ignoredEnvironment: [String] = []

    /// - Parameters:
    ///   - keys: what is known; everything else in the file or on the command line is refused.
    ///   - stage: which of the file's `stages.NAME` sections is ours.
    package init(
        keys: [ConfigurationKey], stage: String, stages: [String], arguments: [String], environment: [String: String],
        readFile: (String) throws -> String = ConfigurationSources.read
    ) throws(ConfigurationError) {
        var parsed = ParsedArguments()
        try parsed.parse(arguments, keys: keys)
        request = parsed.request
        filePath = parsed.file ?? environment["TWINSCALE_CONFIG"]
        if let filePath {
            let content: String
            do {
                content = try readFile(filePath)
            } catch {
                throw Self.unreadable(filePath, error)
            }
            let origin = filePath.split(separator: "/").last.map(String.init) ?? filePath
            try takeFile(content, origin: origin, keys: keys, stage: stage, stages: stages)
        }
        takeEnvironment(environment, keys: keys)
        self.arguments = parsed.values
        kafka += parsed.kafka
    }

    /// Reads a whole file as UTF-8.
    package static func read(_ path: String) throws -> String {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        let data = try handle.read(upToCount: fileBytesMax + 1) ?? Data()
        try handle.close()
        guard data.count <= fileBytesMax else {
            throw ConfigurationError("it is larger than \(fileBytesMax) bytes")
        }
        return String(decoding: data, as: UTF8.self)
    }

    private static func unreadable(_ path: String, _ error: any Error) -> ConfigurationError {
        let name = "the configuration file '\(path)'"
        if let error = error as? ConfigurationError {
            return ConfigurationError("\(name) cannot be read: \(error.reason)")
        }
        switch (error as? CocoaError)?.code {
        case .fileReadNoSuchFile?, .fileNoSuchFile?:
            return ConfigurationError("\(name) does not exist", hint: "check --config or TWINSCALE_CONFIG")
        case .fileReadNoPermission?:
            return ConfigurationError("\(name) may not be read", hint: "check its owner and mode")
        default: return ConfigurationError("\(name) cannot be read", hint: "is it a file?")
        }
    }

    // MARK: the file

    private mutating func takeFile(
        _ content: String, origin: String, keys: [ConfigurationKey], stage: String, stages: [String]
    ) throws(ConfigurationError) {
        let flat = try Self.flatten(content, origin: origin)
        let names = keys.map(\.name)
        for (name, text) in flat {
            if name.hasPrefix("kafka.") {
                kafka.append((String(name.dropFirst(6)), WrittenValue(text: text, origin: origin)))
                continue
            }
            var name = name
            if name.hasPrefix("stages.") {
                let section = name.dropFirst(7).prefix { $0 != "." }
                guard stages.contains(String(section)) else {
                    throw Self.unknown("stages.\(section)", in: origin, among: stages.map { "stages.\($0)" })
                }
                // One file may serve all five stages; each takes its own section.
                guard section == stage else { continue }
                name = "stage" + name.dropFirst(7 + section.count)
            }
            let section = name.prefix { $0 != "." }
            if Self.otherSections.contains(String(section)), !names.contains(where: { $0.hasPrefix("\(section).") }) {
                continue
            }
            guard names.contains(name) else {
                throw Self.unknown(name, in: origin, among: names + ["kafka", "stages"])
            }
            file[name] = WrittenValue(text: text, origin: origin)
        }
    }

    private static func unknown(_ name: String, in origin: String, among names: [String]) -> ConfigurationError {
        let hint = nearest(to: name, among: names).map { "did you mean '\($0)'?" } ?? "see --help for all keys"
        return ConfigurationError("unknown key '\(name)' in \(origin)", hint: hint)
    }

    private static func flatten(_ content: String, origin: String) throws(ConfigurationError) -> [(String, String)] {
        let root: Node?
        do {
            root = try Yams.compose(yaml: content)
        } catch {
            throw ConfigurationError(
                "\(origin) is not valid YAML: \(YAMLFault.text(error, in: content))",
                hint: "check indentation, colons and quotes there")
        }
        guard let root, root.tag != Tag(.null) else { return [] }
        guard root.mapping != nil else { throw ConfigurationError("\(origin) must hold keys and values") }
        var flat: [(String, String)] = []
        try flatten(root, path: "", origin: origin, depth: 0, into: &flat)
        return flat
    }

    private static func flatten(
        _ node: Node, path: String, origin: String, depth: Int, into flat: inout [(String, String)]
    ) throws(ConfigurationError) {
        guard depth < 16, flat.count < 10_000 else { throw ConfigurationError("\(origin) is nested too deeply") }
        switch node {
        case .mapping(let mapping):
            for (key, value) in mapping {
                guard let name = key.scalar?.string else {
                    throw ConfigurationError("a key under '\(path)' in \(origin) is not a name")
                }
                try flatten(
                    value, path: path.isEmpty ? name : "\(path).\(name)", origin: origin, depth: depth + 1, into: &flat)
            }
        case .sequence(let sequence):
            let texts = sequence.compactMap { $0.scalar?.string }
            guard texts.count == sequence.count else {
                throw ConfigurationError("key '\(path)' in \(origin) must be a list of plain values")
            }
            flat.append((path, texts.joined(separator: ",")))
        case .scalar(let scalar):
            // An empty value is the same as none.
            if node.tag != Tag(.null) { flat.append((path, scalar.string)) }
        case .alias:
            throw ConfigurationError("key '\(path)' in \(origin) is an alias, which is not supported here")
        }
    }

    // MARK: the environment

    /// The file, and what the command line tool reads, which people export for a whole shell.
    private static let otherVariables = ["TWINSCALE_CONFIG", "TWINSCALE_SERVER", "TWINSCALE_TOKEN", "TWINSCALE_CA"]

    private mutating func takeEnvironment(_ variables: [String: String], keys: [ConfigurationKey]) {
        let names = Dictionary(keys.map { ($0.environmentName, $0.name) }, uniquingKeysWith: { first, _ in first })
        for (variable, text) in variables.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("TWINSCALE_") {
            let written = WrittenValue(text: text, origin: variable)
            if let name = names[variable] {
                environment[name] = written
            } else if variable.hasPrefix("TWINSCALE_KAFKA_") {
                let property = variable.dropFirst(16).lowercased().replacing("_", with: ".")
                kafka.append((property, written))
            } else if !Self.otherVariables.contains(variable) {
                ignoredEnvironment.append(variable)
            }
        }
    }
}

/// The command line, taken apart.
private struct ParsedArguments {
    var request = ConfigurationSources.Request.run
    var file: String?
    var values: [String: WrittenValue] = [:]
    var kafka: [(name: String, value: WrittenValue)] = []

    mutating func parse(_ arguments: [String], keys: [ConfigurationKey]) throws(ConfigurationError) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let option = parts[0]
            let attached = parts.count > 1 ? parts[1] : nil
            switch option {
            case "--help", "-h": request = .help(isWhole: false)
            case "--help-hidden": request = .help(isWhole: true)
            case "--version": request = .version
            case "--print-config": request = .printConfiguration
            case "--config": file = try Self.value(of: option, attached, &rest)
            case "--kafka": try takeKafka(try Self.value(of: option, attached, &rest))
            default: try take(option, attached, &rest, keys: keys)
            }
        }
    }

    private mutating func take(
        _ option: String, _ attached: String?, _ rest: inout ArraySlice<String>, keys: [ConfigurationKey]
    ) throws(ConfigurationError) {
        if let key = keys.first(where: { $0.option == option }) {
            let text = key.kind == .flag ? attached ?? "true" : try Self.value(of: option, attached, &rest)
            values[key.name] = WrittenValue(text: text, origin: option)
            return
        }
        let options =
            keys.map(\.option)
            + ["--config", "--kafka", "--print-config", "--help", "--help-hidden", "--version"]
        let hint = nearest(to: option, among: options).map { "did you mean '\($0)'?" } ?? "see --help"
        throw ConfigurationError("unknown option '\(option)'", hint: hint)
    }

    private mutating func takeKafka(_ text: String) throws(ConfigurationError) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw ConfigurationError("option '--kafka' needs a property", hint: "write --kafka name=value")
        }
        kafka.append((parts[0], WrittenValue(text: parts[1], origin: "--kafka")))
    }

    private static func value(
        of option: String, _ attached: String?, _ rest: inout ArraySlice<String>
    ) throws(ConfigurationError) -> String {
        if let attached { return attached }
        guard let next = rest.popFirst() else { throw ConfigurationError("option '\(option)' needs a value") }
        return next
    }
}
