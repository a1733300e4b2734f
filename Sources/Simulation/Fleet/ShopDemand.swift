import TwinCore

/// Requests per second of every service, step by step. Demand knows nothing of capacity: what cannot be served was
/// asked for nevertheless.
package struct ShopDemand: Sendable {
    package let story: ShopStory
    /// End of the step that `values` belong to, seconds since the epoch.
    package private(set) var time: Int64
    /// Requests per second, by service.
    package private(set) var values: [Double]
    private var chance: SeededGenerator
    /// Slow noise of every service.
    private var slow: [Double]
    /// Demand of the last steps, a ring per service.
    private var past: [Double]
    private var step = 0

    /// Steps that calls may lag behind.
    private static let ringCount = 32

    package init(seed: UInt64, story: ShopStory) {
        self.story = story
        time = story.start
        chance = SeededGenerator(seed: seed)
        let count = Shop.services.count
        slow = [Double](repeating: 0, count: count)
        values = [Double](repeating: 0, count: count)
        past = [Double](repeating: 0, count: count * Self.ringCount)
        // Lags look back to before the start: as if it had always been so.
        for _ in 0..<Self.ringCount { advance() }
        time = story.start
    }

    /// One step of `Shop.stepSeconds` more.
    package mutating func advance() {
        time += Shop.stepSeconds
        let slot = step % Self.ringCount
        for service in Shop.services.indices {
            slow[service] = 0.9 * slow[service] + 0.008 * chance.normal()
            let noise = exponential(slow[service] + 0.012 * chance.normal())
            let asked = (own(service) + called(service)) * story.shift(of: service, at: time)
            values[service] = asked * noise
            // Noise stays where it arises: callers pass on what they were asked for.
            past[service * Self.ringCount + slot] = asked * exponential(slow[service] * 0.3)
        }
        step += 1
    }

    /// What comes from outside the shop.
    private func own(_ service: Int) -> Double {
        switch Shop.services[service].name {
        case "frontend": Shop.shoppersAtPeak * Self.pattern(at: time) * story.shoppers(at: time)
        // Trucks are unloaded at night and in the morning.
        case "warehouse": 4 + 10 * bell(Self.hour(at: time), around: 5, width: 2)
        default: 0
        }
    }

    private func called(_ service: Int) -> Double {
        var sum = 0.0
        for call in Shop.calls where call.target == service {
            let lag = Int(call.lagSeconds / Shop.stepSeconds)
            // A source without lag stands before its target and has this step's value already.
            let at = (step - min(lag, Self.ringCount - 1) + Self.ringCount) % Self.ringCount
            sum += call.ratio * past[call.source * Self.ringCount + at]
        }
        return sum
    }

    private static func hour(at time: Int64) -> Double { Double(time % 86_400) / 3_600 }

    /// Share of the best hour: quiet nights, a first summit before noon, the highest in the evening, more on Saturdays.
    package static func pattern(at time: Int64) -> Double {
        let hour = hour(at: time)
        let day = 0.16 + 0.5 * bell(hour, around: 11.5, width: 2.6) + 0.8 * bell(hour, around: 20, width: 2.4)
        // 1 January 1970 was a Thursday.
        let weekday = (time / 86_400 + 3) % 7
        let week = [1, 1, 1.01, 1.02, 1.04, 1.08, 0.96][Int(weekday)]
        return day * week / 0.96
    }
}

/// A bell over the hours of the day, 1 at its middle.
private func bell(_ hour: Double, around middle: Double, width: Double) -> Double {
    var distance = (hour - middle).magnitude
    if distance > 12 { distance = 24 - distance }
    return exponential(-0.5 * distance * distance / (width * width))
}
