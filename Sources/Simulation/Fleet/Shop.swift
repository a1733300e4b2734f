import TwinCore

/// One service of the simulated shop.
package struct ShopService: Sendable {
    /// Id of the resource.
    package let name: String
    /// Cluster that it runs in.
    package let locality: String
    /// `service` or `database`.
    package let kind: String
    /// Requests per second that one replica carries at full use.
    package let capacityPerReplica: Double
    /// From an order for more replicas to their being ready, seconds.
    package let provisioningSeconds: Int64
    /// Price of one replica for an hour.
    package let pricePerHour: Double
    /// Processor seconds of one request.
    package let cpuPerRequest: Double
    package let replicasMin: Int
    package let replicasMax: Int
}

/// A service calls another: so many calls per request of its own, each so much later.
package struct ShopCall: Sendable {
    package let source: Int
    package let target: Int
    package let ratio: Double
    package let lagSeconds: Int64
}

/// The shop of the demo: twenty services in three clusters, wired by calls. Lags are those of people and of
/// processes: who looks at things now fills a cart minutes later, and an order is paid after it was placed.
package enum Shop {
    /// Seconds of one step of the simulation.
    package static let stepSeconds: Int64 = 30

    /// In an order in which callers stand before those they call.
    package static let services: [ShopService] = [
        service("frontend", "web", capacity: 90, delay: 180, price: 0.12),
        service("search", "web", capacity: 40, delay: 240, price: 0.2),
        service("catalog", "web", capacity: 80, delay: 180, price: 0.12),
        service("images", "web", capacity: 160, delay: 120, price: 0.1),
        service("recommendations", "web", capacity: 45, delay: 300, price: 0.3),
        service("ads", "web", capacity: 40, delay: 180, price: 0.12),
        service("sessions", "web", capacity: 60, delay: 120, price: 0.1),
        service("cart", "trade", capacity: 20, delay: 240, price: 0.15),
        service("pricing", "trade", capacity: 18, delay: 180, price: 0.12),
        service("inventory", "trade", capacity: 16, delay: 240, price: 0.15),
        service("checkout", "trade", capacity: 8, delay: 300, price: 0.25),
        service("fraud", "trade", capacity: 7, delay: 360, price: 0.4),
        service("payment", "trade", capacity: 7, delay: 300, price: 0.25),
        service("shipping", "trade", capacity: 6, delay: 180, price: 0.12),
        service("email", "trade", capacity: 8, delay: 120, price: 0.08),
        service("orders-db", "backend", "database", capacity: 12, delay: 420, price: 0.9),
        service("catalog-db", "backend", "database", capacity: 60, delay: 420, price: 0.9),
        service("users-db", "backend", "database", capacity: 45, delay: 420, price: 0.9),
        service("stock-db", "backend", "database", capacity: 14, delay: 420, price: 0.9),
        service("warehouse", "backend", capacity: 5, delay: 240, price: 0.2),
    ]

    /// Who calls whom.
    package static let calls: [ShopCall] = [
        call("frontend", "search", 0.35), call("frontend", "catalog", 0.8), call("frontend", "images", 1.5),
        call("frontend", "recommendations", 0.45), call("frontend", "ads", 0.4), call("frontend", "sessions", 0.6),
        call("frontend", "cart", 0.22, lag: 240),
        call("cart", "pricing", 0.9), call("cart", "inventory", 0.7), call("cart", "checkout", 0.4, lag: 240),
        call("checkout", "fraud", 0.9, lag: 30), call("checkout", "payment", 0.85, lag: 120),
        call("payment", "shipping", 0.8, lag: 120), call("payment", "email", 1.2, lag: 60),
        call("payment", "orders-db", 1.8, lag: 120),
        call("catalog", "catalog-db", 0.45), call("search", "catalog-db", 0.4),
        call("sessions", "users-db", 0.6), call("inventory", "stock-db", 0.8),
        call("orders-db", "warehouse", 0.3, lag: 300),
    ]

    /// The longest path that a surge of shoppers takes, hop by hop.
    package static let chain: [Int] = ["frontend", "cart", "checkout", "payment", "orders-db"].map { index(of: $0) }

    /// Requests per second that shoppers cause at the frontend at the best hour of a usual day.
    package static let shoppersAtPeak = 900.0

    /// The position of a service of this file.
    package static func index(of name: String) -> Int {
        guard let index = services.firstIndex(where: { $0.name == name }) else {
            preconditionFailure("the shop has no service \(name)")
        }
        return index
    }

    /// The position of any name, or nil.
    package static func find(_ name: String) -> Int? { services.firstIndex { $0.name == name } }

    private static func service(
        _ name: String, _ locality: String, _ kind: String = "service", capacity: Double, delay: Int64, price: Double
    ) -> ShopService {
        ShopService(
            name: name, locality: locality, kind: kind, capacityPerReplica: capacity, provisioningSeconds: delay,
            pricePerHour: price, cpuPerRequest: 0.6 / capacity, replicasMin: 2, replicasMax: 80)
    }

    private static func call(_ source: String, _ target: String, _ ratio: Double, lag: Int64 = 0) -> ShopCall {
        ShopCall(source: index(of: source), target: index(of: target), ratio: ratio, lagSeconds: lag)
    }
}
