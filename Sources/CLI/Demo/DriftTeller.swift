import Foundation

/// Tells of drift: a resource by itself in full, many of them in the line that the detector sums them up in.
struct DriftTeller {
    private let voice: DemoVoice
    /// Of the moment at hand.
    private var drifts: [DriftEvent.Body] = []
    private var groups: [DriftGroupEvent.Body] = []
    /// Who drifted within the last half hour, and when last.
    private var recent: [String: Int64] = [:]
    /// Models on probation, and those that earned trust back since that was last told.
    private var distrusted: Set<String> = []
    private var trusted: [String] = []

    private static let recentSeconds: Int64 = 1_800
    /// More resources than so many at a time are left to the summary.
    private static let aloneMax = 2

    init(voice: DemoVoice) { self.voice = voice }

    mutating func take(_ drift: DriftEvent.Body, at time: Int64) {
        drifts.append(drift)
        if drift.isLasting { recent[drift.resource] = time }
    }

    mutating func take(_ group: DriftGroupEvent.Body) { groups.append(group) }

    /// What a twin's summary says of the model of its leading metric.
    mutating func take(_ resource: String, isDistrusted: Bool) {
        if isDistrusted {
            distrusted.insert(resource)
        } else if distrusted.remove(resource) != nil {
            trusted.append(resource)
        }
    }

    /// Forgets what came before the story.
    mutating func begin() { trusted = [] }

    /// Closes a moment.
    mutating func tell(_ time: Int64) {
        recent = recent.filter { $0.value > time - Self.recentSeconds }
        for drift in drifts where !drift.isLasting || recent.count <= Self.aloneMax {
            voice.say(time, .drift, "\(drift.resource), \(drift.metric): \(drift.story)")
        }
        for group in groups where group.resources > Self.aloneMax { voice.say(time, .drift, group.story) }
        if recent.count <= Self.aloneMax { tellTrusted(time) }
        drifts.removeAll(keepingCapacity: true)
        groups.removeAll(keepingCapacity: true)
    }

    /// Who is trusted again.
    mutating func tellTrusted(_ time: Int64) {
        guard !trusted.isEmpty else { return }
        voice.say(time, .drift, "\(DemoVoice.list(trusted)): retrained, proved right since, trusted again")
        trusted.removeAll(keepingCapacity: true)
    }

    /// Who has not earned trust back in the end.
    func tellDistrusted(_ time: Int64) {
        guard !distrusted.isEmpty else { return }
        voice.say(time, .drift, "still on probation: \(distrusted.sorted().joined(separator: ", "))")
    }
}
