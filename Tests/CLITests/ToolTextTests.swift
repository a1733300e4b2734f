import Foundation
import Messages
import StageKit
import Testing
import TwinCore

@testable import CLI

@Suite("What the tools print")
struct ToolTextTests {
    private static func lines(topic: String, isJSON: Bool, _ value: [UInt8]?, key: [UInt8]? = nil) -> [String] {
        var lines: [String] = []
        var printer = RecordPrinter(topic: topic, isJSON: isJSON) { lines.append($0) }
        func with(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
            guard let bytes else { return body(nil) }
            bytes.withUnsafeBytes { body($0) }
        }
        with(key) { key in
            with(value) { value in
                _ = printer.print(partition: 1, offset: 7, written: 1_795_521_600_000, key: key, value: value)
            }
        }
        return lines
    }

    @Test("Every section of every stage's snapshot stands in the one list, and is shown by its letters")
    func sections() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        for case let file as URL in files where file.pathExtension == "swift" && !file.path.contains("/CLI/") {
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(!text.contains("sectionTag(\""), "\(file.lastPathComponent) has a section of its own")
        }
        for section in StateSection.allCases {
            #expect(section.rawValue.utf8.count == 4 && !section.meaning.isEmpty)
            #expect(SnapshotsVerify.tagText(section.tag) == section.rawValue)
        }
    }

    private static func outlook(
        _ incarnation: UInt64 = 1, committed: Int64?, end: Int64, _ change: (inout TaskOutlook) -> Void = { _ in }
    ) -> TaskOutlook {
        let task = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0)
        var outlook = TaskOutlook(
            task: task, group: "twin-updater.\(incarnation)", incarnation: incarnation, committed: committed, start: 0,
            end: end)
        change(&outlook)
        outlook.judge(moved: outlook.lag == 0 ? nil : false, lateRecords: 10_000)
        return outlook
    }

    @Test("A status is not ok where no stage has run, and its numbers are never absurd")
    func statusOfTasks() {
        let new = Self.outlook(committed: nil, end: 0) { $0.hasRun = false }
        #expect(new.verdict == .new)
        #expect(StatusCommand.text([new, new], hasStore: false).hasSuffix("2 tasks: no stage has run yet"))
        // Asked for one after the other, the committed offset may be beyond the end.
        let quick = Self.outlook(committed: 8_302, end: 8_300)
        #expect((quick.verdict, quick.lag, quick.end) == (.ok, 0, 8_302))
        let text = StatusCommand.text([new, quick, Self.outlook(committed: 3, end: 9)], hasStore: false)
        #expect(text.hasSuffix("3 tasks: 1 stuck, 1 new, 1 ok"))
    }

    @Test("A status says which incarnation is in force, and which has gone further in vain")
    func statusOfIncarnations() {
        let fenced = Self.outlook(1, committed: 9, end: 9) { $0.others = [(2, 5)] }
        #expect(fenced.verdict == .fenced)
        #expect(fenced.note == "incarnation 2 is in force, at 5")
        let abandoned = Self.outlook(2, committed: 5, end: 9) { $0.others = [(1, 9)] }
        #expect(abandoned.verdict == .stuck)
        #expect(abandoned.note.hasPrefix("incarnation 1 is ahead, at 9, and refused by receivers; behind and not"))
        #expect(Self.outlook(2, committed: 9, end: 9) { $0.others = [(1, 5)] }.note == "")
    }

    private static func frame() -> [UInt8] {
        let names = NameTable(namesMax: 10)
        let task = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0)
        let emitter = Emitter(
            task: task, incarnation: 1, layout: TopicLayout(partitions: 1), outputs: [.observations], names: names)
        emitter.begin(inputOffset: 4, muted: false)
        let resource = names.intern("svc-1") ?? 0
        let metric = names.intern("cpu\u{1b}[2J") ?? 0
        emitter.emit(
            Entry(
                kind: .sample, code: SampleCode(role: .demand, isCounter: false).raw, resource: resource,
                object: metric,
                time: EventTime(milliseconds: 1_795_521_600_000), value: 0.5), to: .observations, partition: 0)
        emitter.cutAll()
        return emitter.takeOutgoing().first?.value ?? []
    }

    @Test("An entry shows its fields by name, and no escape sequence of the platform reaches the terminal")
    func entry() {
        let text = Self.lines(topic: "observations", isJSON: false, Self.frame())
        #expect(text.count == 1)
        #expect(text[0].contains("sample  resource=svc-1 metric=cpu\\u{1b}[2J value=0.5 time=2026-11-24T12:00:00Z"))
        let json = Self.lines(topic: "observations", isJSON: true, Self.frame())
        #expect(json.allSatisfy { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) != nil })
    }

    @Test("Hostile bytes never crash, end a line or leave JSON broken")
    func hostile() {
        let seed: UInt64 = 20_261_124
        var state = seed
        func random() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for round in 0..<2_000 {
            var bytes = round % 2 == 0 ? Self.frame() : []
            for _ in 0..<Int(random() % 40) {
                if bytes.isEmpty || random() % 2 == 0 {
                    bytes.append(UInt8(truncatingIfNeeded: random()))
                } else {
                    bytes[Int(random() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random())
                }
            }
            for topic in ["observations", "actions"] {
                for isJSON in [false, true] {
                    for line in Self.lines(topic: topic, isJSON: isJSON, bytes, key: bytes) {
                        let isSafe = line.unicodeScalars.allSatisfy {
                            $0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value)
                        }
                        #expect(isSafe || isJSON, "seed \(seed), round \(round)")
                        #expect(!line.contains("\n"), "seed \(seed), round \(round)")
                        if isJSON {
                            let read = try? JSONSerialization.jsonObject(with: Data(line.utf8))
                            #expect(read != nil, "seed \(seed), round \(round): \(line)")
                        }
                    }
                }
            }
            bytes.withUnsafeBytes { _ = LetterText($0).text(partition: 0, offset: 0, $0) }
        }
    }

    @Test("What shows as nothing, or turns the line around, is shown as its number")
    func invisible() {
        #expect(
            printable("we\u{200b}b\u{200d}\u{ad}\u{feff}\u{e0041}")
                == "we\\u{200b}b\\u{200d}\\u{ad}\\u{feff}\\u{e0041}")
        #expect(printable("a\u{202e}b\u{2066}c\u{2028}d\u{85}") == "a\\u{202e}b\\u{2066}c\\u{2028}d\\u{85}")
        #expect(printable("Zürich 東京 ℃ 🚀") == "Zürich 東京 ℃ 🚀")
    }

    @Test("A dead letter shows its raw value as text")
    func letter() {
        let json = """
            {"id":"x","stage":"normalizer","reason":"unexpected byte","topic":"telemetry","partition":3,"offset":17,\
            "key":null,"value":"\(Data("{bad\u{7}".utf8).base64EncodedString())"}
            """
        Array(json.utf8).withUnsafeBytes { bytes in
            let text = LetterText(bytes).text(partition: 0, offset: 0, bytes)
            #expect(text == "telemetry[3]@17  normalizer  unexpected byte\n    {bad\\u{7}")
        }
    }

    @Test("Points in a topic are read in every form")
    func points() {
        #expect(StartPoint(argument: "beginning") == .beginning)
        #expect(StartPoint(argument: "end") == .end)
        #expect(StartPoint(argument: "12") == .offset(12))
        #expect(StartPoint(argument: "@1795521600.5") == .time(EventTime(milliseconds: 1_795_521_600_500)))
        #expect(StartPoint(argument: "2026-11-24T12:00:00Z") == .time(EventTime(milliseconds: 1_795_521_600_000)))
        for text in ["", "-1", "yesterday", "@", "@1e99", "12x"] { #expect(StartPoint(argument: text) == nil) }
    }

    @Test("A record's id names its task and number")
    func identity() {
        func read(_ text: String) -> (TaskID, ReplayComparison.Number)? {
            Array(text.utf8).withUnsafeBytes { ReplayComparison.identity($0) }
        }
        let found = read("{\"a\":{},\"id\":\"scaling-decider-outlooks-1-0-11-2-d0\"}")
        #expect(found?.0 == TaskID(stage: .scalingDecider, inbox: .outlooks, epoch: 1, partition: 0))
        #expect(found?.1 == ReplayComparison.Number(sequence: Sequence(offset: 11, index: 2), suffix: "d0"))
        for text in ["", "{}", "[]", "{\"id\":3}", "{\"id\":\"twin-updater-\"}", "{\"id\":\"normalizer-a-1-1-1-1\"}"] {
            #expect(read(text) == nil)
        }
    }
}
