import Messages
import StageKit
import TwinCore

/// What has been found out about a metric with a unit: how to convert it, and the code of its samples.
struct MetricMemo: BitwiseCopyable {
    var unit: UInt64
    var multiplier: Double
    var divisor: Double
    var role: MetricRole
    var isCounter: Bool
    /// The unit is not understood; values are passed on as they stand.
    var isUnknownUnit: Bool

    @inline(__always)
    func canonical(_ value: Double) -> Double { value * multiplier / divisor }
}

/// One memo per metric, for the unit that it came with last. Derived from the settings and the record alone, so it is
/// no part of the state.
struct MetricMemos: ~Copyable {
    private var memos: [MetricMemo] = []
    /// By name number: index + 1, or 0.
    private var indices: [UInt32] = []
    private let units = UnitTable()
    private let declarations: [MetricDeclaration]

    init(_ settings: NormalizerSettings) { declarations = settings.metrics }

    /// The bytes of a short unit (none holds a zero byte), the digest of a long one.
    @inline(__always)
    private static func key(_ unit: UnsafeRawBufferPointer) -> UInt64 {
        if unit.count <= 8 {
            var key: UInt64 = 0
            for byte in unit { key = key &<< 8 | UInt64(byte) }
            return key
        }
        var digest = Digest(seed: UInt64(unit.count))
        digest.combine(unit)
        return digest.value
    }

    /// Names mean something else from now on.
    mutating func forgetAll() {
        memos.removeAll(keepingCapacity: true)
        indices.removeAll(keepingCapacity: true)
    }

    /// What to do with a value of this metric in this unit.
    @inline(__always)
    mutating func find(_ metric: NameID, name: UnsafeRawBufferPointer, unit: UnsafeRawBufferPointer) -> MetricMemo {
        let key = Self.key(unit)
        if Int(metric) < indices.count, indices[Int(metric)] != 0 {
            let memo = memos[Int(indices[Int(metric)]) &- 1]
            if memo.unit == key { return memo }
        }
        return learn(metric, name: name, unit: unit, key: key)
    }

    @inline(never)
    private mutating func learn(
        _ metric: NameID, name: UnsafeRawBufferPointer, unit: UnsafeRawBufferPointer, key: UInt64
    ) -> MetricMemo {
        let declared = declarations.first { name.equals(text: $0.name) }
        let isProcessor = MetricNames.isProcessor(name)
        var conversion = units.conversion(unit, isProcessor: isProcessor)
        if unit.isEmpty, let text = declared?.unit {
            conversion = Array(text.utf8).withUnsafeBytes { units.conversion($0, isProcessor: isProcessor) }
        }
        let memo = MetricMemo(
            unit: key, multiplier: conversion?.multiplier ?? 1, divisor: conversion?.divisor ?? 1,
            role: declared?.role ?? MetricNames.role(of: name, dimension: conversion?.dimension ?? .plain),
            isCounter: declared?.isCounter ?? MetricNames.isTotal(name), isUnknownUnit: conversion == nil)
        if Int(metric) >= indices.count {
            let size = max(Int(metric) + 1, indices.count * 2, 1_024)
            indices.append(contentsOf: repeatElement(0, count: size - indices.count))
        }
        if indices[Int(metric)] == 0 {
            memos.append(memo)
            indices[Int(metric)] = UInt32(memos.count)
        } else {
            memos[Int(indices[Int(metric)]) - 1] = memo
        }
        return memo
    }
}
