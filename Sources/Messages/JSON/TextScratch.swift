/// Room for the few strings of one element that are written with escapes: a slot per field, allocated once, so that
/// views into it stay valid until the next element.
struct TextScratch: ~Copyable {
    /// The longest name (resource, metric, locality, tag, …) in bytes, decoded. Protects every table that is keyed by
    /// names.
    static let nameBytesMax = 256
    /// The longest free text that is kept, in bytes.
    static let textBytesMax = 1_024
    static let slots = 12

    private let room: UnsafeMutableRawBufferPointer

    init() {
        room = .allocate(byteCount: Self.slots * Self.nameBytesMax + Self.textBytesMax, alignment: 16)
    }

    deinit { room.deallocate() }

    /// The room of one field.
    func slot(_ index: Int) -> UnsafeMutableRawBufferPointer {
        precondition(index >= 0 && index < Self.slots)
        let start = index * Self.nameBytesMax
        return UnsafeMutableRawBufferPointer(rebasing: room[start..<start + Self.nameBytesMax])
    }

    /// The room of the one long text an element may have.
    var text: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: room[(Self.slots * Self.nameBytesMax)...])
    }
}
