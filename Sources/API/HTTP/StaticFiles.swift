import Crypto
import Foundation
import Runtime

/// A file that is served as it is.
struct StaticFile: Sendable {
    let type: String
    let bytes: [UInt8]
    /// Compressed, if that is a gain.
    let gzip: [UInt8]?
    let tag: String

    init(type: String, bytes: [UInt8]) {
        self.type = type
        self.bytes = bytes
        gzip = bytes.count >= Gzip.bytesMin ? Gzip.compress(bytes, level: 9) : nil
        tag = SHA256.hash(data: Data(bytes)).prefix(12).map { String($0, radix: 16) }.joined()
    }
}

/// The dashboard's files, read once into memory: no path from outside ever reaches the file system.
struct StaticFiles: Sendable {
    static let filesMax = 1_000
    static let bytesMax = 32 << 20

    private static let types = [
        "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
        "mjs": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml",
        "png": "image/png", "ico": "image/x-icon", "webp": "image/webp", "woff2": "font/woff2",
        "json": "application/json", "map": "application/json", "txt": "text/plain; charset=utf-8",
    ]

    private var files: [String: StaticFile] = [:]

    /// No files.
    init() {}

    /// All files of known types below a folder.
    init(folder: String) throws(StageFailure) {
        let root = URL(fileURLWithPath: folder, isDirectory: true).standardizedFileURL
        guard let walker = FileManager.default.enumerator(at: root, includingPropertiesForKeys: [.isRegularFileKey])
        else { throw StageFailure(.refused, "the folder '\(folder)' cannot be read", hint: "check api.dashboard") }
        var total = 0
        for case let url as URL in walker {
            guard let type = Self.types[url.pathExtension.lowercased()],
                (try? url.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile ?? false,
                let data = try? Data(contentsOf: url)
            else { continue }
            total += data.count
            guard files.count < Self.filesMax, total <= Self.bytesMax else {
                throw StageFailure(
                    .refused, "the folder '\(folder)' holds more than \(Self.filesMax) files or \(Self.bytesMax) bytes",
                    hint: "check api.dashboard")
            }
            let path = url.standardizedFileURL.path.dropFirst(root.path.count).drop { $0 == "/" }
            files[String(path)] = StaticFile(type: type, bytes: [UInt8](data))
        }
    }

    /// Adds a script that stands elsewhere, under a path of its own; false if it cannot be read.
    mutating func add(script path: String, from file: String) -> Bool {
        guard let data = FileManager.default.contents(atPath: file), data.count <= Self.bytesMax,
            let type = Self.types["js"]
        else { return false }
        files[path] = StaticFile(type: type, bytes: [UInt8](data))
        return true
    }

    /// By path without the slash before it; the empty one is `index.html`.
    subscript(path: String) -> StaticFile? { files[path.isEmpty ? "index.html" : path] }

    /// A resource of this module: beside the program, where the build puts it, or beside the tests.
    static func resource(_ name: String) -> String? {
        var folders: [String] = []
        if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            folders.append((own as NSString).deletingLastPathComponent)
        }
        folders.append(Bundle.main.bundlePath)
        folders += Bundle.allBundles.map { ($0.bundlePath as NSString).deletingLastPathComponent }
        for folder in folders {
            let path = "\(folder)/twinscale_API.resources/\(name)"
            if FileManager.default.fileExists(atPath: path) { return path }
        }
        return nil
    }
}
