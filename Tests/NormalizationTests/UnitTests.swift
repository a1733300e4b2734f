import Testing

@testable import Normalization

@Suite("Units become canonical")
struct UnitTests {
    static let cases: [(String, Double, Double)] = [
        ("ms", 250, 0.25), ("us", 3, 0.000003), ("µs", 3, 0.000003), ("ns", 5, 5e-9), ("s", 2, 2), ("min", 2, 120),
        ("Milliseconds", 1, 0.001), ("h", 1, 3_600), ("d", 1, 86_400), ("percent", 55, 0.55), ("%", 7, 0.07),
        ("ratio", 0.3, 0.3), ("KiB", 2, 2_048), ("MiB", 1, 1_048_576), ("GiB", 1, 1_073_741_824), ("kB", 3, 3_000),
        ("KB", 3, 3_000), ("MB", 3, 3e6), ("GB", 3, 3e9), ("bytes", 3, 3), ("By", 3, 3), ("MiBy", 1, 1_048_576),
        ("Mi", 1, 1_048_576), ("Mb", 8, 1e6), ("millicores", 250, 0.25), ("m", 250, 0.25), ("cores", 2, 2),
        ("nanocores", 2e9, 2), ("req/s", 7, 7), ("rps", 7, 7), ("/min", 120, 2), ("per_minute", 60, 1), ("rpm", 6, 0.1),
        ("req/min", 30, 0.5), ("{request}/s", 4, 4), ("1/h", 3_600, 1), ("ops/ms", 1, 1_000), ("MB/s", 2, 2e6),
        ("KiB/s", 2, 2_048), ("Mbps", 8, 1e6), ("kbit/s", 8, 1_000), ("MBps", 1, 1e6), ("MiB/min", 60, 1_048_576),
        ("", 9, 9), ("1", 9, 9), ("{pods}", 9, 9), ("count", 9, 9),
    ]

    @Test("Every unit of the table converts", arguments: cases)
    func converts(unit: String, value: Double, canonical: Double) throws {
        let table = UnitTable()
        let conversion = try #require(
            Array(unit.utf8).withUnsafeBytes { table.conversion($0, isProcessor: true) }, "\(unit)")
        #expect(conversion.canonical(value) == canonical, "\(unit)")
    }

    @Test(
        "What is not a unit is not understood",
        arguments: ["furlong", "M", "/", "//", "MB/MB", "s/s", "cores/min", "{"])
    func unknown(unit: String) {
        let table = UnitTable()
        #expect(Array(unit.utf8).withUnsafeBytes { table.conversion($0, isProcessor: false) } == nil)
    }

    @Test("A bare m means thousandths only where processors are counted")
    func bareM() {
        let table = UnitTable()
        #expect([UInt8(ascii: "m")].withUnsafeBytes { table.conversion($0, isProcessor: false) } == nil)
        #expect(
            "system.cpu.usage".utf8.withContiguousStorageIfAvailable {
                MetricNames.isProcessor(UnsafeRawBufferPointer($0))
            } == true)
        #expect(
            "memory".utf8.withContiguousStorageIfAvailable {
                MetricNames.isProcessor(UnsafeRawBufferPointer($0))
            } == false)
    }
}

extension UnitConversion: CustomStringConvertible {
    /// The line as it stands in the table.
    public var description: String { "×\(multiplier) ÷\(divisor)" }
}
