import Messages
import StageKit
import TwinCore

/// From tags to a locality, from a locality to a partition.
struct LocalityRules {
    /// The configured type as written.
    private let type: [UInt8]
    /// The tags whose values, joined by `/`, are the locality.
    private let parts: [[UInt8]]
    /// Explicit partitions, sorted by locality.
    private let table: [(locality: [UInt8], partition: Int32)]
    private let partitions: Int32

    init(_ settings: NormalizerSettings, partitions: Int32) {
        type = Array(settings.localityType.utf8)
        parts = settings.localityType.split(separator: "/").map { Array($0.utf8) }
        self.partitions = max(partitions, 1)
        let count = self.partitions
        table = settings.partitionTable.map { line in
            let rest = line.partition % count
            return (Array(line.locality.utf8), rest < 0 ? rest + count : rest)
        }.sorted { $0.locality.lexicographicallyPrecedes($1.locality) }
    }

    /// The partition that owns a locality.
    func partition(of locality: UnsafeRawBufferPointer) -> Int32 {
        if !table.isEmpty, let line = find(locality) { return line }
        return TwinCore.partition(of: locality, among: partitions)
    }

    private func find(_ locality: UnsafeRawBufferPointer) -> Int32? {
        var low = 0
        var high = table.count
        while low < high {
            let middle = (low + high) / 2
            if table[middle].locality.lexicographicallyPrecedes(locality) { low = middle + 1 } else { high = middle }
        }
        guard low < table.count, table[low].locality.elementsEqual(locality) else { return nil }
        return table[low].partition
    }

    /// Whether a scope of this key names a locality.
    func isLocalityType(_ key: UnsafeRawBufferPointer) -> Bool {
        key.elementsEqual(type) || key.elementsEqual("locality".utf8)
    }

    /// The locality that the tags spell; nil if one of its parts is missing or empty.
    func compose(_ tags: [IdentityTag]) -> [UInt8]? {
        var locality: [UInt8] = []
        for part in parts {
            guard let tag = tags.first(where: { $0.name == part }), !tag.value.isEmpty else { return nil }
            if !locality.isEmpty { locality.append(UInt8(ascii: "/")) }
            locality.append(contentsOf: tag.value)
        }
        return locality.isEmpty || locality.count > NameTable.nameBytesMax ? nil : locality
    }
}

/// One tag of a resource, decoded.
struct IdentityTag {
    var name: [UInt8]
    var value: [UInt8]

    /// The tags of a record in order of their names.
    static func sorted(_ list: TagList) -> [IdentityTag] {
        var tags: [IdentityTag] = []
        list.forEach { tags.append(IdentityTag(name: [UInt8]($0), value: [UInt8]($1))) }
        return tags.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// The tags as a JSON object in canonical form: sorted, no blanks, only necessary escapes.
    static func canonical(_ tags: [IdentityTag]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        for tag in tags {
            tag.name.withUnsafeBytes { writer.key($0) }
            tag.value.withUnsafeBytes { writer.string($0) }
        }
        writer.endObject()
        return writer.bytes
    }
}
