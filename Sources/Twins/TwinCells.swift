import Forecasting
import Messages
import TwinCore

/// A twin: what is known of one resource, without its series.
struct ResourceCell: BitwiseCopyable {
    static let tagsMax = 16
    static let none: Int32 = -1

    /// The planned events whose scope it is in, by place.
    var eventMask: UInt64 = 0
    /// Event time of the newest sample.
    var lastTime: Int64 = 0
    /// Event time of the last summary.
    var summaryTime: Int64 = 0
    /// As of when it is known to live here.
    var identifiedAt: Int64 = .min
    /// Event time of the last word on ready units.
    var supplyTime: Int64 = .min
    /// Names of tag keys and of their values.
    var tagKeys: [16 of UInt32] = InlineArray(repeating: 0)
    var tagValues: [16 of UInt32] = InlineArray(repeating: 0)
    /// 0 marks a free cell.
    var name: UInt32
    var locality: UInt32 = 0
    var className: UInt32 = 0
    /// Head of the list of its series.
    var firstSeries: Int32 = none
    /// Units that are ready; NaN if unknown.
    var readyUnits: Float = .nan
    var tagCount: UInt16 = 0
    var seriesCount: UInt16 = 0
    /// Counts outcomes, so that each series can mark its next forecast.
    var capacityMoves: UInt8 = 0
    var isSummarised: UInt8 = 0
    /// 1 if the last word on ready units came from an actuator rather than from telemetry.
    var unitsAreReported: UInt8 = 0
    private var spare: UInt8 = 0
    /// The series that counts its users; `none` if there is none.
    var usersSeries: Int32 = none

    init(name: UInt32) { self.name = name }

    /// Seconds from the last count of ready units to `time`; NaN before there is one, and while the last word is an
    /// actuator's: whoever knows its actions judges that.
    func unitsAgeSeconds(at time: Int64) -> Float {
        supplyTime == .min || unitsAreReported != 0 ? .nan : Float(Double(time &- supplyTime) / 1_000)
    }
}

/// One metric of a twin.
struct SeriesCell: BitwiseCopyable {
    var model: SeriesModel
    var history = History()
    var times = TimeRing()
    /// Event time of the newest accepted sample.
    var lastTime: Int64 = .min
    /// A counter's last reading and its time.
    var counterValue: Double = 0
    var counterTime: Int64 = .min
    /// Planned events in force at the last sample, by place.
    var activeEvents: UInt64 = 0
    /// Slot of its resource.
    var resource: Int32
    /// 0 marks a free cell.
    var metric: UInt32
    /// The next series of the resource.
    var next: Int32 = ResourceCell.none
    /// Last value, in the unit that is forecast.
    var level: Float = 0
    /// What the events in force multiply demand by: as announced, and as measured.
    var announced: Float = 1
    var factor: Float = 1
    /// Steps for which the model does not learn, as an event has just begun.
    var holdSteps: UInt8 = 0
    var quality: UInt8 = DataQuality.missing.rawValue
    var role: UInt8
    var isCounter: UInt8
    /// Demand is counted as utilisation times ready units.
    var countsUnits: UInt8 = 0
    var capacityMoves: UInt8 = 0
    /// As last said in a summary.
    var saidDistrusted: UInt8 = 0
    var saidQuality: UInt8 = DataQuality.missing.rawValue
    /// Samples in a row that came too late.
    var tooLate: UInt8 = 0
    /// Samples accepted since time last stepped far ahead, up to `steadyMin`.
    var sinceStep = TwinStage.steadyMin
    private var spare16: UInt16 = 0
    /// Slot of what it learned of planned events; below 0 if nothing.
    var memory: Int32 = ResourceCell.none

    init(resource: Int32, metric: UInt32, code: SampleCode) {
        self.resource = resource
        self.metric = metric
        model = SeriesModel(kin: metric)
        role = code.role.rawValue
        isCounter = code.isCounter ? 1 : 0
    }
}

extension UnsafeMutablePointer<SeriesCell> {
    /// The moment at which the series' quality changes if no sample comes: after three steps it is stale.
    @inline(__always)
    var due: Int64 {
        guard pointee.metric != 0, pointee.lastTime != .min else { return .max }
        if pointee.quality == DataQuality.fresh.rawValue {
            let step = pointee.model.status.stepMilliseconds
            return pointee.lastTime &+ 3 &* (step > 0 ? Int64(step) : 60_000)
        }
        return pointee.quality == DataQuality.stale.rawValue ? missingTime : .max
    }

    /// The model's word, read in place: its own accessor would copy the model first.
    @inline(__always)
    var isDistrusted: Bool { pointee.model.status.isDistrusted }

    /// The moment at which it is missing: after 20 steps, and at least 15 minutes.
    var missingTime: Int64 { pointee.lastTime &+ max(20 &* Int64(pointee.model.status.stepMilliseconds), 900_000) }
}
