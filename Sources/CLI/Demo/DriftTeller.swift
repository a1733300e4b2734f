import Foundation

/// Tells of drift: a resource by itself in full, many of them in the line that the detector sums them up in.
///
/// The detector sums up a locality some minutes after its first drift. What comes while few resources of a locality
/// drift is told at once, what comes beyond waits for that line, and is told alone where none takes it up.
struct DriftTeller {
    private let voice: DemoVoice
    /// Not told yet, with when they came.
    private var waiting: [(drift: DriftEvent.Body, time: Int64)] = []
    /// Of the moment at hand.
    private var groups: [DriftGroupEvent.Body] = []
    /// By locality: who drifted within the last half hour and when last, and when drifts were last summed up.
    private var recent: [String: [String: Int64]] = [:]
    private var summed: [String: Int64] = [:]
    /// Models on probation, and those that earned trust back since that was last told.
    private var distrusted: Set<String> = []
    private var trusted: [String] = []

    private static let recentSeconds: Int64 = 1_800
    /// More resources of a locality than so many at a time are left to the summary.
    private static let aloneMax = 2
    /// A summary has come by then: the detector's window, and the lateness that it allows.
    private static let waitSeconds: Int64 = 600

    init(voice: DemoVoice) { self.voice = voice }

    mutating func take(_ drift: DriftEvent.Body, at time: Int64) {
        waiting.append((drift, time))
        if drift.isLasting { recent[drift.locality ?? "", default: [:]][drift.resource] = time }
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
        for group in groups where group.resources > Self.aloneMax {
            voice.say(time, .drift, group.story)
            summed[group.locality ?? ""] = time
        }
        groups.removeAll(keepingCapacity: true)
        recent = recent.mapValues { $0.filter { $0.value > time - Self.recentSeconds } }
        let open = waiting.filter { !isSummedUp($0.drift) }
        waiting = open.filter { !isDue($0.drift, since: $0.time, now: time) }
        let alone = open.filter { isDue($0.drift, since: $0.time, now: time) }.map(\.drift)
        voice.say(time, .drift, alone.map { ("\($0.resource), \($0.metric): \($0.story)", $0.resource) })
        if recent.values.allSatisfy({ $0.count <= Self.aloneMax }) { tellTrusted(time) }
    }

    private func isDue(_ drift: DriftEvent.Body, since came: Int64, now time: Int64) -> Bool {
        let together = recent[drift.locality ?? ""]?.count ?? 0
        return !drift.isLasting || together <= Self.aloneMax || came <= time - Self.waitSeconds
    }

    /// It began before a summary of its locality, which speaks for it.
    private func isSummedUp(_ drift: DriftEvent.Body) -> Bool {
        guard drift.isLasting, let told = summed[drift.locality ?? ""], let since = drift.since else { return false }
        return Int64(since.timeIntervalSince1970) <= told
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
