import Testing

@testable import Kafka

@Suite("Properties")
struct PropertiesTests {
    @Test("What the design rests on cannot be changed, under any of its names")
    func fixed() throws {
        let refused: [(String, String)] = [
            ("enable.auto.commit", "true"), ("auto.commit.enable", "true"), ("enable.auto.offset.store", "true"),
            ("auto.offset.reset", "earliest"), ("enable.idempotence", "false"), ("acks", "1"),
            ("request.required.acks", "0"), ("message.timeout.ms", "1000"), ("delivery.timeout.ms", "1000"),
            ("enable.partition.eof", "false"), ("group.id", "mine"), ("transactional.id", "x"),
        ]
        for (name, value) in refused {
            let error = #expect(throws: KafkaError.self) {
                try KafkaProperties([(name, value)]).resolved(for: .admin)
            }
            #expect(error?.reason.contains(KafkaProperties.canonical(name)) == true)
            #expect(error?.disposition == .stopBroken)
        }
        // Saying what is fixed anyway is no offence.
        let agreed = try KafkaProperties([("acks", "-1"), ("enable.auto.commit", "false")]).resolved(for: .producer)
        #expect(agreed["acks"] == "-1")
    }

    @Test("Everything else passes through and wins over the defaults")
    func passthrough() throws {
        let resolved = try KafkaProperties([
            ("ssl.ca.location", "/ca"), ("session.timeout.ms", "10000"), ("metadata.broker.list", "a:1"),
        ]).resolved(for: .consumer)
        #expect(resolved["ssl.ca.location"] == "/ca")
        #expect(resolved["session.timeout.ms"] == "10000")
        #expect(resolved["bootstrap.servers"] == "a:1")
        #expect(resolved["isolation.level"] == "read_committed")
        #expect(resolved["enable.auto.commit"] == "false")
    }

    @Test("An unknown name or a malformed value is refused by name, a secret's value never shown")
    func malformed() throws {
        let unknown = #expect(throws: KafkaError.self) { _ = try Admin(properties: ["no.such.thing": "1"]) }
        #expect(unknown?.reason.contains("'no.such.thing'") == true)
        let bad = #expect(throws: KafkaError.self) { _ = try Admin(properties: ["socket.timeout.ms": "soon"]) }
        #expect(bad?.reason.contains("'socket.timeout.ms'") == true)
        #expect(bad?.disposition == .stopBroken)
        let secret = #expect(throws: KafkaError.self) {
            _ = try Admin(properties: ["security.protocol": "ssl", "ssl.key.pem": "topsecret"])
        }
        #expect(secret?.reason.contains("topsecret") == false)
    }

    @Test("Secrets are not in the description")
    func redaction() {
        let properties: KafkaProperties = [
            "bootstrap.servers": "b:1", "sasl.password": "s1", "ssl.key.password": "s2",
            "sasl.oauthbearer.config": "s3", "sasl.oauthbearer.client.secret": "s4", "ssl.key.pem": "s5",
            "ssl.keystore.password": "s6",
        ]
        let text = "\(properties)"
        #expect(text.contains("bootstrap.servers=b:1"))
        for number in 1...6 { #expect(!text.contains("s\(number)")) }
        #expect(text.contains("sasl.password=***"))
    }

    @Test("Cooperative assignment needs a library in which commits do not lose it")
    func cooperative() throws {
        let properties: KafkaProperties = ["partition.assignment.strategy": "cooperative-sticky"]
        let error = #expect(throws: KafkaError.self) {
            try properties.resolved(for: .consumer, version: LibraryVersion(2, 0, 2))
        }
        #expect(error?.reason.contains("4059") == true)
        let resolved = try properties.resolved(for: .consumer, version: LibraryVersion(2, 10, 0))
        #expect(resolved["partition.assignment.strategy"] == "cooperative-sticky")
        #expect(throws: KafkaError.self) {
            try KafkaProperties([("partition.assignment.strategy", "sticky,range")])
                .resolved(for: .consumer, version: LibraryVersion(2, 16, 0))
        }
        #expect(LibraryVersion.loaded >= LibraryVersion(2, 0, 2))
        #expect("\(LibraryVersion(2, 10, 1))" == "2.10.1")
    }

    @Test("The library's texts become the middle of a sentence")
    func sentences() {
        #expect(KafkaError.sentence("Local: Broker transport failure\n") == "broker transport failure")
        #expect(KafkaError.sentence("SASL authentication error") == "SASL authentication error")
        #expect(KafkaError(refusing: "no").disposition == .stopBroken)
    }
}
