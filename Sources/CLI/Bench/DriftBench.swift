import DriftDetection
import Foundation
import Simulation
import TwinCore

/// What the default detector costs, and how often it alarms where nothing changes.
enum DriftBench {
    /// Streams of residuals without any change.
    enum Stream: String, CaseIterable {
        case gaussian, heavyTailed, autocorrelated, seasonal

        /// Told in the report.
        var text: String {
            switch self {
            case .gaussian: "normal"
            case .heavyTailed: "Student t, 3 degrees of freedom"
            case .autocorrelated: "AR(1) of 0.5"
            case .seasonal: "normal with a daily wave of 0.15 left in"
            }
        }
    }

    /// The run length that is stated unless it is set otherwise.
    private static let runLength = 10_000.0
    static let samples = 1_000_000

    /// CPU seconds per step over a million normal residuals, and the detector's bytes.
    static func cost() -> (step: Double, bytes: Int) {
        let tuning = CusumFamily.tuning(averageRunLength: runLength)
        var source = Source(seed: 1)
        let residuals = (0..<65_536).map { _ in source.next(.gaussian) }
        var detectors = [CusumFamily](repeating: CusumFamily(), count: 64)
        let began = Usage.now.cpuSeconds
        for round in 0..<(samples / 64) {
            for index in 0..<64 {
                _ = detectors[index].update(residuals[(round &* 64 &+ index &* 1_021) & 65_535], tuning)
            }
        }
        let spent = Usage.now.cpuSeconds - began
        return (spent / Double(samples / 64 * 64), MemoryLayout<CusumFamily>.stride)
    }

    /// False drifts per 1 000 in a million samples of one stream.
    static func falseAlarms(_ stream: Stream, seed: UInt64) -> Double {
        let tuning = CusumFamily.tuning(averageRunLength: runLength)
        var source = Source(seed: seed)
        var detector = CusumFamily()
        var drifts = 0
        for _ in 0..<samples {
            let change = detector.update(source.next(stream), tuning).change
            guard change != .none, change != .anomaly else { continue }
            drifts += 1
            detector.restart()
        }
        return Double(drifts) * 1_000 / Double(samples)
    }

    /// Seeded residuals.
    private struct Source {
        private var random: SeededGenerator
        private var before = 0.0
        private var index = 0

        init(seed: UInt64) { random = SeededGenerator(seed: seed) }

        mutating func next(_ stream: Stream) -> Float {
            index += 1
            switch stream {
            case .gaussian: return Float(random.normal())
            case .heavyTailed:
                let (a, b, c) = (random.normal(), random.normal(), random.normal())
                return Float(random.normal() / (a * a + b * b + c * c).squareRoot())
            case .autocorrelated:
                before = 0.5 * before + 0.866 * random.normal()
                return Float(before)
            case .seasonal: return Float(random.normal() + 0.15 * sin(2 * Double.pi * Double(index % 288) / 288))
            }
        }
    }
}
