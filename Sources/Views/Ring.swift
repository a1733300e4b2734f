/// The last so many values, oldest first. Grows up to its limit, then overwrites the oldest in place.
package struct Ring<Element: Sendable>: Sendable {
    private var storage: [Element] = []
    private var head = 0
    package let elementsMax: Int

    package init(elementsMax: Int) { self.elementsMax = max(elementsMax, 1) }

    package var count: Int { storage.count }

    package var isEmpty: Bool { storage.isEmpty }

    /// The element at `index`, 0 being the oldest; the caller stays below `count`.
    package subscript(index: Int) -> Element {
        get { storage[place(index)] }
        set { storage[place(index)] = newValue }
    }

    private func place(_ index: Int) -> Int {
        let place = head + index
        return place < storage.count ? place : place - storage.count
    }

    /// All elements, oldest first.
    package var elements: [Element] { (0..<count).map { self[$0] } }

    package var last: Element? { isEmpty ? nil : self[count - 1] }

    /// Adds an element; returns the one that had to go for it.
    @discardableResult
    package mutating func append(_ element: Element) -> Element? {
        guard storage.count >= elementsMax else {
            storage.append(element)
            return nil
        }
        let old = storage[head]
        storage[head] = element
        head = head + 1 == storage.count ? 0 : head + 1
        return old
    }

    /// Removes the newest elements that hold, up to the first that does not.
    package mutating func removeLast(while condition: (Element) -> Bool) {
        guard let last, condition(last) else { return }
        var kept = elements
        while let last = kept.last, condition(last) { kept.removeLast() }
        storage = kept
        head = 0
    }

    package mutating func removeAll() {
        storage = []
        head = 0
    }

    /// How many elements, from the oldest on, satisfy `isBefore`, which holds for a first part of them and for none
    /// behind it.
    package func partition(_ isBefore: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
