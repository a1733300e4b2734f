import Testing

@testable import TaskLoop

@Suite("The search for the incarnations in use")
struct IncarnationsTests {
    private func inUse(from first: UInt64 = 1, named: UInt64? = nil, of used: Set<UInt64>) -> [UInt64] {
        var asked: [UInt64] = []
        let found = Incarnations.inUse(from: first, named: named) { incarnation -> String? in
            asked.append(incarnation)
            return used.contains(incarnation) ? "\(incarnation)" : nil
        }
        #expect(Set(asked).count == asked.count, "asked twice: \(asked)")
        #expect(found.allSatisfy { "\($0.incarnation)" == $0.found })
        return found.map(\.incarnation)
    }

    @Test("All are found, one number that was left out is passed over, two end it")
    func gaps() {
        #expect(inUse(of: [1]) == [1])
        #expect(inUse(of: [1, 2, 3]) == [1, 2, 3])
        #expect(inUse(of: [2, 4, 6]) == [2, 4, 6])
        #expect(inUse(of: [1, 4]) == [1])
        #expect(inUse(of: []) == [])
    }

    @Test("It begins where it is told")
    func beginning() {
        #expect(inUse(from: 2, of: [1, 2, 3]) == [2, 3])
        #expect(inUse(from: 4, of: [1, 2, 3]) == [])
        #expect(inUse(from: .max - 1, of: []) == [])
    }

    @Test("One that is named is found wherever it is, and those after it")
    func named() {
        #expect(inUse(named: 2_026, of: [1, 2_026, 2_028]) == [1, 2_026, 2_028])
        #expect(inUse(named: 2, of: [1, 2, 3]) == [1, 2, 3])
        #expect(inUse(named: 4, of: [4]) == [4])
        #expect(inUse(from: 7, named: 2, of: [2, 7]) == [7])
    }

    @Test("It ends")
    func bound() { #expect(inUse(of: Set(1...1_000)) == Array(1...64)) }
}
