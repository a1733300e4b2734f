import Messages
import StageKit
import TwinCore

/// Checks orders before they are written, by the very code that the deciders read them with.
package enum OrderCheck {
    /// Names that one order may bring: its own, and those of a policy's conditions.
    private static let namesMax = 64

    /// What is wrong with a policy under this name; nil if a decider would take it.
    package static func policy(_ text: [UInt8], name: String) -> ScalingError? {
        let names = NameTable(namesMax: namesMax)
        guard let number = names.intern(name) else {
            return ScalingError(.outOfRange, "the policy's name is empty or too long")
        }
        let settings = ScalingSettings()
        guard text.count <= settings.policyBytesMax else {
            return ScalingError(.limit, "the policy is larger than \(settings.policyBytesMax) bytes")
        }
        return text.withUnsafeBytes { bytes in
            do throws(ScalingError) {
                _ = try PolicyParser.parse(bytes, name: number, version: 1, settings: settings, names: names)
                return nil
            } catch { return error }
        }
    }

    /// What is wrong with a command; nil if a decider would look at it.
    package static func command(_ text: [UInt8]) -> ScalingError? {
        text.withUnsafeBytes { bytes in
            do throws(ScalingError) {
                _ = try Command.parse(bytes, names: NameTable(namesMax: namesMax))
                return nil
            } catch { return error }
        }
    }
}
