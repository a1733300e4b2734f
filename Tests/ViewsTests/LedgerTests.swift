import TestKit
import Testing

@testable import Views

/// The bounded containers against naive ones.
@Suite struct LedgerTests {
    @Test(arguments: 1...40) func aRingHoldsTheLastElementsInOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let limit = Int.random(in: 1...9, using: &random)
        var ring = Ring<Int>(elementsMax: limit)
        var naive: [Int] = []
        for value in 0..<Int.random(in: 0...40, using: &random) {
            let dropped = ring.append(value)
            naive.append(value)
            #expect(dropped == (naive.count > limit ? naive.removeFirst() : nil), "seed \(seed)")
            #expect((0..<ring.count).map { ring[$0] } == naive, "seed \(seed)")
            let bound = Int.random(in: -1...41, using: &random)
            #expect(ring.partition { $0 < bound } == naive.filter { $0 < bound }.count, "seed \(seed)")
        }
    }

    @Test(arguments: 1...40) func aLedgerPagesAsANaiveListDoes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let limit = Int.random(in: 1...12, using: &random)
        var ledger = Ledger<Int>(recordsMax: limit)
        var naive: [(id: String, value: Int)] = []
        for value in 0..<60 {
            let id = "\(Int.random(in: 0..<30, using: &random))"
            if let known = naive.firstIndex(where: { $0.id == id }) {
                naive[known].value = value
                let isNew = ledger.put(id, value)
                #expect(!isNew)
            } else {
                naive.append((id, value))
                let isNew = ledger.put(id, value)
                #expect(isNew)
                if naive.count > limit { naive.removeFirst() }
            }
            #expect(ledger.count == naive.count, "seed \(seed)")
            for one in naive { #expect(ledger[id: one.id] == one.value, "seed \(seed)") }
        }
        let wanted = naive.reversed().map(\.value).filter { $0 % 3 != 0 }
        var found: [Int] = []
        var cursor: Int?
        repeat {
            let page = ledger.page(before: cursor, limit: 2) { $0 % 3 != 0 }
            found += page.records
            cursor = page.next
        } while cursor != nil
        #expect(found == wanted, "seed \(seed)")
    }
}
