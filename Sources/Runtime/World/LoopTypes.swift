import TaskLoop

/// The loop's start offset, under a name that does not meet the Kafka module's in files that import both.
package typealias LoopStart = StartOffset
