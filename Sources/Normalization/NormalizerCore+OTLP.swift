import Messages
import StageKit
import TwinCore

extension NormalizerCore {
    /// Metrics of OpenTelemetry: samples, and calls that a service graph counts.
    mutating func receiveOTLP(
        _ value: UnsafeRawBufferPointer, isJSON: Bool, _ record: InboxRecord, into out: Emitter
    ) {
        otlp.open(value, isJSON: isJSON)
        while true {
            switch otlp.next() {
            case .sample: receiveSample(otlp.sample, record, into: out)
            case .calls: receiveCalls(otlp.calls, record, into: out)
            case .fault(let fault): refuse(fault, of: record, into: out)
            case .end: return
            }
        }
    }

    /// Value lists of collectd.
    mutating func receiveCollectd(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        collectd.open(value)
        while true {
            switch collectd.next() {
            case .sample: receiveSample(collectd.sample, record, into: out)
            case .fault(let fault): refuse(fault, of: record, into: out)
            case .end: return
            }
        }
    }

    /// Calls become an interaction as soon as there is a span of time to make a rate of.
    private mutating func receiveCalls(_ calls: OTLPCalls, _ record: InboxRecord, into out: Emitter) {
        guard clock.observe(calls.time, of: calls.source) else {
            return refuseAhead(calls.time, of: calls.source, record, into: out)
        }
        guard let source = names.intern(calls.source), let target = names.intern(calls.target) else {
            counters.namesRefused &+= 1
            return
        }
        var change = CallTotals.Change(
            count: calls.count, seconds: calls.seconds, spanSeconds: calls.spanSeconds ?? 0)
        if calls.spanSeconds == nil {
            guard
                let found = callTotals.change(
                    source, target, time: calls.time, count: calls.count, seconds: calls.seconds)
            else { return }
            change = found
        }
        guard change.spanSeconds > 0 else { return }
        let latency = change.count > 0 && change.seconds >= 0 ? change.seconds / change.count : nil
        receiveInteraction(
            InteractionSample(
                source: calls.source, target: calls.target, time: calls.time,
                rate: change.count / change.spanSeconds, latencySeconds: latency),
            record, into: out)
    }
}
