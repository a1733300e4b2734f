import StageKit
import TwinCore

/// A view that can be written to a snapshot, and read back from it into a fresh one.
package protocol RestorableView: ~Copyable {
    /// Writes everything that a fold over the topics would not bring back by itself.
    func freeze(into coder: inout StateCoder)
    /// Reads it back.
    mutating func restore(from decoder: inout StateDecoder) throws(StateError)
}

/// What snapshots of views hold besides numbers: texts, what may be missing, and runs of plain elements.
extension StateCoder {
    mutating func write(text: String) {
        var text = text
        text.withUTF8 { write(bytes: UnsafeRawBufferPointer($0)) }
    }

    mutating func write(maybe text: String?) {
        write(UInt64(text == nil ? 0 : 1))
        if let text { write(text: text) }
    }

    mutating func write(maybe time: EventTime?) {
        write(UInt64(time == nil ? 0 : 1))
        if let time { write(time.milliseconds) }
    }

    mutating func write(maybe bytes: [UInt8]?) {
        write(UInt64(bytes == nil ? 0 : 1))
        if let bytes { bytes.withUnsafeBytes { write(bytes: $0) } }
    }

    /// Elements without padding.
    mutating func write<Element: BitwiseCopyable>(elements: [Element]) {
        elements.withUnsafeBytes { write(bytes: $0) }
    }

    mutating func write<Element>(list: [Element], _ body: (Element, inout StateCoder) -> Void) {
        write(UInt64(list.count))
        for element in list { body(element, &self) }
    }
}

extension StateDecoder {
    /// More of anything is a damaged file.
    static let listMax = 100_000_000

    mutating func readText() throws(StateError) -> String { String(decoding: try readBytes(), as: UTF8.self) }

    mutating func readMaybeText() throws(StateError) -> String? {
        try readCount(max: 1) == 0 ? nil : try readText()
    }

    mutating func readMaybeTime() throws(StateError) -> EventTime? {
        try readCount(max: 1) == 0 ? nil : EventTime(milliseconds: try readInt64())
    }

    mutating func readMaybeBytes() throws(StateError) -> [UInt8]? {
        try readCount(max: 1) == 0 ? nil : [UInt8](try readBytes())
    }

    mutating func readElements<Element: BitwiseCopyable>(_ type: Element.Type) throws(StateError) -> [Element] {
        let bytes = try readBytes()
        guard bytes.count % MemoryLayout<Element>.stride == 0 else { throw .invalid("a run is cut") }
        var elements: [Element] = []
        elements.reserveCapacity(bytes.count / MemoryLayout<Element>.stride)
        for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<Element>.stride) {
            elements.append(bytes.loadUnaligned(fromByteOffset: offset, as: Element.self))
        }
        return elements
    }
}
