import TwinCore

/// The last so many records of a kind, each under its id; the oldest go first. A repeat replaces what was known.
package struct Ledger<Record: Sendable>: Sendable {
    /// Number of the first record that is still there; a record's number never changes, so it can be a cursor.
    package private(set) var first = 0
    private var records: Ring<(id: String, record: Record)>
    private var numberByID: [String: Int] = [:]

    package init(recordsMax: Int) { records = Ring(elementsMax: recordsMax) }

    package var count: Int { records.count }

    /// One above the number of the newest record.
    package var end: Int { first + records.count }

    /// All records, the oldest first.
    package var all: [Record] { records.elements.map(\.record) }

    /// Their ids, in the same order.
    package var ids: [String] { records.elements.map(\.id) }

    /// The record with this number; the caller stays from `first` to below `end`.
    package subscript(number: Int) -> Record { records[number - first].record }

    package subscript(id id: String) -> Record? { numberByID[id].map { records[$0 - first].record } }

    /// Adds a record, or replaces the one with its id. True if it is new.
    @discardableResult
    package mutating func put(_ id: String, _ record: Record) -> Bool {
        if let number = numberByID[id] {
            records[number - first] = (id, record)
            return false
        }
        if let old = records.append((id, record)) {
            numberByID[old.id] = nil
            first += 1
        }
        numberByID[id] = end - 1
        return true
    }

    /// Changes a record, if it is there.
    package mutating func update(_ id: String, _ body: (inout Record) -> Void) {
        guard let number = numberByID[id] else { return }
        var record = records[number - first].record
        body(&record)
        records[number - first] = (id, record)
    }

    /// Records from the newest on, below `cursor` if it is given, that satisfy `isWanted`: at most `limit`, and the
    /// cursor of what follows, nil at the end.
    package func page(
        before cursor: Int?, limit: Int, isWanted: (Record) -> Bool
    ) -> (records: [Record], next: Int?) {
        var found: [Record] = []
        var number = min(cursor ?? end, end) - 1
        while number >= first {
            let record = self[number]
            if isWanted(record) {
                if found.count == limit { return (found, number + 1) }
                found.append(record)
            }
            number -= 1
        }
        return (found, nil)
    }
}

/// Numbers of the newest records of each subject, so that one subject need not be looked for among all.
struct RecentIndex: Sendable {
    static let numbersMax = 20
    private var numbersBySubject: [String: [Int]] = [:]
    private let subjectsMax: Int

    init(subjectsMax: Int) { self.subjectsMax = subjectsMax }

    mutating func note(_ subject: String, _ number: Int) {
        // Subjects that are never seen again would stay; beyond the limit all are learned anew.
        if numbersBySubject.count >= subjectsMax, numbersBySubject[subject] == nil { numbersBySubject = [:] }
        numbersBySubject[subject, default: []].append(number)
        if numbersBySubject[subject]?.count ?? 0 > Self.numbersMax { numbersBySubject[subject]?.removeFirst() }
    }

    /// Newest first; those below `first` are gone.
    func numbers(of subject: String, from first: Int) -> [Int] {
        (numbersBySubject[subject] ?? []).reversed().filter { $0 >= first }
    }
}
