import ArgumentParser
import Messages
import TwinCore

/// Where in a topic to begin: `beginning`, `end`, an offset, or a moment.
enum StartPoint: ExpressibleByArgument, Equatable, CustomStringConvertible {
    case beginning
    case end
    case offset(Int64)
    /// Records written at or after this moment, by the record's own timestamp.
    case time(EventTime)

    /// What can be written, for help and errors.
    static let forms = "beginning, end, an offset such as 1200, or a moment such as 2026-11-24T12:00:00Z or @1795521600"

    init?(argument: String) {
        switch argument {
        case "beginning": self = .beginning
        case "end": self = .end
        default:
            if let offset = Int64(argument), offset >= 0 {
                self = .offset(offset)
            } else if argument.hasPrefix("@"), let seconds = Double(argument.dropFirst()), seconds >= 0, seconds < 1e11
            {
                self = .time(EventTime(milliseconds: Int64(seconds * 1_000)))
            } else if let time = Self.moment(argument) {
                self = .time(time)
            } else {
                return nil
            }
        }
    }

    private static func moment(_ text: String) -> EventTime? {
        var text = text
        return text.withUTF8 { ISO8601.parse(UnsafeRawBufferPointer($0)) }
    }

    var description: String {
        switch self {
        case .beginning: "beginning"
        case .end: "end"
        case .offset(let offset): "\(offset)"
        case .time(let time): timeText(time)
        }
    }
}

/// A moment as RFC 3339, or its milliseconds if it lies outside the years that have a name.
func timeText(_ time: EventTime) -> String {
    guard ISO8601.writable.contains(time) else { return "\(time.milliseconds) ms" }
    var bytes: [UInt8] = []
    ISO8601.write(time, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
}
