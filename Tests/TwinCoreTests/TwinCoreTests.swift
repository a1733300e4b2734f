import Testing
import TwinCore

@Suite("The words")
struct TwinCoreTests {
    @Test("FNV-1a has the values of its authors' test suite")
    func fnv() {
        #expect(fnv1a64("") == 0xcbf2_9ce4_8422_2325)
        #expect(fnv1a64("a") == 0xaf63_dc4c_8601_ec8c)
        #expect(fnv1a64("foobar") == 0x8594_4171_f739_67e8)
    }

    @Test("A task's packed form is read back, and nonsense is refused")
    func packing() {
        for stage in StageName.allCases {
            for topic in TopicName.allCases {
                let task = TaskID(stage: stage, inbox: topic, epoch: 65_535, partition: Int32.max)
                #expect(TaskID(packed: task.packed) == task)
            }
        }
        #expect(TaskID(packed: 0) == nil)
        #expect(TaskID(packed: 0x01ff_0001_0000_0000) == nil)
        #expect(TaskID(packed: 0x0101_0001_8000_0000) == nil, "a negative partition")
    }

    @Test("Sequences are ordered by offset, then index, and none comes before all")
    func order() {
        #expect(Sequence.none < Sequence(offset: 0, index: 0))
        #expect(Sequence(offset: 3, index: 9) < Sequence(offset: 4, index: 0))
        #expect(Sequence(offset: 4, index: 0) < Sequence(offset: 4, index: 1))
    }

    @Test("A division that rounds down leaves a remainder within the divisor, before the epoch too")
    func flooredDivision() {
        let day: Int64 = 86_400_000
        for (value, quotient, remainder) in [
            (0, 0, 0), (1, 0, 1), (day - 1, 0, day - 1), (day, 1, 0), (-1, -1, day - 1), (-day, -1, 0),
            (-day - 1, -2, day - 1), (.min, -106_751_991_168, 60_424_192),
        ] as [(Int64, Int64, Int64)] {
            #expect(value.flooredDivision(by: day) == (quotient, remainder), "\(value)")
        }
    }

    @Test("Event time saturates where it would overflow")
    func saturation() {
        #expect(EventTime.distantFuture.advanced(byMilliseconds: 1) == .distantFuture)
        #expect(EventTime.distantPast.advanced(byMilliseconds: -1) == .distantPast)
        #expect(EventTime.distantFuture.milliseconds(since: .distantPast) == .max)
        #expect(EventTime.distantPast.milliseconds(since: .distantFuture) == .min)
    }

    @Test("A digest tells order, length and content apart")
    func digest() {
        func of(_ parts: [[UInt8]]) -> UInt64 {
            var digest = Digest()
            for part in parts { part.withUnsafeBytes { digest.combine($0) } }
            return digest.value
        }
        #expect(of([[1, 2, 3]]) != of([[1, 2, 3, 0]]))
        #expect(of([[1, 2, 3]]) != of([[3, 2, 1]]))
        #expect(of([[0]]) != of([[0, 0]]))
        #expect(of([[1, 2, 3, 4, 5, 6, 7, 8], [9]]) == of([[1, 2, 3, 4, 5, 6, 7, 8, 9]]))
    }

    @Test("One is one, whatever is counted")
    func counting() {
        #expect([0, 1, 2].map { counted($0, "sample") } == ["0 samples", "1 sample", "2 samples"])
        #expect([1, 3].map { counted($0, "entry") } == ["1 entry", "3 entries"])
        #expect([1, 3].map { counted($0, "series") } == ["1 series", "3 series"])
        #expect(counted(UInt64(2), "replay") == "2 replays")
    }
}
