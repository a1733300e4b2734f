/// A noun as it follows a number: `sample` after 1, `samples` after any other.
///
/// - Parameters:
///   - count: the number before it.
///   - singular: an English noun with a regular plural.
package func noun(_ count: some BinaryInteger, _ singular: String) -> String {
    if count == 1 || singular.hasSuffix("series") { return singular }
    let isSoft = singular.hasSuffix("y") && !"aeiou".contains(singular.dropLast().last ?? "a")
    return isSoft ? singular.dropLast() + "ies" : singular + "s"
}

/// A number with its noun: `1 sample`, `2 samples`.
package func counted(_ count: some BinaryInteger, _ singular: String) -> String {
    "\(count) \(noun(count, singular))"
}
