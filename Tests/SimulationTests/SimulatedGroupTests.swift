import Simulation
import Testing
import TwinCore

@Suite("The group of the simulation")
struct SimulatedGroupTests {
    @Test("A member that was given up and comes back while it lets go has let go once it has heard of that")
    func answerTooOld() {
        let partition = TopicPartition(.observations, 0)
        let group = SimulatedGroup(partitions: [partition])
        group.join(1)
        #expect(group.takeEvent(1) == .assigned([partition]))
        group.rebalance()
        #expect(group.takeEvent(1) == .revoked([partition], lost: false))
        group.evict(1)
        group.wake(1)
        group.released(1)
        #expect(group.takeEvent(1) == .revoked([partition], lost: true))
        group.released(1)
        #expect(group.takeEvent(1) == .assigned([partition]))
        #expect(group.owns(1, partition) && group.takeEvent(1) == nil)
    }
}
