import Configuration

/// One thing that can be configured, under one name in all sources: `loop.commitIntervalMilliseconds` in the file is
/// `TWINSCALE_LOOP_COMMIT_INTERVAL_MILLISECONDS` in the environment and `--loop-commit-interval-milliseconds` on the
/// command line.
package struct ConfigurationKey: Sendable {
    /// What a value must be.
    package enum Kind: Sendable, Equatable {
        case text
        /// One of these words.
        case word([String])
        case integer(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        case flag
        /// Numbers separated by commas, or a list in the file.
        case numbers
    }

    package let name: String
    package let kind: Kind
    /// In the form in which it is written in a file.
    package let defaultText: String
    /// One line, for `--help`.
    package let help: String
    /// So seldom set that only `--help-hidden` shows it.
    package let isHidden: Bool

    package init(
        _ name: String, _ kind: Kind, default defaultText: String, isHidden: Bool = false, _ help: String
    ) {
        self.name = name
        self.kind = kind
        self.defaultText = defaultText
        self.help = help
        self.isHidden = isHidden
    }

    /// Two lines for each key, hidden ones where the list is to be whole.
    package static func help(_ keys: [ConfigurationKey], isWhole: Bool) -> String {
        keys.filter { isWhole || !$0.isHidden }.map { key in
            let value = key.defaultText.isEmpty ? "" : " (\(key.defaultText))"
            return "  \(key.option)\n        \(key.help)\(value)\n"
        }.joined()
    }

    /// The name of its environment variable.
    package var environmentName: String { "TWINSCALE_" + Self.split(name).joined(separator: "_").uppercased() }

    /// Its command-line option, with the dashes.
    package var option: String { "--" + Self.split(name).joined(separator: "-") }

    /// `loop.commitIntervalMilliseconds` as `[loop, commit, interval, milliseconds]`.
    private static func split(_ name: String) -> [String] {
        var words: [String] = [""]
        for character in name {
            if character == "." || character == "-" {
                words.append("")
            } else if character.isUppercase {
                words.append(character.lowercased())
            } else {
                words[words.count - 1].append(character)
            }
        }
        return words.filter { !$0.isEmpty }
    }

    /// The value that `text` stands for, or nil if it is none of this kind.
    package func value(_ text: String) -> ConfigContent? {
        switch kind {
        case .text: return .string(text)
        case .word(let words): return words.contains(text) ? .string(text) : nil
        case .integer(let range):
            guard let number = Int(text.filter { $0 != "_" }), range.contains(number) else { return nil }
            return .int(number)
        case .number(let range):
            guard let number = Double(text), range.contains(number) else { return nil }
            return .double(number)
        case .flag:
            switch text.lowercased() {
            case "true", "yes", "on", "1": return .bool(true)
            case "false", "no", "off", "0": return .bool(false)
            default: return nil
            }
        case .numbers:
            var numbers: [Double] = []
            for part in text.split(separator: ",") {
                guard let number = Double(part.filter { !$0.isWhitespace }), number.isFinite else { return nil }
                numbers.append(number)
            }
            return .doubleArray(numbers)
        }
    }

    /// What a value must be, in words.
    package var expectation: String {
        switch kind {
        case .text: "text"
        case .word(let words): "one of \(words.joined(separator: ", "))"
        case .integer(let range):
            range.upperBound == .max
                ? "a whole number of at least \(range.lowerBound)"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range):
            range.upperBound.isFinite
                ? "a number from \(range.lowerBound) to \(range.upperBound)"
                : "a number of at least \(range.lowerBound)"
        case .flag: "true or false"
        case .numbers: "numbers separated by commas"
        }
    }
}
