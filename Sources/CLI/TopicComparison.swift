import Kafka
import Topology

/// One topic as its file wants it and as the broker has it.
package struct TopicComparison: Sendable, Equatable {
    /// What `topics apply` and `topics check` say about it.
    package enum State: String, Sendable {
        case created, agrees, differs, missing
    }

    /// One field in which the two differ.
    package struct Difference: Sendable, Equatable {
        package let field: String
        package let wanted: String
        package let found: String
    }

    package let file: TopicFile
    package let brokerName: String
    package var state: State
    package var found: TopicDescription?
    /// Nil where the broker does not tell a topic's settings.
    package var settings: [TopicSetting]?
    package var differences: [Difference] = []

    /// Compares; `found` is nil where the broker has no such topic. Throws what is wrong with the file.
    package init(
        file: TopicFile, brokerName: String, found: TopicDescription?, settings: [TopicSetting]?
    ) throws(TopicFileError) {
        self.file = file
        self.brokerName = brokerName
        self.found = found
        self.settings = settings
        guard let found else {
            state = .missing
            return
        }
        if found.partitions.count != file.partitions {
            differences.append(
                Difference(field: "partitions", wanted: "\(file.partitions)", found: "\(found.partitions.count)"))
        }
        for wanted in try file.brokerSettings() {
            guard let settings else { break }
            let value = settings.first { $0.name == wanted.name }?.value
            if !Self.same(wanted.value, value) {
                differences.append(Difference(field: wanted.name, wanted: wanted.value, found: value ?? "not told"))
            }
        }
        state = differences.isEmpty ? .agrees : .differs
    }

    /// Equal as the broker reads them: numbers by value, lists in any order.
    static func same(_ wanted: String, _ found: String?) -> Bool {
        guard let found else { return false }
        if wanted == found { return true }
        if let a = Double(wanted), let b = Double(found) { return a == b }
        func parts(_ list: String) -> [String] { list.split(separator: ",").map { $0.filter { $0 != " " } }.sorted() }
        return parts(wanted) == parts(found)
    }

    /// Reports for one topic, without the state.
    package var explanation: String {
        switch state {
        case .missing: return "not on the broker"
        case .created, .agrees:
            return settings == nil ? "this broker does not tell settings, only the partitions were compared" : ""
        case .differs:
            return differences.map { "\($0.field): file \($0.wanted), broker \($0.found)" }.joined(separator: "; ")
        }
    }
}
