/// How long before a rise reached a service its rule had ordered enough for it.
package struct ShopWarning: Sendable, Equatable {
    /// What rose: `surge 07:03`, `spring-sale`.
    package let cause: Int64
    package let service: Int
    /// Minutes; negative if the rise came first. Nil if what was there had been enough all along.
    package let minutes: Double?

    /// A rise has come when demand has made so much of its way.
    package static let shareOfRise = 0.8
    /// Nobody can claim a longer warning: what was ordered earlier was ordered for something else.
    package static let minutesMax = 30.0
}

extension ShopFleet {
    /// Warnings along the chain for every rise of the live part, of one side.
    package func warnings(of side: ShopSide) -> [ShopWarning] {
        var rises: [(start: Int64, factor: Double)] = []
        for surge in story.surges where surge.start >= story.live { rises.append((surge.start, surge.factor)) }
        for campaign in story.campaigns where campaign.start >= story.live && campaign.comes {
            rises.append((campaign.start, campaign.uplift))
        }
        rises.sort { $0.start < $1.start }
        return rises.flatMap { rise in
            Shop.chain.compactMap { warning(of: side, rise.start, rise.factor, $0) }
        }
    }

    private func warning(of side: ShopSide, _ start: Int64, _ factor: Double, _ service: Int) -> ShopWarning? {
        let first = Int((start - story.live) / Shop.stepSeconds)
        guard first >= 1, first < demandHistory.count else { return nil }
        let level =
            demandHistory[max(first - 10, 0)..<first].map { $0[service] }.reduce(0, +)
            / Double(first - max(first - 10, 0))
        let risen = level * (1 + ShopWarning.shareOfRise * (factor - 1))
        // The chain is as long as half an hour; a rise that has not come by then is none.
        let window = first..<min(first + Int(1_800 / Shop.stepSeconds), demandHistory.count)
        guard let crossing = window.first(where: { demandHistory[$0][service] >= risen }) else { return nil }
        let needed = Int((risen / Shop.services[service].capacityPerReplica / ShopSide.sloUtilisation).rounded(.up))
        let perMinute = Double(60 / Shop.stepSeconds)
        let earliest = max(crossing - Int(ShopWarning.minutesMax * perMinute), 0)
        if (earliest...crossing).allSatisfy({ side.history[$0][service] >= needed }) {
            return ShopWarning(cause: start, service: service, minutes: nil)
        }
        var enough = crossing
        if side.history[crossing][service] >= needed {
            while enough > earliest, side.history[enough - 1][service] >= needed { enough -= 1 }
        } else {
            while enough < side.history.count - 1, side.history[enough][service] < needed { enough += 1 }
        }
        return ShopWarning(cause: start, service: service, minutes: Double(crossing - enough) / perMinute)
    }

    /// Mean minutes of warning at each service of the chain; nil where no rise asked for more.
    package func warningPerHop(of side: ShopSide) -> [Double?] {
        let all = warnings(of: side)
        return Shop.chain.map { service in
            let minutes = all.filter { $0.service == service }.compactMap(\.minutes)
            return minutes.isEmpty ? nil : minutes.reduce(0, +) / Double(minutes.count)
        }
    }
}
