import Messages
import Normalization
import Yams

/// What `--resources` says: `resources: [{id, class, tags: {}, metrics: {NAME: {unit, kind, role, capacityPerUnit}}}]`.
package struct ResourcesFile {
    /// One resource.
    package struct Resource {
        package var id = ""
        package var resourceClass = ""
        package var tags: [(key: String, value: String)] = []
        package var metrics: [Metric] = []
    }

    /// One metric of a resource.
    package struct Metric {
        package var name: String
        package var reading: MetricReading
        /// What one replica carries, in canonical units.
        package var capacityPerUnit: Double?
    }

    /// In the order of the file.
    package private(set) var resources: [Resource] = []
    private var byID: [String: Int] = [:]

    package init(path: String) throws(BacktestError) {
        let file = try YAMLFile(path: path)
        for node in try file.list("resources") {
            let resource = try Self.resource(node, file)
            guard byID[resource.id] == nil else { throw file.fault("\"\(resource.id)\" stands twice", at: node) }
            byID[resource.id] = resources.count
            resources.append(resource)
        }
    }

    /// The declaration of a resource, or nil.
    package func find(_ id: String) -> Resource? { byID[id].map { resources[$0] } }

    private static func resource(_ node: Node, _ file: YAMLFile) throws(BacktestError) -> Resource {
        var resource = Resource()
        for (key, value) in try file.pairs(node) {
            switch key {
            case "id": resource.id = try file.text(value)
            case "class": resource.resourceClass = try file.text(value)
            case "tags":
                for (tag, word) in try file.pairs(value) { resource.tags.append((tag, try file.text(word))) }
            case "metrics":
                for (name, inner) in try file.pairs(value) {
                    resource.metrics.append(try metric(name, inner, file))
                }
            default: throw file.fault("unknown key \"\(key)\"; known are id, class, tags, metrics", at: value)
            }
        }
        guard !resource.id.isEmpty else { throw file.fault("a resource without id", at: node) }
        return resource
    }

    private static func metric(_ name: String, _ node: Node, _ file: YAMLFile) throws(BacktestError) -> Metric {
        var unit: String?
        var role: MetricRole?
        var isCounter: Bool?
        var capacity: Double?
        for (key, value) in node.null != nil ? [] : try file.pairs(node) {
            switch key {
            case "unit": unit = try file.text(value)
            case "kind":
                let word = try file.text(value)
                guard word == "gauge" || word == "counter" else {
                    throw file.fault("kind is \"\(word)\"; gauge or counter is expected", at: value)
                }
                isCounter = word == "counter"
            case "role":
                let word = try file.text(value)
                guard let found = MetricRole(text: word) else {
                    throw file.fault("role is \"\(word)\"; known are \(MetricRole.words)", at: value)
                }
                role = found
            case "capacityPerUnit":
                capacity = try file.number(value)
                guard capacity ?? 0 > 0 else { throw file.fault("capacityPerUnit is not above 0", at: value) }
            default:
                throw file.fault("unknown key \"\(key)\"; known are unit, kind, role, capacityPerUnit", at: value)
            }
        }
        let reading = MetricReading(name: name, unit: unit, role: role, isCounter: isCounter ?? false)
        guard unit == nil || !reading.isUnknownUnit else {
            throw file.fault("unit \"\(unit ?? "")\" of \(name) is not understood", at: node)
        }
        return Metric(name: name, reading: reading, capacityPerUnit: capacity.map { reading.canonical($0) })
    }
}

/// What `--policies` says: `policies: [{name, match, …}]` with the keys of a policy record, such a list alone, or one
/// policy alone as `twinscale policy get` prints it.
package struct PoliciesFile {
    /// One policy, as JSON for the decider.
    package struct Policy {
        package var name: String
        package var version: Double
        package var json: [UInt8]
        /// Line of the file, for messages.
        package var line: Int
        package var decisionIntervalSeconds: Double?
        package var provisioningDelaySeconds: Double?
        fileprivate var match: [(key: String, word: String)] = []

        /// Whether the policy is for this resource, more specific ones aside. A resource lives where its cluster is.
        func matches(_ id: String, _ declared: ResourcesFile.Resource?) -> Bool {
            match.allSatisfy { key, word in
                switch key {
                case "resource": word == id
                case "class": word == declared?.resourceClass
                case "locality": declared?.tags.contains { $0.key == "cluster" && $0.value == word } ?? false
                default: declared?.tags.contains { "tags.\($0.key)" == key && $0.value == word } ?? false
                }
            }
        }
    }

    package private(set) var policies: [Policy] = []
    /// Keys whose values are names, and so text even where they look like numbers.
    private static let nameKeys = ["name", "metric", "resource", "class", "locality", "tags"]

    /// - Parameter resources: where a policy names no capacity, what is declared there for its metric counts.
    package init(path: String, resources: ResourcesFile? = nil) throws(BacktestError) {
        let file = try YAMLFile(path: path)
        let isAlone = file.root.mapping.map { $0["policies"] == nil } ?? false
        for node in isAlone ? [file.root] : try file.list("policies") {
            var policy = Policy(name: "", version: 1, json: [], line: node.mark?.line ?? 0)
            var hasCapacity = false
            var metric: String?
            for (key, value) in try file.pairs(node) {
                switch key {
                case "name": policy.name = try file.text(value)
                case "version": policy.version = try file.number(value)
                case "metric": metric = try file.text(value)
                case "capacityPerReplica": hasCapacity = true
                case "decisionIntervalSeconds": policy.decisionIntervalSeconds = try file.number(value)
                case "provisioningDelaySeconds": policy.provisioningDelaySeconds = try file.number(value)
                case "match": policy.match = try Self.match(value, file)
                default: continue
                }
            }
            if policy.name.isEmpty, isAlone { policy.name = Self.stem(path) }
            guard !policy.name.isEmpty else { throw file.fault("a policy without name", at: node) }
            let repeated = policies.contains { $0.name == policy.name }
            guard !repeated else { throw file.fault("policy \"\(policy.name)\" stands twice", at: node) }
            let resource = policy.match.first { $0.key == "resource" }?.word
            let declared = hasCapacity ? nil : resource.flatMap { resources?.find($0) }
            policy.json = try Self.json(node, capacity: Self.capacity(declared, metric), file)
            policies.append(policy)
        }
    }

    private static func match(_ node: Node, _ file: YAMLFile) throws(BacktestError) -> [(key: String, word: String)] {
        var match: [(key: String, word: String)] = []
        for (key, value) in try file.pairs(node) where value.null == nil {
            guard value.mapping != nil else {
                match.append((key, try file.text(value)))
                continue
            }
            for (inner, word) in try file.pairs(value) { match.append(("\(key).\(inner)", try file.text(word))) }
        }
        return match
    }

    /// `shop` of `policies/shop.json`.
    private static func stem(_ path: String) -> String {
        let file = path.split(separator: "/").last ?? ""
        return String(file.split(separator: ".").first ?? "")
    }

    private static func capacity(_ resource: ResourcesFile.Resource?, _ metric: String?) -> Double? {
        let declared = resource?.metrics.filter { $0.capacityPerUnit != nil } ?? []
        if let metric { return declared.first { $0.name == metric }?.capacityPerUnit }
        return declared.count == 1 ? declared[0].capacityPerUnit : nil
    }

    fileprivate static func json(_ node: Node, capacity: Double?, _ file: YAMLFile) throws(BacktestError) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        for (key, value) in try file.pairs(node) {
            writer.key(key)
            try file.write(value, into: &writer, names: nameKeys, isName: nameKeys.contains(key))
        }
        if let capacity {
            writer.key("capacityPerReplica")
            writer.double(capacity)
        }
        writer.endObject()
        return writer.bytes
    }
}

/// One policy in a file of its own, in YAML or JSON (which is YAML, too).
package enum PolicyText {
    /// The policy as JSON; whether it is a good one is not looked at.
    package static func json(path: String) throws(BacktestError) -> [UInt8] {
        let file = try YAMLFile(path: path)
        return try PoliciesFile.json(file.root, capacity: nil, file)
    }
}
