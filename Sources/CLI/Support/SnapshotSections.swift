/// What the sections of a snapshot hold, by their tags.
enum SnapshotSections {
    static let meanings: [String: String] = [
        "name": "names of resources, metrics and localities", "emit": "numbering of what is written",
        "send": "senders, how far each was read, and the watermark",
        // normalizer
        "ninb": "the raw topic", "nclk": "event time", "ncal": "call totals of pairs",
        "ndir": "which resource is where",
        // twin-updater
        "twrs": "resources", "twse": "series with their models", "twem": "what planned events did",
        "twst": "planned events, departures, free cells", "twsh": "models shared by a class",
        // drift-detector
        "dser": "series", "ddet": "detectors", "dres": "resources", "dloc": "localities",
        "dbud": "budgets of requests and alarms",
        // graph-propagator
        "gnod": "resources", "gedg": "edges", "gfor": "forecasts", "gloc": "localities", "gclk": "event time",
        // scaling-decider
        "scRS": "resources", "scOR": "policies, orders and actions in flight",
    ]
}
