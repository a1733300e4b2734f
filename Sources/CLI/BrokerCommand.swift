import ArgumentParser
import Foundation
import Glibc
import Kafka
import Topology

/// `twinscale broker`: a Kafka-protocol broker in a process, for demos and trials.
package struct BrokerCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "broker",
        abstract: "Run a small Kafka-protocol broker in memory, with all topics of the pipeline.",
        discussion: """
            For trying things out, not for production: nothing is kept on disk, and a partition holds at most 5 MB or \
            100000 records; the oldest go first. Listens on the loopback interface, on a port that it picks and prints \
            as 'bootstrap: host:port'. Any client can talk to it, for example: kcat -b HOST:PORT -L
            It answers no admin requests: its topics are made as it starts, and others with 4 partitions on first use.
            Ends on Ctrl-C or SIGTERM.
            """)

    @Option(
        help: ArgumentHelp(
            "Directory with the topics' files to read partition counts from; without it the built-in topology counts.",
            valueName: "dir"))
    var topics: String?

    @Option(help: "Partitions of every topic but policies and commands, instead of the files' or the built-in number.")
    var partitions: Int?

    @Option(
        help: ArgumentHelp(
            "Prefix of all topics. May be repeated, for a set of topics each; '' is the plain one.",
            valueName: "namespace"))
    var namespace = [""]

    @Option(help: ArgumentHelp("Also write the address to this file once the topics exist.", valueName: "path"))
    var bootstrapFile: String?

    @Option(
        help: ArgumentHelp(
            "End when this process ends, together with all processes of our group if we lead it.", valueName: "pid"))
    var parentPid: Int32?

    package init() {}

    package func validate() throws {
        for name in namespace { if let fault = Topology.fault(inNamespace: name) { throw ValidationError(fault) } }
        if let partitions, !(1...1_000).contains(partitions) { throw ValidationError("--partitions is 1 to 1000") }
        if let parentPid, parentPid <= 1 { throw ValidationError("--parent-pid is the id of a running process") }
    }

    package func run() throws {
        StopSignal.install()
        let broker: EmbeddedBroker
        do {
            broker = try EmbeddedBroker()
            for (name, count) in try wanted() {
                for namespace in namespace {
                    try broker.createTopic(Topology.brokerName(name, namespace: namespace), partitions: count)
                }
            }
        } catch let error as KafkaError {
            throw failure(error.reason)
        } catch let error as TopicFileError {
            throw failure("\(error)")
        }
        print("bootstrap: \(broker.bootstrapServers)")
        fflush(nil)
        if let bootstrapFile { try announce(broker.bootstrapServers, in: bootstrapFile) }
        while !StopSignal.isRaised {
            usleep(50_000)
            if let parentPid, kill(parentPid, 0) != 0 {
                // Whoever started us is gone, and cannot end the others any more.
                if getpgrp() == getpid() { kill(0, SIGTERM) }
                break
            }
        }
        withExtendedLifetime(broker) {}
    }

    /// Every topic with its number of partitions.
    private func wanted() throws(TopicFileError) -> [(name: String, partitions: Int)] {
        if let topics {
            return try TopicFiles.read(directory: topics).map { file in
                let isSingle = Topology.topics.contains { $0.name == file.name && $0.partitions == .one }
                return (file.name, isSingle ? 1 : partitions ?? file.partitions)
            }
        }
        return (Topology.topics + Topology.stores).map { plan in
            (plan.name, plan.partitions == .one ? 1 : partitions ?? Int(Topology.partitionsDefault))
        }
    }

    /// Written beside and renamed, so that a reader sees all of it or nothing.
    private func announce(_ servers: String, in path: String) throws {
        do {
            try Data((servers + "\n").utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw failure("cannot write '\(path)': \(error.localizedDescription)")
        }
    }
}
