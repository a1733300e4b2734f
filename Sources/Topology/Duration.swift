extension Topology {
    /// Milliseconds of an ISO 8601 duration of weeks, days, hours, minutes and whole seconds (`P7D`, `PT12H30M`), or
    /// of a plain number of milliseconds. Nil for anything else, months and years included, as they have no length.
    package static func milliseconds(ofDuration text: String) -> Int64? {
        if let plain = Int64(text) { return plain >= 0 ? plain : nil }
        var rest = text.utf8[...]
        guard rest.popFirst() == UInt8(ascii: "P"), !rest.isEmpty else { return nil }
        var total: Int64 = 0
        var isTime = false
        // Each unit stands once, in this order.
        let units: [(letter: UInt8, isTime: Bool, milliseconds: Int64)] = [
            (UInt8(ascii: "W"), false, 604_800_000), (UInt8(ascii: "D"), false, 86_400_000),
            (UInt8(ascii: "H"), true, 3_600_000), (UInt8(ascii: "M"), true, 60_000), (UInt8(ascii: "S"), true, 1_000),
        ]
        var next = 0
        while let first = rest.first {
            if first == UInt8(ascii: "T"), !isTime {
                isTime = true
                rest.removeFirst()
                if rest.isEmpty { return nil }
                continue
            }
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            rest = rest.dropFirst(digits.count)
            guard let count = Int64(String(decoding: digits, as: UTF8.self)), let letter = rest.popFirst(),
                let unit = units.indices[next...].first(where: {
                    units[$0].letter == letter && units[$0].isTime == isTime
                })
            else { return nil }
            next = unit + 1
            let (part, isTooLong) = count.multipliedReportingOverflow(by: units[unit].milliseconds)
            let (sum, overflow) = total.addingReportingOverflow(part)
            if isTooLong || overflow { return nil }
            total = sum
        }
        return total
    }
}
