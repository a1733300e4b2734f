import TwinCore

/// What happens to the shop, beside days and weeks. Times are seconds since the epoch of the simulated clock.
package struct ShopStory: Sendable {
    /// Shoppers come without being announced: up within the ramp, hold, down again.
    package struct Surge: Sendable {
        package let start: Int64
        package let rampSeconds: Int64
        package let holdSeconds: Int64
        package let factor: Double
    }

    /// Announced to the pipeline as a planned event of the frontend.
    package struct Campaign: Sendable {
        package let id: String
        package let announced: Int64
        package let start: Int64
        package let end: Int64
        package let uplift: Double
        /// False for the wrong one.
        package let comes: Bool
    }

    /// All metrics of a service are missing.
    package struct Outage: Sendable {
        package let service: Int
        package let start: Int64
        package let end: Int64
    }

    /// A release silently changes how much a service is asked for.
    package struct Shift: Sendable {
        package let service: Int
        package let start: Int64
        package let factor: Double
    }

    /// When history begins, and when the live part does.
    package let start: Int64
    package let live: Int64
    package let end: Int64
    package private(set) var surges: [Surge] = []
    package private(set) var campaigns: [Campaign] = []
    package private(set) var outages: [Outage] = []
    package private(set) var shifts: [Shift] = []

    /// Thursday 5 March 2026, six in the morning: history of whole days ends at the same hour.
    package static let epoch: Int64 = 1_772_690_400
    /// Length of the live part for which the story was written, minutes; another is told faster or slower.
    package static let liveMinutes = 720
    /// A shorter live part has no room for the story.
    package static let liveMinutesMin = 120

    /// The story of a seed.
    package init(seed: UInt64, historyDays: Int, liveMinutes: Int) {
        var chance = SeededGenerator(seed: seed ^ 0x5109)
        start = Self.epoch
        live = start + Int64(historyDays) * 86_400
        end = live + Int64(liveMinutes) * 60
        tellHistory(days: historyDays, &chance)
        tellLive(minutes: liveMinutes, &chance)
    }

    private mutating func tellHistory(days: Int, _ chance: inout SeededGenerator) {
        for day in 0..<days {
            let midnight = start + Int64(day) * 86_400
            // The last two days are quiet.
            if chance.chance(0.5), day < days - 2 {
                surges.append(
                    Surge(
                        start: midnight + Int64(chance.int(60...840)) * 60, rampSeconds: Int64(chance.int(4...12)) * 60,
                        holdSeconds: Int64(chance.int(10...40)) * 60, factor: 1.3 + 0.5 * chance.unit()))
            }
            if day % 4 == 2 {
                let start = midnight + Int64(chance.int(3...9)) * 3_600
                campaigns.append(
                    Campaign(
                        id: "history-\(day)", announced: start - 7_200, start: start, end: start + 5_400,
                        uplift: 1.6 + 0.4 * chance.unit(), comes: true))
            }
        }
    }

    private mutating func tellLive(minutes: Int, _ chance: inout SeededGenerator) {
        let scale = Double(minutes) / Double(Self.liveMinutes)
        let live = self.live
        // Whole minutes, moved a little by the seed.
        func at(_ minute: Int) -> Int64 { live + Int64((Double(minute) * scale).rounded()) * 60 }
        func last(_ minutes: Int, _ least: Int) -> Int64 { max(Int64(Double(minutes) * scale), Int64(least)) * 60 }
        let jitter = chance.int(0...10)
        // First, while the twins' reference is of quiet days: after a surge it takes hours to be as sharp again.
        shifts.append(
            Shift(
                service: Shop.index(of: "recommendations"), start: at(35 + jitter), factor: 1.7 + 0.2 * chance.unit()))
        surges.append(
            Surge(
                start: at(115 + jitter), rampSeconds: 480, holdSeconds: last(25, 6), factor: 1.7 + 0.2 * chance.unit()))
        let sale = at(215 + jitter)
        campaigns.append(
            Campaign(
                id: "spring-sale", announced: at(60), start: sale, end: sale + last(75, 18),
                uplift: 2 + 0.3 * chance.unit(), comes: true))
        let wrong = at(375 + jitter)
        campaigns.append(
            Campaign(
                id: "newsletter", announced: at(335), start: wrong, end: wrong + last(45, 12),
                uplift: 1.8 + 0.2 * chance.unit(), comes: false))
        let outage = at(475 + jitter)
        outages.append(Outage(service: Shop.index(of: "search"), start: outage, end: outage + last(35, 15)))
        surges.append(
            Surge(
                start: at(610 + jitter), rampSeconds: 600, holdSeconds: last(30, 8), factor: 1.6 + 0.3 * chance.unit()))
    }

    /// How many times the usual number of shoppers come.
    package func shoppers(at time: Int64) -> Double {
        var factor = 1.0
        for surge in surges { factor *= surge.factor(at: time) }
        for campaign in campaigns where campaign.comes { factor *= campaign.factor(at: time) }
        return factor
    }

    /// How many times the usual a service is asked for by itself.
    package func shift(of service: Int, at time: Int64) -> Double {
        var factor = 1.0
        for shift in shifts where shift.service == service && time >= shift.start { factor *= shift.factor }
        return factor
    }

    /// Whether a service's metrics are missing.
    package func isSilent(_ service: Int, at time: Int64) -> Bool {
        outages.contains { $0.service == service && time >= $0.start && time < $0.end }
    }
}

extension ShopStory.Surge {
    func factor(at time: Int64) -> Double {
        1 + (factor - 1) * trapezoid(time - start, up: rampSeconds, hold: holdSeconds, down: 2 * rampSeconds)
    }
}

extension ShopStory.Campaign {
    /// Shoppers take five minutes to come, and ten to go.
    func factor(at time: Int64) -> Double {
        1 + (uplift - 1) * trapezoid(time - start, up: 300, hold: end - start - 300, down: 600)
    }
}

/// 0 → 1 within `up`, 1 for `hold`, back to 0 within `down`.
private func trapezoid(_ time: Int64, up: Int64, hold: Int64, down: Int64) -> Double {
    if time <= 0 || time >= up + hold + down { return 0 }
    if time < up { return Double(time) / Double(up) }
    if time <= up + hold { return 1 }
    return 1 - Double(time - up - hold) / Double(down)
}
