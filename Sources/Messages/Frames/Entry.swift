import TwinCore

/// What one entry of a frame says. The raw value is on the wire and never changes.
///
/// Every entry is one row of the same shape (`Entry`); the comment behind each case says what its fields mean.
package enum EntryKind: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    /// A measurement. object: metric; value: in canonical units; code: `SampleCode`.
    case sample = 1
    /// Identity of a resource, on first sight, on change and now and then. object: locality, if known; time: as of when
    /// this is known; text: JSON `{class, tags}`.
    case tags = 2
    /// Observed traffic between two resources. resource: source; object: target; value: calls per second;
    /// numbers: [bytes per second, latency seconds]; code: `InteractionCode`.
    case interaction = 3
    /// A planned event. object: event id; time: start; value: uplift factor (0 when cancelled); text: the event's
    /// JSON as it came in.
    case event = 4
    /// A request to fit afresh. object: metric; time: estimated change point; value: steps that the new fit must rest
    /// on before drift is judged by it; code: `RetrainCode`.
    case retrain = 5
    /// What an actuator reports. time: event time; value: ready units (NaN if unknown); text: the outcome's JSON.
    case outcome = 6
    /// A scaling policy. object: policy name; value: version; text: its JSON, empty when deleted; code: 1 where a
    /// decider says again what it knows.
    case policy = 7
    /// An operator's command. text: its JSON.
    case command = 8
    /// A twin's forecast of one metric. object: metric; time: of the last sample; value: present level;
    /// code: `ForecastCode`; numbers: `ForecastNumbers`.
    case forecast = 9
    /// The sender's watermark. time: watermark.
    case watermark = 10
    /// A contribution that crosses an edge into another locality. resource: source; object: target;
    /// code: hop; time: expiry; numbers: one contribution per horizon.
    case influence = 11
    /// A forecast with its neighbours' influence added; what decisions are made from. Fields as `forecast`.
    case outlook = 12
    /// The resource does not live in this partition, or not any more. object: its locality, none when it is not heard
    /// of any more at all; code: the partition where it lives; time: as of when this is known.
    case gone = 13
}

/// One entry of a frame: a row whose fields mean what its kind says. Names are numbers of the receiving task's
/// `NameTable` once the task has resolved them (indices into the frame's dictionary before).
/// Pointers are valid only while the record that carried the frame is being received.
package struct Entry {
    package var kind: EntryKind
    package var code: UInt32
    package var resource: UInt32
    package var object: UInt32
    package var time: EventTime
    package var value: Double
    package var numbers: FloatSlice
    package var text: UnsafeRawBufferPointer

    /// Values of samples beyond this, either way, are no measurement of anything: dead letters.
    package static let sampleValueMax = 1e18

    package init(
        kind: EntryKind, code: UInt32 = 0, resource: UInt32 = 0, object: UInt32 = 0,
        time: EventTime = EventTime(milliseconds: 0), value: Double = 0, numbers: FloatSlice = FloatSlice(),
        text: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        self.kind = kind
        self.code = code
        self.resource = resource
        self.object = object
        self.time = time
        self.value = value
        self.numbers = numbers
        self.text = text
    }
}

/// A borrowed run of 32-bit floats at any alignment.
package struct FloatSlice {
    @usableFromInline let start: UnsafeRawPointer?
    package let count: Int

    @inlinable package init() {
        start = nil
        count = 0
    }

    @inlinable package init(start: UnsafeRawPointer?, count: Int) {
        self.start = start
        self.count = start == nil ? 0 : count
    }

    /// The element at `index`; the caller stays below `count`.
    @inlinable package subscript(index: Int) -> Float {
        precondition(index >= 0 && index < count, "float index beyond the entry's numbers")
        guard let start else { return 0 }
        return start.loadUnaligned(fromByteOffset: index &* 4, as: Float.self)
    }

    /// All elements as raw bytes.
    @inlinable package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count &* 4) }
}
