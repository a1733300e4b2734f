import Messages
import StageKit
import TwinCore

extension ScalingStage {
    private static var resourcesTag: UInt32 { StateSection.scalingResources.tag }
    private static var ordersTag: UInt32 { StateSection.scalingOrders.tag }

    package mutating func freeze(into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(reached)
        book.freeze(into: &coder)
        ledger.freeze(into: &coder)
        departures.encode(into: &coder)
        writer.add(tag: Self.ordersTag, bytes: coder.bytes)
        cells.freeze(tag: Self.resourcesTag, into: &writer)
    }

    package mutating func restore(from reader: StateReader) throws(StateError) {
        var decoder = try reader.decoder(tag: Self.ordersTag)
        reached = try decoder.readInt64()
        try book.restore(from: &decoder, names: names)
        try ledger.restore(from: &decoder)
        try departures.decode(from: &decoder, namesMax: names.count)
        guard decoder.isAtEnd else { throw .invalid("bytes behind the decider's orders") }
        try cells.restore(tag: Self.resourcesTag, from: reader) { $0.pointee.resource == 0 }
        for slot in 0..<cells.count where cells.read(slot).pointee.resource != 0 {
            let cell = cells.read(slot)
            guard cell.pointee.isSound(policies: book.slots.count, names: names.count) else {
                throw .invalid("a resource of the decider is damaged")
            }
            guard index.find(cell.pointee.resource, 0) == nil else { throw .invalid("a resource stands twice") }
            index.insert(cell.pointee.resource, 0, slot)
            if cell.pointee.action.isInFlight || cell.pointee.proposal.isOpen { pending.append(slot) }
        }
        refillBudgets()
    }
}
