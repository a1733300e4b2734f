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
    /// Kinds of orders that an operator has given or lifted since the task knows its subject.
    private var heard: UInt32 = 0

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
        heard |= Self.kinds(verb)
    }

    /// One bit for each kind of order; lifting is about all.
    private static func kinds(_ verb: Command.Verb) -> UInt32 {
        switch verb {
        case .set: 1
        case .hold: 2
        case .floor: 4
        case .ceiling: 8
        case .pauseUp: 16
        case .pauseDown: 32
        case .pause: 48
        case .resume: 63
        case .approve, .reject: 0
        }
    }

    /// True if no operator has given or lifted an order of this kind as far back as the task knows: then what another
    /// says again counts.
    func lacks(_ verb: Command.Verb) -> Bool { heard & Self.kinds(verb) == 0 }

    /// Takes an order that is said again. The next that is said again replaces it.
    mutating func takeAgain(_ command: Command, serial: UInt32) {
        let before = heard
        take(command.verb, value: command.value, until: command.until, serial: serial)
        heard = before
    }

    /// An order in force, as the command that gives it.
    struct Order {
        var verb: Command.Verb
        var value: Int32 = 0
        var until: Int64
        var serial: UInt32
    }

    /// The orders in force.
    func inForce(at now: Int64) -> [Order] {
        [
            Order(verb: .set, value: set, until: setUntil, serial: setCommand),
            Order(verb: .hold, until: holdUntil, serial: holdCommand),
            Order(verb: .floor, value: floor, until: floorUntil, serial: floorCommand),
            Order(verb: .ceiling, value: ceiling, until: ceilingUntil, serial: ceilingCommand),
            Order(verb: .pauseUp, until: pauseUpUntil, serial: pauseUpCommand),
            Order(verb: .pauseDown, until: pauseDownUntil, serial: pauseDownCommand),
        ].filter { $0.until > now }
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
