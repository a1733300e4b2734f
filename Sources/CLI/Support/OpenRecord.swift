import Messages

/// A record that is being written: several stand open side by side, one per partition.
final class OpenRecord {
    var writer = JSONWriter(capacityBytes: 4_096)
    /// Samples in it.
    var samples = 0
}
