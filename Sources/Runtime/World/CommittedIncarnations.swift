import Kafka
import TaskLoop
import TwinCore

extension Admin {
    /// What each incarnation of a stage has committed in these partitions, ascending. One that has committed nothing
    /// there is left out.
    ///
    /// - Parameters:
    ///   - first: lower ones are not asked for.
    ///   - named: asked for in any case, however many numbers were left out before it.
    package func committedIncarnations(
        of stage: StageName, _ naming: TopicNaming, from first: UInt64 = 1, named: UInt64? = nil,
        in partitions: [KafkaPartition], timeoutMilliseconds: Int
    ) throws(KafkaError) -> [(incarnation: UInt64, offsets: [Int64?])] {
        let inUse = try Incarnations.inUse(from: first, named: named) { (incarnation) throws(KafkaError) in
            let offsets = try committedOffsets(
                ofGroup: naming.group(stage, incarnation: incarnation), partitions,
                timeoutMilliseconds: timeoutMilliseconds)
            return offsets.contains { $0 != nil } ? offsets : nil
        }
        return inUse.map { ($0.incarnation, $0.found) }
    }
}
