/// A resource's levels of the last half hour or so, one per minute of event time: what has happened there and may not
/// have reached its neighbours yet.
struct PastLevels: BitwiseCopyable {
    static let minutesMax = 32

    private var levels: [32 of Float] = .init(repeating: 0)
    /// The minute since the epoch that the newest level belongs to; `Int64.min` before there is one.
    private(set) var minute = Int64.min

    @inline(__always)
    private static func place(_ minute: Int64) -> Int { Int(minute & 31) }

    /// The newest level; 0 before there is one.
    var newest: Float { minute == .min ? 0 : levels[Self.place(minute)] }

    /// The level in a minute: the newest one from then on, the oldest that is kept before.
    func level(in wanted: Int64) -> Float {
        guard minute != .min else { return 0 }
        let known = min(max(wanted, minute &- Int64(Self.minutesMax) &+ 1), minute)
        return levels[Self.place(known)]
    }

    /// Takes a level. Minutes without one have that of before; a first one is as if it had always been so.
    /// - Returns: true if a new minute began.
    mutating func note(_ level: Float, at milliseconds: Int64) -> Bool {
        let now = milliseconds / 60_000
        if minute == .min || now < minute &- 60 || now >= minute &+ Int64(Self.minutesMax) {
            let before = minute == .min || now < minute ? level : newest
            levels = .init(repeating: before)
            minute = now
            levels[Self.place(now)] = level
            return true
        }
        guard now >= minute else { return false }
        let isNew = now > minute
        let before = newest
        while minute < now {
            minute &+= 1
            levels[Self.place(minute)] = before
        }
        levels[Self.place(now)] = level
        return isNew
    }

    var isSound: Bool { minute == .min || minute.magnitude < 1 << 48 }
}

/// A resource's usual demand: the mean of its levels, each weighed by itself, so that hours without demand say nothing
/// about it (the Lehmer mean, Σ x² / Σ x, with exponential forgetting).
struct UsualLevel: BitwiseCopyable {
    private var sum: Float = 0
    private var squares: Float = 0

    private static let fade: Float = 1 - 1 / 2_048

    init() {}

    /// As another task says.
    init(_ value: Float) {
        guard value > 0, value.isFinite else { return }
        sum = 1
        squares = value
    }

    mutating func learn(_ level: Float) {
        guard level > 0, level < 1e15 else { return }
        sum = sum * Self.fade + level
        squares = squares * Self.fade + level * level
    }

    /// 0 before there was any demand.
    var value: Float {
        let mean = squares / sum
        return sum > 0 && mean.isFinite ? mean : 0
    }
}

/// How long a change takes along an edge, learned by comparing how the target's level changed within five minutes with
/// how the source's did so many minutes earlier: the mean absolute difference, for each of some candidates.
struct EdgeLag: BitwiseCopyable {
    static let count = 12
    /// Candidates, minutes.
    private static var candidates: [12 of Int64] { [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20] }
    /// Changes are taken over so many minutes.
    private static let window: Int64 = 5
    /// What both ends said about a minute has surely come after two more.
    private static let delay: Int64 = 2
    /// Smaller changes tell one lag from another no better than noise does.
    private static let changeMin: Float = 0.1
    /// Comparisons before a lag is believed, and those that count as much as all older ones.
    private static let countMin: UInt16 = 24
    private static let memory: Float = 64
    /// Another lag must fit so much better.
    private static let better: Float = 0.75
    /// A lag must leave no more than this share of the changes unexplained: noise is explained by none.
    private static let unexplainedMax: Float = 0.5

    private var errors: [12 of Float] = .init(repeating: 0)
    /// Mean change of the target, relative.
    private var movement: Float = 0
    private var compared: UInt16 = 0
    private var chosen: UInt16 = 0
    private var spare: UInt32 = 0

    /// Minutes; 0 before another one is believed.
    var minutes: Int64 { Self.candidates[Int(chosen)] }
    /// How far off the change at the target was, relative, on average.
    var error: Float { errors[Int(chosen)] }
    var isSound: Bool { Int(chosen) < Self.count }

    /// Compares the ends of the edge, at a new minute of the target.
    mutating func learn(source: borrowing PastLevels, target: borrowing PastLevels) {
        let at = target.minute &- Self.delay
        guard let change = Self.change(of: target, to: at) else { return }
        var moved: [12 of Float] = .init(repeating: 0)
        var largest = change.magnitude
        for index in 0..<Self.count {
            guard let earlier = Self.change(of: source, to: at &- Self.candidates[index]) else { return }
            moved[index] = earlier
            largest = max(largest, earlier.magnitude)
        }
        guard largest >= Self.changeMin else { return }
        compared = min(compared &+ 1, 10_000)
        let gain = 1 / min(Float(compared), Self.memory)
        movement += gain * (min(change.magnitude, 1) - movement)
        var best = 0
        for index in 0..<Self.count {
            errors[index] += gain * (min((change - moved[index]).magnitude, 1) - errors[index])
            if errors[index] < errors[best] { best = index }
        }
        let limit = Self.unexplainedMax * movement
        if error > limit { chosen = 0 }
        if compared >= Self.countMin, errors[best] < min(Self.better * error, limit) { chosen = UInt16(best) }
    }

    private static func change(of past: borrowing PastLevels, to minute: Int64) -> Float? {
        let before = past.level(in: minute &- window)
        guard before > 0 else { return nil }
        let change = past.level(in: minute) / before - 1
        return change.isFinite ? min(change, 4) : nil
    }
}
