/// Finds which incarnations of a stage are in use, where nobody keeps a list of them.
package enum Incarnations {
    /// Numbers are seldom left out: so many in a row that nobody has used end the search.
    static let unusedMax = 2
    /// Asked for at most from where the search begins.
    static let asksMax = 64

    /// Those in use from `first` on, ascending, with what is known of each.
    ///
    /// - Parameters:
    ///   - named: one that is asked for in any case, with those after it.
    ///   - find: what is known of one; nil for one that nobody has used.
    package static func inUse<Found, Failure: Error>(
        from first: UInt64, named: UInt64? = nil, find: (UInt64) throws(Failure) -> Found?
    ) throws(Failure) -> [(incarnation: UInt64, found: Found)] {
        var inUse: [(incarnation: UInt64, found: Found)] = []
        var next = first
        for begin in [first, named ?? first] where begin >= next {
            next = begin
            var (asked, unused) = (0, 0)
            while unused < unusedMax, asked < asksMax, next < .max {
                if let found = try find(next) {
                    inUse.append((next, found))
                    unused = 0
                } else {
                    unused += 1
                }
                asked += 1
                next += 1
            }
        }
        return inUse
    }
}
