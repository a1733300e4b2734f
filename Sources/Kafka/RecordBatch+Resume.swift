extension RecordBatch {
    /// Calls `body` with the records from `index` on, in order of arrival, until it returns false. Returns the index of
    /// the first record that was not seen, so that a later call can go on there.
    @inlinable package borrowing func forEach(
        from index: Int, while body: (borrowing Record) -> Bool
    ) -> Int {
        var index = max(index, 0)
        while index < count {
            guard let message = messages[index] else {
                index += 1
                continue
            }
            index += 1
            if !body(Record(message, topic: topics[index - 1], in: self)) { break }
        }
        return index
    }
}
