import Forecasting
import Messages
import StageKit

/// The metrics that count the users of a resource, by their well-known names.
enum UserMetrics {
    private static let names: [StaticString] = [
        "active_users", "concurrent_users", "users", "users_active", "users_online", "active_sessions", "sessions",
        "sessions_active", "concurrent_sessions", "current_sessions",
    ]

    /// Whether a metric's name is one of them, in any case, with `.` or `-` for `_`.
    static func contains(_ name: UnsafeRawBufferPointer) -> Bool {
        names.contains { known in
            name.count == known.utf8CodeUnitCount
                && name.indices.allSatisfy { plain(name[$0]) == known.utf8Start[$0] }
        }
    }

    private static func plain(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "."), UInt8(ascii: "-"): UInt8(ascii: "_")
        default: byte
        }
    }
}

extension TwinStage {
    /// What the users of a twin have just done, for its other series; nothing while their count is not fresh.
    @inline(__always)
    func activity(of twin: UnsafeMutablePointer<ResourceCell>, besides slot: Int) -> UserActivity {
        let users = Int(twin.pointee.usersSeries)
        if users < 0 || users == slot { return UserActivity() }
        return freshActivity(users)
    }

    @inline(never)
    private func freshActivity(_ users: Int) -> UserActivity {
        let cell = series.read(users)
        return cell.pointee.quality == DataQuality.fresh.rawValue ? cell.pointee.model.activity : UserActivity()
    }
}
