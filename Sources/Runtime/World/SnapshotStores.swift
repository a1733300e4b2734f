import Kafka
import Snapshots

/// Opens the snapshot store that the configuration names.
package enum SnapshotStores {
    /// The store of a stage.
    package static func open(_ configuration: RuntimeConfiguration) throws(StageFailure) -> any SnapshotStore {
        try open(
            configuration.snapshots, configuration.naming, configuration.kafka, configuration.snapshotOptions,
            reader: configuration.groupID, timeoutMilliseconds: configuration.startTimeoutMilliseconds)
    }

    /// The stages' store, to be looked at by a program that is none; nil if the configuration names none.
    package static func open(
        _ configuration: ProgramConfiguration, reader: String
    ) throws(StageFailure) -> (any SnapshotStore)? {
        guard let location = configuration.snapshots else { return nil }
        return try open(
            location, configuration.naming, configuration.kafka, SnapshotOptions(), reader: reader,
            timeoutMilliseconds: configuration.startTimeoutMilliseconds)
    }

    private static func open(
        _ location: SnapshotLocation, _ naming: TopicNaming, _ kafka: KafkaProperties, _ options: SnapshotOptions,
        reader: String, timeoutMilliseconds: Int
    ) throws(StageFailure) -> any SnapshotStore {
        do throws(SnapshotError) {
            switch location {
            case .directory(let path):
                return try DirectorySnapshotStore(root: path, namespace: naming.snapshotNamespace, options: options)
            case .topic(let name):
                let log = try openLog(
                    naming.qualified(name), kafka, reader: reader, timeoutMilliseconds: timeoutMilliseconds)
                return try LogSnapshotStore(log, options: options)
            }
        } catch {
            throw StageFailure(
                .refused, "the snapshot store cannot be used: \(error.reason)", hint: "check snapshots.url")
        }
    }

    private static func openLog(
        _ topic: String, _ kafka: KafkaProperties, reader: String, timeoutMilliseconds: Int
    ) throws(SnapshotError) -> KafkaSnapshotLog {
        do {
            let admin = try Admin(properties: kafka)
            let description: TopicDescription?
            do throws(KafkaError) {
                description = try admin.describeTopic(topic, timeoutMilliseconds: timeoutMilliseconds)
            } catch {
                admin.close(deadline: Deadline(milliseconds: 1_000))
                throw error
            }
            admin.close(deadline: Deadline(milliseconds: 1_000))
            guard let description else { throw SnapshotError(.missing, "there is no topic '\(topic)'") }
            return KafkaSnapshotLog(
                topic: topic, partitionCount: Int32(clamping: description.partitions.count), properties: kafka,
                groupID: "\(reader).snapshots")
        } catch let error as SnapshotError {
            throw error
        } catch {
            throw SnapshotError(.failed, "topic '\(topic)': \(error)")
        }
    }
}
