import Messages
import StageKit
import TwinCore

/// All policies of a task: the highest version of each name, whom they match, and the budgets they share. Slots are
/// never reused, so a resource can remember its policy by slot; a deleted policy keeps its version as a tombstone.
struct PolicyBook {
    struct Slot {
        var name: NameID
        var version: UInt64
        /// The JSON as it came; empty when deleted.
        var text: [UInt8]
        var policy: Policy?
        var manual = Manual()
        /// Known only from what a decider said again: an order of its own counts more.
        var isHearsay = false
    }

    /// Units that several policies share.
    struct Budget {
        var name: NameID
        var unitsMax: Int64
        /// Units held by the resources under it.
        var held: Int64 = 0
        /// Units wanted and not granted, by criticality.
        var unmet: [4 of Int64] = .init(repeating: 0)
    }

    enum Update {
        /// Not above the version that is known.
        case old
        /// In force from now on; the resource it names (0 = may be any), and whether budgets changed.
        case changed(slot: Int, namesBefore: NameID, namesNow: NameID, budgets: Bool)
        case rejected(ScalingError)
    }

    private(set) var slots: [Slot] = []
    var budgets: [Budget] = []
    private var slotByName: [NameID: Int] = [:]
    /// Slots of live policies that name a resource, by that resource; looked up, never iterated.
    private var slotsByResource: [NameID: [Int]] = [:]
    /// Slots of live policies that name none, ascending.
    private var general: [Int] = []
    private var textBytes = 0
    private let settings: ScalingSettings

    init(settings: ScalingSettings) { self.settings = settings }

    func slot(named name: NameID) -> Int? { slotByName[name] }

    /// The terms of a slot, or nil when it is deleted.
    func terms(_ slot: Int) -> PolicyTerms? { slots[slot].policy?.terms }

    mutating func withManual(_ slot: Int, _ body: (inout Manual) -> Void) { body(&slots[slot].manual) }

    /// Takes a `policy` entry.
    /// - Parameter isHearsay: a decider says again what it knew some time ago. It counts only for a task that knows the
    ///   policy from nowhere else.
    mutating func update(
        name: NameID, version: Double, text: UnsafeRawBufferPointer, isHearsay: Bool, names: NameTable
    ) -> Update {
        guard version >= 0, version <= 9_007_199_254_740_992 else {
            return .rejected(ScalingError(.outOfRange, "the version must be a whole number from 0 to 2^53"))
        }
        let version = UInt64(version)
        let known = slotByName[name]
        if let known {
            if isHearsay, !slots[known].isHearsay { return .old }
            slots[known].isHearsay = isHearsay
        }
        if let known, !isHearsay, version > 0, slots[known].version == version, !slots[known].text.elementsEqual(text) {
            return .rejected(
                ScalingError(.conflict, "version \(version) is known with other content; a change needs a higher one"))
        }
        if isOld(known, version: version, text: text) { return .old }
        var parsed: Policy?
        if !text.isEmpty {
            let before = known.map { slots[$0].text.count } ?? 0
            guard text.count <= settings.policyBytesMax, textBytes - before + text.count <= settings.policiesBytesMax
            else {
                return .rejected(ScalingError(.limit, "the policy, or all policies together, are too large"))
            }
            do {
                parsed = try PolicyParser.parse(text, name: name, version: version, settings: settings, names: names)
            } catch { return .rejected(error) }
        }
        guard known != nil || slots.count < settings.policiesMax else {
            return .rejected(ScalingError(.limit, "there are more than \(settings.policiesMax) policies"))
        }
        let update = place(parsed, known: known, name: name, version: version, text: [UInt8](text))
        if let slot = slotByName[name] { slots[slot].isHearsay = isHearsay }
        return update
    }

    /// Versions only rise. A policy without one (0) follows others without one in the order of arrival, and never a
    /// numbered one; a deletion without one always counts, and forgets the version.
    private func isOld(_ known: Int?, version: UInt64, text: UnsafeRawBufferPointer) -> Bool {
        guard let known else { return text.isEmpty && version == 0 }
        if version > 0 { return slots[known].version >= version }
        if text.isEmpty { return slots[known].policy == nil && slots[known].version == 0 }
        return slots[known].version > 0 || slots[known].text.elementsEqual(text)
    }

    private mutating func place(
        _ parsed: Policy?, known: Int?, name: NameID, version: UInt64, text: [UInt8]
    ) -> Update {
        let slot = known ?? slots.count
        if known == nil {
            slots.append(Slot(name: name, version: version, text: [], policy: nil))
            slotByName[name] = slot
        }
        let before = slots[slot].policy
        if let before { unlist(slot, before) }
        textBytes += text.count - slots[slot].text.count
        slots[slot].version = version
        slots[slot].text = text
        slots[slot].policy = parsed
        if let parsed { list(slot, parsed) }
        let touchesBudgets = before?.budget != nil || parsed?.budget != nil
        if touchesBudgets { rebuildBudgets() }
        return .changed(
            slot: slot, namesBefore: before?.match.resource ?? parsed?.match.resource ?? 0,
            namesNow: parsed?.match.resource ?? before?.match.resource ?? 0, budgets: touchesBudgets)
    }

    private mutating func list(_ slot: Int, _ policy: Policy) {
        if policy.match.resource != 0 {
            slotsByResource[policy.match.resource, default: []].append(slot)
        } else {
            general.insert(slot, at: general.firstIndex { $0 > slot } ?? general.count)
        }
    }

    private mutating func unlist(_ slot: Int, _ policy: Policy) {
        if policy.match.resource != 0 {
            slotsByResource[policy.match.resource]?.removeAll { $0 == slot }
        } else {
            general.removeAll { $0 == slot }
        }
    }

    /// The budgets as the live policies state them; where they differ, the smallest counts. Holdings start at zero.
    private mutating func rebuildBudgets() {
        budgets.removeAll(keepingCapacity: true)
        var index: [NameID: Int] = [:]
        for slot in slots.indices {
            guard let stated = slots[slot].policy?.budget else {
                slots[slot].policy?.terms.budget = -1
                continue
            }
            let place = index[stated.name] ?? budgets.count
            if place == budgets.count {
                index[stated.name] = place
                budgets.append(Budget(name: stated.name, unitsMax: stated.unitsMax))
            }
            budgets[place].unitsMax = min(budgets[place].unitsMax, stated.unitsMax)
            slots[slot].policy?.terms.budget = Int32(place)
        }
    }

    /// The slot of the most specific policy for a resource; among equals the first by name; −1 for none.
    func match(_ cell: UnsafePointer<ResourceCell>, names: NameTable) -> Int32 {
        var best = -1
        var bestSpecificity = -1
        func consider(_ slot: Int) {
            guard let match = slots[slot].policy?.match, cell.pointee.satisfies(match) else { return }
            let specificity = match.specificity
            if specificity < bestSpecificity { return }
            if specificity == bestSpecificity, !precedes(slots[slot].name, slots[best].name, names) { return }
            best = slot
            bestSpecificity = specificity
        }
        for slot in slotsByResource[cell.pointee.resource] ?? [] { consider(slot) }
        for slot in general { consider(slot) }
        return Int32(best)
    }

    private func precedes(_ a: NameID, _ b: NameID, _ names: NameTable) -> Bool {
        names.bytes(of: a).lexicographicallyPrecedes(names.bytes(of: b))
    }

    func mark(_ names: inout NameMarks) {
        for slot in slots {
            names.mark(slot.name)
            guard let policy = slot.policy else { continue }
            names.mark(policy.terms.metric)
            names.mark(policy.budget?.name ?? 0)
            for name in [policy.match.resource, policy.match.classification, policy.match.locality] { names.mark(name) }
            for tag in policy.match.tags {
                names.mark(tag.key)
                names.mark(tag.value)
            }
        }
    }

    func freeze(into coder: inout StateCoder) {
        coder.write(UInt64(slots.count))
        for slot in slots {
            coder.write(UInt64(slot.name))
            coder.write(slot.version)
            coder.write(slot.isHearsay ? 1 : UInt64(0))
            slot.text.withUnsafeBytes { coder.write(bytes: $0) }
            withUnsafeBytes(of: slot.manual) { coder.write(bytes: $0) }
        }
    }

    /// Reads the policies back; they are parsed again.
    mutating func restore(from decoder: inout StateDecoder, names: NameTable) throws(StateError) {
        for _ in 0..<(try decoder.readCount(max: settings.policiesMax)) {
            let name = NameID(try decoder.readCount(max: names.count))
            let version = try decoder.readWord()
            let isHearsay = try decoder.readWord() != 0
            let text = try decoder.readBytes()
            var policy: Policy?
            if !text.isEmpty {
                do {
                    policy = try PolicyParser.parse(
                        text, name: name, version: version, settings: settings, names: names)
                } catch { throw .invalid("a policy in the snapshot: \(error.reason)") }
            }
            guard slotByName[name] == nil else { throw .invalid("a policy stands twice") }
            _ = place(policy, known: nil, name: name, version: version, text: [UInt8](text))
            slots[slots.count - 1].isHearsay = isHearsay
            let manual = try decoder.readBytes()
            guard manual.count == MemoryLayout<Manual>.size else { throw .truncated }
            slots[slots.count - 1].manual = manual.loadUnaligned(as: Manual.self)
        }
        rebuildBudgets()
    }
}
