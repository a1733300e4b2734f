import Foundation
import Glibc

/// Makes a directory for temporary files that only its owner can read, its name beginning with `name`; whoever asks
/// removes it. Returns its path; nil where it cannot be made.
package func makeTemporaryDirectory(_ name: String) -> String? {
    let path = (NSTemporaryDirectory() as NSString).appendingPathComponent("\(name)-XXXXXX")
    var template = Array(path.utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
