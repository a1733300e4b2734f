import Messages
import TwinCore

/// A record that could not be understood, on its way to `deadletters`.
package struct DeadLetter {
    /// The input record; borrowed.
    package var topic: TopicName
    package var partition: Int32
    package var offset: Int64
    package var key: UnsafeRawBufferPointer?
    package var value: UnsafeRawBufferPointer?
    /// Why, in lower case and one line.
    package var reason: String

    package init(
        topic: TopicName, partition: Int32, offset: Int64, key: UnsafeRawBufferPointer?,
        value: UnsafeRawBufferPointer?, reason: String
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.key = key
        self.value = value
        self.reason = reason
    }

    /// The most of the raw value that is kept; the rest is dropped and the letter says so.
    package static let rawBytesMax = 262_144

    func write(into writer: inout JSONWriter, id: String, task: TaskID) {
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("stage")
        writer.string(task.stage.text)
        writer.key("reason")
        writer.string(reason)
        writer.key("topic")
        writer.string(topic.text)
        writer.key("partition")
        writer.int(Int64(partition))
        writer.key("offset")
        writer.int(offset)
        Self.raw(key, name: "key", into: &writer)
        Self.raw(value, name: "value", into: &writer)
        if let value, value.count > Self.rawBytesMax {
            writer.key("truncated")
            writer.bool(true)
            writer.key("bytes")
            writer.int(Int64(value.count))
        }
        writer.endObject()
    }

    private static func raw(_ bytes: UnsafeRawBufferPointer?, name: StaticString, into writer: inout JSONWriter) {
        writer.key(name)
        guard let bytes else {
            writer.null()
            return
        }
        let encoded = base64(UnsafeRawBufferPointer(rebasing: bytes.prefix(rawBytesMax)))
        encoded.withUnsafeBytes { writer.string($0) }
    }
}

/// Base 64 (RFC 4648, with padding).
package func base64(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
        let a = UInt32(bytes[index])
        let b = index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0
        let c = index + 2 < bytes.count ? UInt32(bytes[index + 2]) : 0
        let word = a << 16 | b << 8 | c
        out.append(alphabet[Int(word >> 18)])
        out.append(alphabet[Int(word >> 12 & 63)])
        out.append(index + 1 < bytes.count ? alphabet[Int(word >> 6 & 63)] : UInt8(ascii: "="))
        out.append(index + 2 < bytes.count ? alphabet[Int(word & 63)] : UInt8(ascii: "="))
        index += 3
    }
    return out
}
