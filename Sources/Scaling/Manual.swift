/// What operators have ordered for a resource, or for all resources of a policy. Every order ends at a moment of event
/// time (milliseconds; 0 = not in force, `Int64.max` = until it is lifted) and remembers its command's serial number.
struct Manual: BitwiseCopyable {
    var setUntil: Int64 = 0
    var holdUntil: Int64 = 0
    var floorUntil: Int64 = 0
    var ceilingUntil: Int64 = 0
    var pauseUpUntil: Int64 = 0
    var pauseDownUntil: Int64 = 0
    var set: Int32 = 0
    var floor: Int32 = 0
    var ceiling: Int32 = 0
    var setCommand: UInt32 = 0
    var holdCommand: UInt32 = 0
    var floorCommand: UInt32 = 0
    var ceilingCommand: UInt32 = 0
    var pauseUpCommand: UInt32 = 0
    var pauseDownCommand: UInt32 = 0
    private var spare: UInt32 = 0

    /// Nothing ordered; the common case, in one test.
    var isEmpty: Bool {
        setUntil | holdUntil | floorUntil | ceilingUntil | pauseUpUntil | pauseDownUntil == 0
    }

    /// Takes an order.
    mutating func take(_ verb: Command.Verb, value: Int32, until: Int64, serial: UInt32) {
        switch verb {
        case .set: (set, setUntil, setCommand) = (value, until, serial)
        case .hold: (holdUntil, holdCommand) = (until, serial)
        case .floor: (floor, floorUntil, floorCommand) = (value, until, serial)
        case .ceiling: (ceiling, ceilingUntil, ceilingCommand) = (value, until, serial)
        case .pause:
            (pauseUpUntil, pauseUpCommand) = (until, serial)
            (pauseDownUntil, pauseDownCommand) = (until, serial)
        case .pauseUp: (pauseUpUntil, pauseUpCommand) = (until, serial)
        case .pauseDown: (pauseDownUntil, pauseDownCommand) = (until, serial)
        case .resume: self = Manual()
        case .approve, .reject: break
        }
    }

    /// Those of a resource and of its policy together: the narrower floor and ceiling, the resource's own number.
    func merged(with policy: Manual, at now: Int64) -> Manual {
        var all = self
        if setUntil <= now, policy.setUntil > now {
            (all.set, all.setUntil, all.setCommand) = (policy.set, policy.setUntil, policy.setCommand)
        }
        if holdUntil <= now { (all.holdUntil, all.holdCommand) = (policy.holdUntil, policy.holdCommand) }
        if policy.floorUntil > now, floorUntil <= now || policy.floor > floor {
            (all.floor, all.floorUntil, all.floorCommand) = (policy.floor, policy.floorUntil, policy.floorCommand)
        }
        if policy.ceilingUntil > now, ceilingUntil <= now || policy.ceiling < ceiling {
            (all.ceiling, all.ceilingUntil, all.ceilingCommand) =
                (policy.ceiling, policy.ceilingUntil, policy.ceilingCommand)
        }
        if pauseUpUntil <= now { (all.pauseUpUntil, all.pauseUpCommand) = (policy.pauseUpUntil, policy.pauseUpCommand) }
        if pauseDownUntil <= now {
            (all.pauseDownUntil, all.pauseDownCommand) = (policy.pauseDownUntil, policy.pauseDownCommand)
        }
        return all
    }
}
