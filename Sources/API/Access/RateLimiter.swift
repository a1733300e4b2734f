import Runtime
import Synchronization

/// A bucket of tokens per client: so many requests a second on average, so many at once. Bounded: where there are too
/// many clients, those that have been quiet longest are forgotten.
final class RateLimiter: Sendable {
    private struct Bucket {
        var tokens: Double
        var at: Int64
    }

    static let clientsMax = 20_000

    private let perMillisecond: Double
    private let burst: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    init(requestsPerSecond: Double, burst: Double) {
        perMillisecond = requestsPerSecond / 1_000
        self.burst = max(burst, 1)
    }

    /// Nil if the request may pass; else the seconds to wait.
    func wait(for client: String, now: Int64 = monotonicMilliseconds()) -> Int? {
        buckets.withLock { buckets in
            var bucket = buckets[client] ?? Bucket(tokens: burst, at: now)
            bucket.tokens = min(bucket.tokens + Double(max(now - bucket.at, 0)) * perMillisecond, burst)
            bucket.at = now
            let isAllowed = bucket.tokens >= 1
            if isAllowed { bucket.tokens -= 1 }
            if buckets.count >= Self.clientsMax, buckets[client] == nil { forget(&buckets, now) }
            buckets[client] = bucket
            return isAllowed ? nil : max(Int(((1 - bucket.tokens) / perMillisecond / 1_000).rounded(.up)), 1)
        }
    }

    /// Buckets that are full again say nothing; if all are in use, all start anew.
    private func forget(_ buckets: inout [String: Bucket], _ now: Int64) {
        buckets = buckets.filter { $0.value.tokens + Double(now - $0.value.at) * perMillisecond < burst }
        if buckets.count >= Self.clientsMax { buckets = [:] }
    }
}
