import TestKit
import Testing
import TwinCore

@testable import Backtest

@Suite("Scoring and writing")
struct ScoringTests {
    @Test("the window's quantiles are those of the last errors", arguments: 0..<10)
    func window(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var window = ErrorWindow()
        var all: [Float] = []
        for _ in 0..<500 {
            let error = Float(Int.random(in: -50...50, using: &random))
            window.append(error)
            all.append(error)
            let last = all.suffix(ErrorWindow.errorsMax).sorted()
            guard last.count >= ErrorWindow.errorsMin else {
                #expect(window.quantile(0.9) == 0)
                continue
            }
            let place = min(0.9 * Double(last.count + 1) / Double(last.count), 1) * Double(last.count - 1)
            let low = Int(place)
            let expected = last[low] + (last[min(low + 1, last.count - 1)] - last[low]) * Float(place - Double(low))
            #expect((window.quantile(0.9) - expected).magnitude < 1e-3, "seed \(seed)")
        }
    }

    @Test("a forecast is compared with the sample round(horizon / step) steps later, and with none if that is missing")
    func matching() {
        let accuracy = Accuracy(horizons: [300])
        func expect(_ seconds: Int64, _ value: Float) {
            accuracy.expect(
                ForecastRows.Issued(
                    series: 0, time: EventTime(seconds: seconds), level: 1, stepSeconds: 57,
                    numbers: [300, value, value, value, value, value, value][...]))
        }
        // round(300 / 57) = 5 steps = 285 s.
        for step in 0..<20 where step != 11 {
            let time = Int64(1_000 + step * 57)
            accuracy.observe(0, Double(step), at: EventTime(seconds: time))
            expect(time, Float(step + 5))
        }
        let sums = accuracy.sums(0)[0]
        // Of 19 forecasts 14 end before the last sample, and one of them meets the hole; one fewer starts there.
        #expect(sums.count == 13)
        #expect(sums.absoluteError == 0)
        #expect(sums.atOrBelow == [13, 13, 13, 13, 13])
        #expect(sums.below == [0, 0, 0, 0, 0])
    }

    @Test("single-precision numbers are written with the fewest decimals that read back the same", arguments: 0..<5)
    func floats(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for _ in 0..<2_000 {
            let value =
                Bool.random(using: &random)
                ? Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))
                : Float.random(in: -1_000...1_000, using: &random)
            guard value.isFinite else { continue }
            var bytes: [UInt8] = []
            CSVField.append(value, to: &bytes)
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(Float(text) == value && !text.contains("e"), "seed \(seed): \(value) became \(text)")
        }
    }

    @Test("fields are quoted where they must be, and times keep their milliseconds")
    func fields() {
        func text(_ field: String) -> String {
            var bytes: [UInt8] = []
            CSVField.append(Array(field.utf8), to: &bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(text("plain") == "plain")
        #expect(text("a,b \"c\"") == "\"a,b \"\"c\"\"\"")
        var bytes: [UInt8] = []
        CSVField.append(milliseconds: 1_700_000_000_250, to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "1700000000.25")
    }
}
