import TestKit
import Testing

@testable import Backtest

@Suite("CSV files")
struct CSVReaderTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func rows(of path: String, bufferBytes: Int = 1 << 20) throws -> [[String]] {
        var reader = CSVReader(file: try InputFile(path: path), bufferBytes: bufferBytes)
        var rows: [[String]] = []
        while true {
            switch try reader.next() {
            case .end: return rows
            case .fault(let fault): rows.append(["fault \(reader.line): \(fault)"])
            case .row:
                rows.append((0..<reader.fieldCount).map { String(decoding: reader.field($0), as: UTF8.self) })
            }
        }
    }

    @Test("quotes, line ends, blank lines and a byte order mark are read as RFC 4180 says")
    func rfc4180() throws {
        let text = "\u{feff}a,b,c\r\n1,\"x, \"\"y\"\"\nz\",3\n\n\r\n,\"\",\n4,5\"6,7"
        let path = try scratch.write("a.csv", text)
        #expect(
            try rows(of: path) == [
                ["a", "b", "c"], ["1", "x, \"y\"\nz", "3"], ["", "", ""], ["4", "5\"6", "7"],
            ])
    }

    @Test("a stray quote costs its own line, not what follows")
    func strayQuote() throws {
        let path = try scratch.write("a.csv", "a,b\n1,\"x\"y\n2,z\n3,\"never\n4,w\n")
        #expect(
            try rows(of: path) == [
                ["a", "b"], ["fault 2: quoting"], ["2", "z"], ["fault 4: unfinished"], ["4", "w"],
            ])
    }

    @Test("a row beyond the limit is passed over and the next one is read")
    func overlong() throws {
        let long = String(repeating: "x", count: CSVReader.rowBytesMax + 10)
        let path = try scratch.write("a.csv", "a,b\n\(long),1\n2,3\n")
        #expect(try rows(of: path) == [["a", "b"], ["fault 2: unfinished"], ["2", "3"]])
    }

    @Test("random files agree with a naive reader, however they are cut and packed", arguments: 0..<200)
    func agreesWithNaiveReader(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let alphabet: [String] = ["a", "7", ".", " ", ",", "\"", "\n", "\r\n", "é", "-"]
        var text = ""
        var expected: [[String]] = []
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            var row: [String] = []
            for column in 0..<Int.random(in: 1...5, using: &random) {
                var field = ""
                for _ in 0..<Int.random(in: 0...9, using: &random) {
                    field += alphabet.randomElement(using: &random) ?? ""
                }
                let isPlain = !field.contains { ",\"\n\r\r\n".contains($0) }
                if column > 0 { text += "," }
                if isPlain, Bool.random(using: &random) {
                    text += field
                } else {
                    text += "\"" + field.replacing("\"", with: "\"\"") + "\""
                }
                row.append(field)
            }
            text += Bool.random(using: &random) ? "\n" : "\r\n"
            expected.append(row)
        }
        let bytes = Array(text.utf8)
        let packed: [UInt8]
        switch seed % 3 {
        case 0: packed = bytes
        case 1: packed = gzip(bytes)
        default:
            let cut = Int.random(in: 0...bytes.count, using: &random)
            packed = gzip(Array(bytes[..<cut])) + gzip(Array(bytes[cut...])) + [0, 0]
        }
        let path = try scratch.write("a", packed)
        // An empty line, and a row of one empty field written without quotes, are the same: both are passed over.
        let found = try rows(of: path, bufferBytes: Int.random(in: 400...700, using: &random))
        let isEmpty: ([String]) -> Bool = { $0 == [""] }
        #expect(found.filter { !isEmpty($0) } == expected.filter { !isEmpty($0) }, "seed \(seed)")
    }

    @Test("random bytes never crash the reader and always end", arguments: 0..<50)
    func survivesGarbage(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let pool: [UInt8] = [0x22, 0x2c, 0x0a, 0x0d, 0x41, 0x00, 0xff, 0x30]
        let bytes = (0..<5_000).map { _ in pool.randomElement(using: &random) ?? 0 }
        let path = try scratch.write("a", bytes)
        #expect(try rows(of: path, bufferBytes: 128).count > 0, "seed \(seed)")
    }

    @Test("a compressed file that is cut off or damaged is an error that says so")
    func damagedGzip() throws {
        let whole = gzip(Array(String(repeating: "1,2,3\n", count: 10_000).utf8))
        let cut = try scratch.write("cut.csv.gz", Array(whole.dropLast(9)))
        #expect(throws: BacktestError.self) { try rows(of: cut) }
        var broken = whole
        broken[broken.count / 2] ^= 0xff
        broken[broken.count / 2 + 1] ^= 0xff
        let damaged = try scratch.write("damaged.csv.gz", broken)
        #expect(throws: BacktestError.self) { try rows(of: damaged) }
    }

    @Test("a file that is not there, or no file, is named in the error")
    func missingFile() throws {
        #expect(throws: BacktestError(.file, "\(scratch.path)/none.csv cannot be opened: no such file or directory")) {
            try InputFile(path: "\(scratch.path)/none.csv")
        }
        #expect(throws: BacktestError.self) { try InputFile(path: "/dev/null") }
    }
}
