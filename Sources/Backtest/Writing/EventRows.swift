import Messages
import TwinCore

/// The fields of a CloudEvent's data that a file wants: texts and numbers by name.
struct EventFields {
    var texts: [[UInt8]]
    private(set) var numbers: [Double]

    /// Reads `data` of a structured CloudEvent. A field that is missing is empty, or NaN.
    init(_ bytes: UnsafeRawBufferPointer, texts textNames: [StaticString], numbers numberNames: [StaticString]) {
        texts = Array(repeating: [], count: textNames.count)
        numbers = Array(repeating: .nan, count: numberNames.count)
        do throws(JSONError) {
            var reader = JSONReader(bytes)
            try reader.enterObject()
            while let key = try reader.nextKey() {
                guard reader.matches(key, "data"), reader.peekKind() == .object else {
                    _ = try reader.skipValue()
                    continue
                }
                try reader.enterObject()
                while let inner = try reader.nextKey() {
                    try take(inner, &reader, textNames, numberNames)
                }
            }
        } catch {
            // The stages' own output is JSON; a test that reads it would fail long before this.
            return
        }
    }

    private mutating func take(
        _ key: JSONString, _ reader: inout JSONReader, _ textNames: [StaticString], _ numberNames: [StaticString]
    ) throws(JSONError) {
        let kind = reader.peekKind()
        if kind == .string, let index = textNames.firstIndex(where: { reader.matches(key, $0) }) {
            let string = try reader.readString()
            texts[index].removeAll()
            try reader.decode(string, appendingTo: &texts[index])
        } else if kind == .number, let index = numberNames.firstIndex(where: { reader.matches(key, $0) }) {
            numbers[index] = try reader.readDouble()
        } else {
            _ = try reader.skipValue()
        }
    }
}

/// Writes `drift.csv`.
final class DriftRows {
    static let header = "timestamp,resource,metric,kind,score"
    private let file: OutputFile
    /// How many of each kind, in the order of `DriftKind`.
    private(set) var counts = [UInt64](repeating: 0, count: DriftKind.allCases.count)

    init(path: String) throws(BacktestError) {
        file = try OutputFile(path: path)
        file.header(Self.header)
    }

    var rows: UInt64 { file.rows }

    /// - Parameter milliseconds: the file's time of the last sample seen.
    func take(_ record: [UInt8], milliseconds: Int64) throws(BacktestError) {
        var fields = record.withUnsafeBytes {
            EventFields($0, texts: ["resource", "metric", "kind"], numbers: ["score"])
        }
        // Groups and restored trust are no detections, and have no score.
        guard fields.numbers[0].isFinite else { return }
        if let kind = DriftKind.allCases.first(where: { Array($0.text.utf8) == fields.texts[2] }) {
            counts[Int(kind.rawValue)] += 1
            // The file knows six kinds; a ceiling is a level.
            if kind == .saturation { fields.texts[2] = Array(DriftKind.level.text.utf8) }
        }
        CSVField.append(milliseconds: milliseconds, to: &file.bytes)
        for text in fields.texts {
            file.bytes.append(0x2c)
            CSVField.append(text, to: &file.bytes)
        }
        file.bytes.append(0x2c)
        PlainDecimal.append(fields.numbers[0], to: &file.bytes)
        try file.endRow()
    }

    func close() throws(BacktestError) { try file.flush() }
}

/// Writes `decisions.csv`: one row per tick and resource that has a policy, the last decision of the tick (a drift
/// found in the same sample makes the decider think again).
final class DecisionRows {
    static let header = "timestamp,resource,desired_replicas,reason"
    private let file: OutputFile
    /// Decisions that want another number than there is.
    private(set) var changes: UInt64 = 0
    private var pending: [Decision] = []
    /// Place in `pending` of each resource of this tick; looked up, never iterated.
    private var places: [[UInt8]: Int] = [:]

    private struct Decision {
        var resource: [UInt8]
        var current: Double
        var desired: Double
        var reason: [UInt8]
    }

    init(path: String) throws(BacktestError) {
        file = try OutputFile(path: path)
        file.header(Self.header)
    }

    var rows: UInt64 { file.rows }

    /// - Returns: the reason, if the record says that a policy was rejected.
    func take(_ record: [UInt8]) -> String? {
        let fields = record.withUnsafeBytes {
            EventFields($0, texts: ["kind", "resource", "reason"], numbers: ["current", "desired"])
        }
        let kind = String(decoding: fields.texts[0], as: UTF8.self)
        if kind == "policyRejected" { return String(decoding: fields.texts[2], as: UTF8.self) }
        guard kind == "decision", fields.numbers[1].isFinite, !fields.texts[1].isEmpty else { return nil }
        let decision = Decision(
            resource: fields.texts[1], current: fields.numbers[0], desired: fields.numbers[1], reason: fields.texts[2])
        if let place = places[decision.resource] {
            // The number before the tick is that of its first decision.
            pending[place].desired = decision.desired
            pending[place].reason = decision.reason
        } else {
            places[decision.resource] = pending.count
            pending.append(decision)
        }
        return nil
    }

    /// Writes the decisions of the tick, in the order in which resources were first decided upon.
    /// - Parameter milliseconds: the file's time of the last sample seen.
    func endTick(milliseconds: Int64) throws(BacktestError) {
        if pending.isEmpty { return }
        for decision in pending {
            if decision.current != decision.desired { changes += 1 }
            CSVField.append(milliseconds: milliseconds, to: &file.bytes)
            file.bytes.append(0x2c)
            CSVField.append(decision.resource, to: &file.bytes)
            file.bytes.append(0x2c)
            PlainDecimal.append(decision.desired, to: &file.bytes)
            file.bytes.append(0x2c)
            CSVField.append(decision.reason, to: &file.bytes)
            try file.endRow()
        }
        pending.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
    }

    func close() throws(BacktestError) { try file.flush() }
}
