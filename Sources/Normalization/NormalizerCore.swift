import Messages
import StageKit
import TwinCore

/// The logic and state of a normalizer task, apart from its names and its outputs.
struct NormalizerCore: ~Copyable {
    let settings: NormalizerSettings
    let task: TaskID
    let names: NameTable
    let rules: LocalityRules
    let partitions: Int32
    let encoding: RecordEncoding?
    var clock: EventClock
    var directory: Directory
    var counters = NormalizerCounters()
    var memos: MetricMemos
    /// Series whose unit is not understood, to count each once.
    var unknownUnitSeries = PairIndex()
    var telemetry = TelemetryJSON()
    var interactions = InteractionJSON()
    var events = EventJSON()
    var outcomes = OutcomeJSON()
    var otlp: OTLPMetrics
    var collectd: CollectdJSON
    var callTotals: CallTotals
    /// Room for the JSON texts of entries.
    var json = JSONWriter(capacityBytes: 1_024)
    /// Dead letters that the record at hand has caused.
    private var letters = 0
    /// Whether one of them is about its time.
    private var hasSaidAhead = false

    /// The room for two numbers of an interaction.
    let numbers: UnsafeMutablePointer<Float>

    init(_ setting: TaskSetting, settings: NormalizerSettings, names: NameTable) {
        self.settings = settings
        self.names = names
        task = setting.task
        partitions = setting.layout[.observations]
        rules = LocalityRules(settings, partitions: partitions)
        encoding = settings.encodings[setting.task.inbox]
        clock = EventClock(settings)
        directory = Directory(resourcesMax: settings.resourcesMax)
        memos = MetricMemos(settings)
        otlp = OTLPMetrics(settings.otlp)
        collectd = CollectdJSON(storesRates: settings.collectdStoresRates)
        callTotals = CallTotals(pairsMax: settings.callPairsMax)
        numbers = .allocate(capacity: 2)
        numbers.initialize(repeating: 0, count: 2)
    }

    deinit { numbers.deallocate() }

    mutating func receive(_ record: InboxRecord, into out: Emitter) {
        counters.records &+= 1
        letters = 0
        hasSaidAhead = false
        clock.beginRecord()
        guard let value = record.value else { return receiveTombstone(record, into: out) }
        guard value.count <= settings.recordBytesMax else {
            return refuse(record, "record of \(value.count) bytes is larger than \(settings.recordBytesMax)", into: out)
        }
        switch EncodingChoice.of(value, contentType: record.contentType, setting: encoding) {
        case .encoding(.json): receiveJSON(value, record, into: out)
        case .encoding(let encoding):
            guard task.inbox == .telemetry || task.inbox == .interactions else {
                return refuse(record, "\(task.inbox.text) is not read in \(encoding.text)", into: out)
            }
            if encoding == .collectd {
                receiveCollectd(value, record, into: out)
            } else {
                receiveOTLP(value, isJSON: encoding == .otlpJSON, record, into: out)
            }
        case .refused(let reason): return refuse(record, reason, into: out)
        }
        sumUp(record, into: out)
    }

    private mutating func receiveJSON(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        switch task.inbox {
        case .telemetry: receiveTelemetry(value, record, into: out)
        case .interactions: receiveInteractions(value, record, into: out)
        case .environment: receiveEvents(value, record, into: out)
        case .outcomes: receiveOutcomes(value, record, into: out)
        case .policies: receivePolicy(value, record, into: out)
        default: receiveCommand(value, record, into: out)
        }
    }

    /// On policies a tombstone deletes; elsewhere it says nothing.
    private mutating func receiveTombstone(_ record: InboxRecord, into out: Emitter) {
        guard task.inbox == .policies, let key = record.key, !key.isEmpty else {
            counters.tombstonesIgnored &+= 1
            return
        }
        deletePolicy(key, record, into: out)
    }

    /// Forgets what nothing was heard of for long, and the names that nothing refers to any more.
    mutating func forget(into out: Emitter) {
        let now = clock.largest
        let lifeSeconds = min(max(settings.expireSeconds, 3_600), 1_000_000_000)
        let moment = now.advanced(byMilliseconds: -lifeSeconds * 1_000).milliseconds
        directory.forget(before: moment, now: now.milliseconds)
        callTotals.forget(before: moment)
        guard names.isCrowded else { return }
        // Open frames know names by their numbers, so they are closed before a number can mean another name.
        out.cutAll()
        names.keep { marks in
            directory.mark(&marks)
            callTotals.mark(&marks)
        }
        memos.forgetAll()
        unknownUnitSeries = PairIndex()
    }

    mutating func freeze(into writer: inout StateWriter) {
        clock.freeze(into: &writer)
        directory.freeze(into: &writer)
        callTotals.freeze(into: &writer)
    }

    mutating func restore(from reader: StateReader) throws(StateError) {
        try clock.restore(from: reader)
        try directory.restore(from: reader, names: names, partitions: partitions)
        try callTotals.restore(from: reader, names: names)
    }

    var counterList: [StageCounter] {
        counters.list(resourcesRefused: directory.refused, samplesAhead: clock.samplesAhead)
            + [StageCounter("callPairsRefused", callTotals.refused)]
    }
}

// MARK: - Dead letters

extension NormalizerCore {
    /// The whole record is refused.
    mutating func refuse(_ record: InboxRecord, _ reason: String, into out: Emitter) {
        out.deadLetter(
            DeadLetter(
                topic: task.inbox, partition: task.partition, offset: record.offset, key: record.key,
                value: record.value,
                reason: reason))
    }

    /// One element of the record is refused, or, beyond the limit per record, only counted.
    mutating func refuse(_ fault: RecordFault, of record: InboxRecord, into out: Emitter) {
        refuse(fault.element, of: record, fault.reason, into: out)
    }

    /// One element of the record is refused for a reason found after reading it.
    mutating func refuse(
        _ element: Range<Int>, of record: InboxRecord, _ reason: @autoclosure () -> String, into out: Emitter
    ) {
        letters += 1
        guard letters <= settings.deadLettersPerRecordMax else {
            counters.faultsSummed &+= 1
            return
        }
        var value = record.value
        if let whole = record.value, !element.isEmpty, element.upperBound <= whole.count {
            value = UnsafeRawBufferPointer(rebasing: whole[element])
        }
        out.deadLetter(
            DeadLetter(
                topic: task.inbox, partition: task.partition, offset: record.offset, key: record.key, value: value,
                reason: reason()))
    }

    /// A time of the record is too far ahead; said once a record, of the source that it came to first.
    @inline(never)
    mutating func refuseAhead(
        _ time: EventTime, of source: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter
    ) {
        counters.refusedAhead &+= 1
        guard !hasSaidAhead else { return }
        hasSaidAhead = true
        let doubt = clock.doubt(time, of: source)
        refuse(0..<0, of: record, doubt, into: out)
    }

    /// One letter for all faults beyond the limit.
    private mutating func sumUp(_ record: InboxRecord, into out: Emitter) {
        guard letters > settings.deadLettersPerRecordMax else { return }
        refuse(record, "\(letters - settings.deadLettersPerRecordMax) more faulty elements", into: out)
    }
}

// MARK: - Routing

/// Where an entry goes.
enum Route: Equatable {
    case partition(Int32)
    /// The locality is not known.
    case all
}

extension NormalizerCore {
    /// Where a resource is, by the directory.
    func route(_ resource: NameID) -> Route {
        guard let slot = directory.find(resource), directory.read(slot).pointee.partition >= 0 else { return .all }
        return .partition(directory.read(slot).pointee.partition)
    }

    /// How often it is noted that something was heard of a resource, milliseconds.
    private static let day: Int64 = 86_400_000

    /// Where a resource lives whose locality nobody knows.
    func fallback(_ resource: NameID) -> Int32 {
        TwinCore.partition(of: names.bytes(of: resource), among: partitions)
    }

    /// Where a resource is: by the locality that the record names, else by the directory. A locality that is named is
    /// remembered for the records that do not name it.
    mutating func route(_ resource: NameID, locality: UnsafeRawBufferPointer, time: EventTime) -> Route {
        let slot = directory.find(resource)
        guard !locality.isEmpty else { return route(resource) }
        let partition = rules.partition(of: locality)
        if let slot {
            let cell = directory.read(slot)
            guard names.bytes(of: cell.pointee.locality).equals(locality) else {
                return cell.pointee.since > time.milliseconds
                    ? .partition(partition) : move(resource, slot, to: locality, partition, time)
            }
            let now = since(time)
            if now > 0, now &- Self.day > cell.pointee.heard { directory.write(slot).pointee.since = now }
            return .partition(partition)
        }
        return move(resource, slot, to: locality, partition, time)
    }

    /// Remembers where a resource lives from now on.
    private mutating func move(
        _ resource: NameID, _ slot: Int?, to locality: UnsafeRawBufferPointer, _ partition: Int32, _ time: EventTime
    ) -> Route {
        guard let name = names.intern(locality) else {
            counters.namesRefused &+= 1
            return .partition(partition)
        }
        if let slot {
            let cell = directory.write(slot)
            cell.pointee.locality = name
            cell.pointee.partition = partition
            cell.pointee.since = since(time)
        } else {
            var cell = DirectoryCell(resource: resource)
            cell.locality = name
            cell.partition = partition
            cell.since = since(time)
            _ = directory.add(cell)
        }
        return .partition(partition)
    }
}
