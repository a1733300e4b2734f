import Messages
import TwinCore

extension Topology {
    /// The page as a table of topics and a list of arrows.
    package static var text: String {
        var rows = [["TOPIC", "KEY", "PARTITIONS", "KEPT", "FORMAT", "WRITTEN BY", "READ BY"]]
        for plan in topics + stores {
            let everyStage = "every stage"
            let writers =
                plan.name == "deadletters" || plan.topic == nil
                ? everyStage : writers(of: plan).map(\.text).joined(separator: ", ")
            let readers = plan.topic == nil ? everyStage : readers(of: plan).map(\.text).joined(separator: ", ")
            rows.append([
                plan.name, plan.key.rawValue, plan.partitions.rawValue, plan.retention ?? "last of key", plan.schema,
                writers, readers,
            ])
        }
        var lines = aligned(rows)
        let arrows = stages.map { plan in
            plan.reads.map { ["  ◄─ \($0.topic.text)", $0.carries] }
                + plan.writes.map { ["  ─► \($0.topic.text)", $0.carries] }
        }
        let width = arrows.joined().map { $0[0].count }.max() ?? 0
        for (plan, arrows) in zip(stages, arrows) {
            lines += ["", plan.stage.text]
            lines += arrows.map { row in row[0] + String(repeating: " ", count: width - row[0].count + 2) + row[1] }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Rows of cells in columns two spaces apart, without spaces at the ends of lines.
    package static func aligned(_ rows: [[String]]) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let last = row.lastIndex { !$0.isEmpty } ?? -1
            var line = ""
            for (column, cell) in row.enumerated() where column <= last {
                line += cell
                if column < last { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            return line
        }
    }

    /// The page as a Mermaid flowchart, for documents and browsers.
    package static var mermaid: String {
        var lines = ["flowchart LR"]
        for outsider in Outsider.allCases { lines.append("    \(outsider.rawValue)([\(outsider.rawValue)])") }
        for plan in topics { lines.append("    \(plan.name)[(\(plan.name))]") }
        for plan in stages { lines.append("    \(plan.stage.text)[\(plan.stage.text)]") }
        for plan in topics {
            for writer in plan.outsideWriters { lines.append("    \(writer.rawValue) --> \(plan.name)") }
        }
        for plan in stages {
            for flow in plan.reads { lines.append("    \(flow.topic.text) --> \(plan.stage.text)") }
            for flow in plan.writes where flow.topic != .deadletters {
                lines.append("    \(plan.stage.text) -- \(flow.carries) --> \(flow.topic.text)")
            }
            lines.append("    \(plan.stage.text) -.-> deadletters")
        }
        for plan in topics {
            for reader in plan.outsideReaders { lines.append("    \(plan.name) --> \(reader.rawValue)") }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
