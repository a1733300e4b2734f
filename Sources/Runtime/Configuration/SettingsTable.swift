import TwinCore

/// Which key of the `stage:` section sets which field of a stage's settings: one table per stage, from which come the
/// known keys, their defaults, their help and the settings themselves.
package struct SettingsTable<Settings> {
    private struct Row {
        let key: ConfigurationKey
        /// Returns what is wrong with the value, if anything is.
        let apply: (inout Settings, ConfigurationValues) -> String?
    }

    private let defaults: Settings
    private var rows: [Row] = []

    package init(_ defaults: Settings) { self.defaults = defaults }

    /// The keys, named `stage.…`.
    package var keys: [ConfigurationKey] { rows.map(\.key) }

    /// The settings as configured. Throws for a text that its parser refuses.
    package func settings(_ configuration: RuntimeConfiguration) throws(ConfigurationError) -> Settings {
        var settings = defaults
        for row in rows {
            if let problem = row.apply(&settings, configuration.values) {
                throw ConfigurationError("'\(row.key.name)': \(problem)")
            }
        }
        return settings
    }

    private mutating func add(
        _ name: String, _ kind: ConfigurationKey.Kind, _ value: String, _ help: String,
        _ apply: @escaping (inout Settings, ConfigurationValues, String) -> Void
    ) {
        let key = ConfigurationKey("stage.\(name)", kind, default: value, help)
        rows.append(
            Row(key: key) { settings, values in
                apply(&settings, values, key.name)
                return nil
            })
    }

    /// A text with a form of its own; `parse` returns what is wrong with it, if anything is.
    package mutating func parsed(
        _ name: String, default text: String = "", _ help: String,
        parse: @escaping (inout Settings, String) -> String?
    ) {
        let key = ConfigurationKey("stage.\(name)", .text, default: text, help)
        rows.append(Row(key: key) { settings, values in parse(&settings, values.text(key.name)) })
    }

    /// A whole number within a range.
    package mutating func integer<Number: FixedWidthInteger>(
        _ name: String, _ field: WritableKeyPath<Settings, Number>, in range: ClosedRange<Int> = 0...Int.max / 4,
        _ help: String
    ) {
        let range = max(range.lowerBound, Int(clamping: Number.min))...min(range.upperBound, Int(clamping: Number.max))
        add(name, .integer(range), "\(defaults[keyPath: field])", help) { settings, values, name in
            settings[keyPath: field] = Number(clamping: values.integer(name))
        }
    }

    /// A number within a range.
    package mutating func number(
        _ name: String, _ field: WritableKeyPath<Settings, Double>, in range: ClosedRange<Double> = 0...Double.infinity,
        _ help: String
    ) {
        add(name, .number(range), "\(defaults[keyPath: field])", help) { settings, values, name in
            settings[keyPath: field] = values.number(name)
        }
    }

    /// A number within a range.
    package mutating func number(
        _ name: String, _ field: WritableKeyPath<Settings, Float>, in range: ClosedRange<Double> = 0...Double.infinity,
        _ help: String
    ) {
        add(name, .number(range), "\(defaults[keyPath: field])", help) { settings, values, name in
            settings[keyPath: field] = Float(values.number(name))
        }
    }

    /// True or false.
    package mutating func flag(_ name: String, _ field: WritableKeyPath<Settings, Bool>, _ help: String) {
        add(name, .flag, "\(defaults[keyPath: field])", help) { settings, values, name in
            settings[keyPath: field] = values.flag(name)
        }
    }

    /// Any text.
    package mutating func text(_ name: String, _ field: WritableKeyPath<Settings, String>, _ help: String) {
        add(name, .text, defaults[keyPath: field], help) { settings, values, name in
            settings[keyPath: field] = values.text(name)
        }
    }

    /// A list of numbers, converted by the table's author in both directions.
    package mutating func numbers(
        _ name: String, _ help: String, get: (Settings) -> [Double], set: @escaping (inout Settings, [Double]) -> Void
    ) {
        let value = get(defaults).map { $0 == $0.rounded() ? "\(Int64($0))" : "\($0)" }.joined(separator: ",")
        add(name, .numbers, value, help) { settings, values, name in set(&settings, values.numbers(name)) }
    }
}
