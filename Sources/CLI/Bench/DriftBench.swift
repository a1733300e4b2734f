import DriftDetection
import Foundation
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
        var alarms = 0
        let began = Usage.now.cpuSeconds
        for round in 0..<(samples / 64) {
            for index in 0..<64 {
                let verdict = detectors[index].update(residuals[(round &* 64 &+ index &* 1_021) & 65_535], tuning)
                if verdict.change != .none { alarms += 1 }
            }
        }
        let spent = Usage.now.cpuSeconds - began
        return (spent / Double(samples / 64 * 64), alarms < 0 ? 0 : MemoryLayout<CusumFamily>.stride)
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
        private var state: UInt64
        private var spare: Double?
        private var before = 0.0
        private var index = 0

        init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

        private mutating func uniform() -> Double {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return (Double(state >> 11) + 0.5) / 9_007_199_254_740_992
        }

        /// Standard normal (G. Box and M. Muller, 1958).
        private mutating func normal() -> Double {
            if let ready = spare {
                spare = nil
                return ready
            }
            let radius = (-2 * log(uniform())).squareRoot()
            let angle = 2 * Double.pi * uniform()
            spare = radius * sin(angle)
            return radius * cos(angle)
        }

        mutating func next(_ stream: Stream) -> Float {
            index += 1
            switch stream {
            case .gaussian: return Float(normal())
            case .heavyTailed:
                let (a, b, c) = (normal(), normal(), normal())
                return Float(normal() / (a * a + b * b + c * c).squareRoot())
            case .autocorrelated:
                before = 0.5 * before + 0.866 * normal()
                return Float(before)
            case .seasonal: return Float(normal() + 0.15 * sin(2 * Double.pi * Double(index % 288) / 288))
            }
        }
    }
}
