import TestKit

/// Writes random telemetry documents: any order, any spacing, escapes, repeats, unknown fields.
struct TelemetryDocuments {
    var random: SeededRandom

    mutating func space() -> String {
        random.chance(85) ? "" : random.pick([" ", "\n", "\t", "\r\n", "  "])
    }

    mutating func string(_ text: String? = nil) -> String {
        let alphabet = ["a", "Z", "0", "-", "/", ".", "é", "漢", "😀", "\u{7f}", "\u{85}", " ", "_", "x"]
        let characters =
            text.map { $0.map(String.init) }
            ?? (0..<random.below(12)).map { _ in
                random.chance(80) ? random.pick(["s", "v", "c", "1"]) : random.pick(alphabet)
            }
        var out = "\""
        for character in characters {
            if random.chance(text == nil ? 6 : 2) {
                for unit in character.utf16 { out += "\\u" + hex(unit) }
            } else {
                out += character
            }
        }
        if text == nil, random.chance(4) {
            out += random.pick(["\\n", "\\\"", "\\\\", "\\/", "\\t", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0000"])
        }
        return out + "\""
    }

    private mutating func hex(_ unit: UInt16) -> String {
        let digits = String(unit, radix: 16, uppercase: random.chance(50))
        return String(repeating: "0", count: 4 - digits.count) + digits
    }

    mutating func number() -> String {
        switch random.below(12) {
        case 0: return String(random.below(1_000_000))
        case 1: return "-" + String(random.below(1_000))
        case 2: return String(Double.random(in: -1...1, using: &random))
        case 3: return String(Double(bitPattern: random.next() & 0x7fef_ffff_ffff_ffff))
        case 4: return "\(random.below(10))e\(random.below(50) - 25)"
        case 5: return "\(random.below(1_000)).\(random.below(1_000))E+\(random.below(20))"
        case 6: return random.pick(["0", "-0", "0.0", "1e400", "1e-400", "0e999999", "4.9e-324", "2e-324"])
        case 7: return String(random.next()) + String(random.next()) + "." + String(random.next())
        case 8: return "9007199254740993.0"
        case 9: return "9223372036854775807"
        default: return "0." + String(random.below(1_000_000))
        }
    }

    mutating func value(depth: Int = 0) -> String {
        switch random.below(depth > 3 ? 4 : 7) {
        case 0: return string()
        case 1: return number()
        case 2: return "null"
        case 3: return random.pick(["true", "false"])
        case 4, 5:
            let elements = (0..<random.below(4)).map { _ in space() + value(depth: depth + 1) + space() }
            return "[" + elements.joined(separator: ",") + "]"
        default: return object((0..<random.below(4)).map { _ in (string(), value(depth: depth + 1)) })
        }
    }

    mutating func object(_ members: [(String, String)]) -> String {
        let parts = members.map { space() + $0.0 + space() + ":" + space() + $0.1 + space() }
        return "{" + parts.joined(separator: ",") + "}"
    }

    mutating func time() -> String {
        switch random.below(8) {
        case 0: return String(1_600_000_000 + random.below(400_000_000))
        case 1: return String(1_600_000_000_000 + random.below(1_000_000_000))
        case 2: return "17955216\(random.below(90) + 10).\(random.below(1_000))"
        case 3: return "1.7955216e9"
        case 4: return string("2026-02-2\(random.below(10))T12:00:0\(random.below(10)).\(random.below(10_000))+05:30")
        case 5: return random.pick(["12", "\"yesterday\"", "null", "true", "1e300", "-5"])
        default: return string("2026-11-24T\(random.below(15) + 10):00:00Z")
        }
    }

    mutating func tags() -> String {
        object(
            (0..<random.below(4)).map { _ in
                (string(random.pick(["zone", "tier", "v"])), random.chance(96) ? string() : value())
            })
    }

    mutating func members() -> [(String, String)] {
        var members: [(String, String)] = []
        func add(_ name: String, _ value: String) { members.append((name, value)) }
        if random.chance(97) { add(string("resource"), string("svc-\(random.below(1_000))")) }
        add(string(random.chance(80) ? "ts" : random.pick(["time", "timestamp"])), time())
        if random.chance(80) {
            if random.chance(97) { add(string("metric"), random.chance(70) ? string("cpu") : string()) }
            if random.chance(97) { add(string("value"), random.chance(95) ? number() : value()) }
        } else {
            add(
                "\"metrics\"",
                object(
                    (0..<random.below(5)).map { _ in
                        (string(random.pick(["cpu", "rps", "m"])), random.chance(95) ? number() : value())
                    }))
        }
        if random.chance(30) { add("\"unit\"", random.chance(80) ? string("ratio") : string()) }
        if random.chance(30) { add("\"kind\"", string(random.pick(["gauge", "counter", "counter", "count"]))) }
        if random.chance(30) {
            add("\"role\"", string(random.pick(["demand", "slo", "backlog", "supply", "utilisation", "x"])))
        }
        if random.chance(30) { add(string("locality"), string()) }
        if random.chance(20) { add("\"class\"", random.chance(90) ? string() : value()) }
        if random.chance(20) { add("\"source\"", string()) }
        // Of what is no integer JSONDecoder takes some (1e-400); see the test of integers.
        if random.chance(30) {
            add(
                "\"seq\"",
                {
                    let text = number(); return text.contains("e-") ? "7" : text
                }())
        }
        if random.chance(30) { add("\"tags\"", tags()) }
        if random.chance(30) { add("\"labels\"", tags()) }
        while random.chance(30) { add(string(), value()) }
        members.shuffle(using: &random)
        if random.chance(15), let twice = members.randomElement(using: &random) {
            members.append((twice.0, random.chance(50) ? twice.1 : value()))
        }
        return members
    }

    mutating func document() -> [UInt8] { Array((space() + object(members()) + space()).utf8) }

    /// A few bytes changed, cut, put in or doubled.
    mutating func mutate(_ document: [UInt8]) -> [UInt8] {
        var bytes = document
        for _ in 0...random.below(2) {
            guard !bytes.isEmpty else { return bytes }
            let index = random.below(bytes.count)
            switch random.below(7) {
            case 0: bytes[index] ^= 1 << UInt8(random.below(8))
            case 1: bytes[index] = UInt8(random.below(256))
            case 2: bytes.removeSubrange(index...)
            case 3: bytes.insert(UInt8(random.below(256)), at: index)
            case 4: bytes.insert(random.pick(Array("{}[]\",:\\eE+-.0nt ".utf8)), at: index)
            case 5: bytes.remove(at: index)
            default:
                let end = min(bytes.count, index + 1 + random.below(12))
                bytes.insert(contentsOf: bytes[index..<end], at: random.below(bytes.count))
            }
        }
        return bytes
    }
}

/// RFC 8259 by the letter, written as plainly as possible: the judge of what JSON is.
struct StrictJSON {
    private let bytes: [UInt8]
    private var index = 0

    static func accepts(_ document: [UInt8], depthMax: Int) -> Bool {
        var bytes = document
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
        guard String(validating: bytes, as: UTF8.self) != nil else { return false }
        var parser = StrictJSON(bytes: bytes)
        return parser.value(depthMax) && parser.atEnd()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func space() {
        while index < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[index]) { index += 1 }
    }
    private mutating func atEnd() -> Bool { space(); return index == bytes.count }
    private mutating func take(_ character: Character) -> Bool {
        guard index < bytes.count, bytes[index] == character.asciiValue else { return false }
        index += 1
        return true
    }
    private mutating func digits() -> Int {
        let start = index
        while index < bytes.count, (0x30...0x39).contains(bytes[index]) { index += 1 }
        return index - start
    }

    private mutating func value(_ depth: Int) -> Bool {
        space()
        guard index < bytes.count else { return false }
        switch bytes[index] {
        case UInt8(ascii: "{"): return container(depth, "{", "}", isObject: true)
        case UInt8(ascii: "["): return container(depth, "[", "]", isObject: false)
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "t"): return word("true")
        case UInt8(ascii: "f"): return word("false")
        case UInt8(ascii: "n"): return word("null")
        default: return number()
        }
    }

    private mutating func word(_ text: String) -> Bool { text.allSatisfy { take($0) } }

    private mutating func container(_ depth: Int, _ open: Character, _ close: Character, isObject: Bool) -> Bool {
        guard depth > 0, take(open) else { return false }
        space()
        if take(close) { return true }
        repeat {
            if isObject {
                space()
                guard string() else { return false }
                space()
                guard take(":") else { return false }
            }
            guard value(depth - 1) else { return false }
            space()
        } while take(",")
        return take(close)
    }

    private mutating func string() -> Bool {
        guard take("\"") else { return false }
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return true }
            if byte < 0x20 { return false }
            guard byte == UInt8(ascii: "\\") else { continue }
            guard index < bytes.count else { return false }
            let kind = bytes[index]
            index += 1
            if kind == UInt8(ascii: "u") {
                for _ in 0..<4 {
                    guard index < bytes.count, Character(UnicodeScalar(bytes[index])).isHexDigit, bytes[index] < 0x80
                    else { return false }
                    index += 1
                }
            } else if !"\"\\/bfnrt".utf8.contains(kind) {
                return false
            }
        }
        return false
    }

    private mutating func number() -> Bool {
        _ = take("-")
        if !take("0") { guard digits() > 0 else { return false } }
        if take(".") { guard digits() > 0 else { return false } }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            guard digits() > 0 else { return false }
        }
        return true
    }
}
