import AsyncHTTPClient
import NIOCore

/// A plain client, for servers that are not ours.
enum HTTP {
    private static let bytesMax = 1 << 20

    static func get(port: Int, path: String) async throws -> String {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(5))
        return String(buffer: try await response.body.collect(upTo: bytesMax))
    }
}
