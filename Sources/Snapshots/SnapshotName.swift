import TwinCore

/// How stores name things: `<stage>/<incarnation>/<inbox>@<epoch>-<partition>` and, in directories, the offset with
/// 20 digits, so that names sort as numbers do.
enum SnapshotName {
    /// The last component of a task's path.
    static func task(_ task: TaskID) -> String { "\(task.inbox.text)@\(task.epoch)-\(task.partition)" }

    /// The whole path of a task below the namespace.
    static func path(_ task: TaskID, incarnation: Int64) -> String {
        "\(task.stage.text)/\(incarnation)/\(Self.task(task))"
    }

    static func file(offset: Int64) -> String {
        let digits = String(offset)
        return String(repeating: "0", count: max(0, 20 - digits.count)) + digits + ".snapshot"
    }

    /// Nil if the name is not exactly what `task` makes.
    static func parseTask(stage: StageName, _ name: Substring) -> TaskID? {
        guard name.utf8.count <= 64, let at = name.firstIndex(of: "@"), let dash = name.lastIndex(of: "-"), at < dash,
            let inbox = TopicName(text: String(name[..<at])),
            let epoch = UInt16(name[name.index(after: at)..<dash]),
            let partition = Int32(name[name.index(after: dash)...]), partition >= 0
        else { return nil }
        let task = TaskID(stage: stage, inbox: inbox, epoch: epoch, partition: partition)
        return Self.task(task) == name ? task : nil
    }

    /// Nil if the name is not exactly a number of at least zero.
    static func parseNumber(_ name: Substring) -> Int64? {
        guard name.utf8.count <= 19, let number = Int64(name), number >= 0, String(number) == name else { return nil }
        return number
    }

    /// Nil if the name is not exactly what `file` makes.
    static func parseFile(_ name: String) -> Int64? {
        guard name.utf8.count == 29, name.hasSuffix(".snapshot"), let offset = Int64(name.prefix(20)), offset >= 0,
            file(offset: offset) == name
        else { return nil }
        return offset
    }

    /// Throws `invalid` unless the text can be one component of a path or of a key.
    static func check(_ component: String, _ what: String) throws(SnapshotError) {
        let allowed = component.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard allowed, (1...200).contains(component.utf8.count), !component.hasPrefix(".") else {
            throw SnapshotError(
                .invalid,
                "\(what) '\(component)' must be 1 to 200 letters, digits, '-', '_' or '.', not starting with '.'")
        }
    }
}
