import Foundation
import TwinCore

/// Why a time zone could not be had.
package struct TimeZoneError: Error {
    package let text: String
}

extension LocalTime {
    /// No file of the database is larger.
    private static let bytesMax = 1 << 20

    /// The rule of a time zone by its IANA name, from the machine's database, or as a POSIX `TZ` rule itself.
    ///
    /// What is known of the zone is the rule now in force, the last line of its file (RFC 8536, section 3.3). It
    /// becomes part of the stage's fingerprint, so that a machine with another rule does not go on with what was
    /// learned.
    /// - Parameter directory: where the IANA time zone database lies.
    package init(zone text: String, directory: String = "/usr/share/zoneinfo") throws(TimeZoneError) {
        let zone = text.trimmingCharacters(in: .whitespaces)
        if zone == "UTC" || zone.isEmpty {
            self = .utc
            return
        }
        if zone.contains(where: \.isNumber), let rule = LocalTime(posix: zone) {
            self = rule
            return
        }
        let isName = zone.utf8.allSatisfy { byte in
            (65...90).contains(byte) || (97...122).contains(byte) || (48...57).contains(byte)
                || "/_+-".utf8.contains(byte)
        }
        guard isName, !zone.hasPrefix("/") else {
            throw TimeZoneError(text: "\"\(zone)\" is neither the name of a time zone nor a POSIX rule")
        }
        let path = "\(directory)/\(zone)"
        guard let data = FileManager.default.contents(atPath: path), data.count <= Self.bytesMax else {
            throw TimeZoneError(text: "no time zone \"\(zone)\" in \(directory) (is tzdata installed?)")
        }
        guard data.starts(with: "TZif".utf8), data.last == UInt8(ascii: "\n"),
            let line = data.dropLast().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).last,
            let rule = LocalTime(posix: String(decoding: line, as: UTF8.self))
        else {
            throw TimeZoneError(text: "\(path) ends with no rule that is understood")
        }
        self = rule
    }
}
