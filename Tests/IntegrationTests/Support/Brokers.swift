import Glibc
import Kafka

/// A broker to test against.
protocol TestBroker: AnyObject {
    var name: String { get }
    var bootstrapServers: String { get }
    func createTopic(_ name: String, partitions: Int) throws
    /// Makes it unreachable: connections break or hang.
    func interrupt() throws
    /// Makes it reachable again, with all that it had.
    func resume() throws
    /// Makes it answer late for so long before `body`, so that whoever is killed there has sent outputs and not
    /// committed.
    func stall(milliseconds: UInt32, _ body: () -> Void)
}

extension TestBroker {
    func stall(milliseconds: UInt32, _ body: () -> Void) { body() }

    /// For a test's own clients.
    var properties: KafkaProperties { ["bootstrap.servers": bootstrapServers, "fetch.wait.max.ms": "20"] }
}

/// librdkafka's cluster, in this process; the workers reach it through loopback like any other.
final class EmbeddedTestBroker: TestBroker {
    private let broker: EmbeddedBroker
    let name = "embedded"

    init() throws { broker = try EmbeddedBroker() }

    var bootstrapServers: String { broker.bootstrapServers }

    func createTopic(_ name: String, partitions: Int) throws { try broker.createTopic(name, partitions: partitions) }

    func interrupt() throws { try broker.takeDown() }

    func resume() throws { try broker.bringUp() }
}

/// Tansu: an independent implementation of the protocol, one process, memory only. `.ci/tansu` installs it.
final class TansuTestBroker: TestBroker {
    private let process: ChildProcess
    let name = "tansu"
    let bootstrapServers: String

    /// The binary, if the environment names one and the loaded librdkafka can talk to it.
    static var binary: String? {
        // 2.0 and 2.1 do not skip tagged fields that they do not know, which this broker sends.
        guard LibraryVersion.loaded >= LibraryVersion(2, 2, 0), let path = getenv("TWINSCALE_TANSU") else { return nil }
        let text = String(cString: path)
        return access(text, X_OK) == 0 ? text : nil
    }

    init(directory: String) throws {
        guard let binary = Self.binary else { throw Trouble("TWINSCALE_TANSU names no broker") }
        let port = try freePort()
        bootstrapServers = "127.0.0.1:\(port)"
        let url = "tcp://127.0.0.1:\(port)"
        process = try ChildProcess(
            binary,
            [
                "broker", "--silent", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine",
                "memory://tansu/",
            ], log: "\(directory)/tansu.log")
        let admin = try Admin(properties: ["bootstrap.servers": bootstrapServers])
        let deadline = Deadline(milliseconds: 20_000)
        while true {
            do {
                _ = try admin.describeCluster(timeoutMilliseconds: 500)
                break
            } catch {
                guard process.isRunning, !deadline.hasPassed else {
                    throw Trouble("the broker does not answer (\(process.ending)): \(error)")
                }
                usleep(50_000)
            }
        }
        admin.close(deadline: Deadline(milliseconds: 2_000))
    }

    func createTopic(_ name: String, partitions: Int) throws {
        let admin = try Admin(properties: ["bootstrap.servers": bootstrapServers])
        try admin.createTopics(
            [TopicSpecification(name: name, partitions: partitions, replication: 1)], timeoutMilliseconds: 10_000)
        admin.close(deadline: Deadline(milliseconds: 2_000))
    }

    /// What is sent meanwhile waits in the sockets, and is taken even from those that have died.
    func stall(milliseconds: UInt32, _ body: () -> Void) {
        process.send(SIGSTOP)
        usleep(milliseconds * 1_000)
        body()
        process.send(SIGCONT)
    }

    func interrupt() { process.send(SIGSTOP) }

    func resume() { process.send(SIGCONT) }
}

/// A port of loopback that nobody listens on now.
func freePort() throws -> Int {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard socket >= 0 else { throw Trouble("no socket") }
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            bind(socket, pointer, length) == 0 ? getsockname(socket, pointer, &length) : -1
        }
    }
    guard code == 0 else { throw Trouble("no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
}
