import Kafka
import Snapshots

/// Opens the snapshot store that the configuration names.
package enum SnapshotStores {
    package static func open(_ configuration: RuntimeConfiguration) throws(StageFailure) -> any SnapshotStore {
        do throws(SnapshotError) {
            switch configuration.snapshots {
            case .directory(let path):
                return try DirectorySnapshotStore(
                    root: path, namespace: configuration.naming.snapshotNamespace,
                    options: configuration.snapshotOptions)
            case .topic(let name):
                return try LogSnapshotStore(try openLog(name, configuration), options: configuration.snapshotOptions)
            }
        } catch {
            throw StageFailure(
                .refused, "the snapshot store cannot be used: \(error.reason)", hint: "check snapshots.url")
        }
    }

    private static func openLog(
        _ name: String, _ configuration: RuntimeConfiguration
    ) throws(SnapshotError) -> KafkaSnapshotLog {
        let topic = configuration.naming.qualified(name)
        do {
            let admin = try Admin(properties: configuration.kafka)
            let description: TopicDescription?
            do throws(KafkaError) {
                description = try admin.describeTopic(
                    topic, timeoutMilliseconds: configuration.startTimeoutMilliseconds)
            } catch {
                admin.close(deadline: Deadline(milliseconds: 1_000))
                throw error
            }
            admin.close(deadline: Deadline(milliseconds: 1_000))
            guard let description else { throw SnapshotError(.missing, "there is no topic '\(topic)'") }
            return KafkaSnapshotLog(
                topic: topic, partitionCount: Int32(clamping: description.partitions.count),
                properties: configuration.kafka, groupID: "\(configuration.groupID).snapshots")
        } catch let error as SnapshotError {
            throw error
        } catch {
            throw SnapshotError(.failed, "topic '\(topic)': \(error)")
        }
    }
}
