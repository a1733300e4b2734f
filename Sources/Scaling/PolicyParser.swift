import Messages
import StageKit
import TwinCore

/// Reads a policy (`topics/schemas/policy.schema.json`). Nothing is guessed: an unknown key, a value out of range or
/// two keys that contradict each other refuse the whole policy, with a reason that names the key.
enum PolicyParser {
    /// - Parameter name: the policy's name as the record's key says it.
    static func parse(
        _ text: UnsafeRawBufferPointer, name: NameID, version: UInt64, settings: ScalingSettings, names: NameTable
    ) throws(ScalingError) -> Policy {
        var draft = Draft()
        draft.policy.terms.name = name
        draft.policy.terms.version = version
        draft.policy.terms.decisionInterval = settings.decisionIntervalSeconds * 1_000
        var parser = ObjectParser(text, names: names)
        try parser.enter()
        while let key = try parser.next() { try draft.read(key, from: &parser) }
        try parser.end()
        return try draft.finished(name: name, names: names)
    }
}

private struct Draft {
    var policy = Policy()
    var statedName: NameID = 0
    var initial: Int32?
    var quantile: Double?
    var shortage: Double?
    var underutilisation: Double?
    var hasActivation = false

    mutating func read(_ key: String, from parser: inout ObjectParser) throws(ScalingError) {
        switch key {
        case "name": statedName = try parser.name()
        case "version": _ = try parser.integer(0...9_007_199_254_740_992)
        case "description": _ = try parser.text(bytesMax: 4_096)
        case "match": try readMatch(from: &parser)
        case "mode": policy.terms.mode = try parser.word { $0.text }
        case "criticality": policy.terms.criticality = try parser.word { $0.text }
        case "metric": policy.terms.metric = try parser.name()
        case "replicas": try readReplicas(from: &parser)
        case "stabilisation":
            (policy.terms.stabilisationUp, policy.terms.stabilisationDown) = try readWindows(
                from: &parser, up: policy.terms.stabilisationUp, down: policy.terms.stabilisationDown)
            policy.terms.statesStabilisation = true
        case "cooldown":
            (policy.terms.cooldownUp, policy.terms.cooldownDown) = try readWindows(
                from: &parser, up: policy.terms.cooldownUp, down: policy.terms.cooldownDown)
        case "budget": try readBudget(from: &parser)
        case "activation": try readActivation(from: &parser)
        default: try readNumber(key, from: &parser)
        }
    }

    private mutating func readNumber(_ key: String, from parser: inout ObjectParser) throws(ScalingError) {
        switch key {
        case "capacityPerReplica": policy.terms.capacityPerReplica = try parser.number(1e-9...1e15)
        case "targetUtilisation": policy.terms.targetUtilisation = try parser.number(0.01...1)
        case "scalingThreshold": policy.terms.scalingThreshold = try parser.number(0.001...10)
        case "underutilisationThreshold": underutilisation = try parser.number(0...10)
        case "provisioningDelaySeconds": policy.terms.provisioningDelaySeconds = try parser.number(0...86_400)
        case "decisionIntervalSeconds": policy.terms.decisionInterval = try milliseconds(&parser, from: 1)
        case "shortageTarget": shortage = try parser.number(0.0001...0.5)
        case "quantile": quantile = try parser.number(QuantilePick.levels)
        case "tolerance": policy.terms.tolerance = try parser.number(0...1)
        case "stepUpMax": policy.terms.stepUpMax = try replicas(&parser)
        case "stepDownMax": policy.terms.stepDownMax = try replicas(&parser)
        case "pricePerUnitHour": policy.terms.pricePerUnitHour = try parser.number(0...1e9)
        case "actionTimeoutSeconds": policy.terms.actionTimeout = try milliseconds(&parser, from: 1)
        case "flapsPerHourMax": policy.terms.flapsPerHourMax = try parser.number(0.1...3_600)
        default: throw parser.unknown()
        }
    }

    private func replicas(_ parser: inout ObjectParser) throws(ScalingError) -> Int32 {
        Int32(try parser.integer(1...Int64(Replicas.limit)))
    }

    private func milliseconds(_ parser: inout ObjectParser, from least: Double) throws(ScalingError) -> Int64 {
        Int64((try parser.number(least...604_800) * 1_000).rounded())
    }

    private mutating func readMatch(from parser: inout ObjectParser) throws(ScalingError) {
        try parser.enter()
        while let key = try parser.next() {
            switch key {
            case "resource": policy.match.resource = try parser.name()
            case "class": policy.match.classification = try parser.name()
            case "locality": policy.match.locality = try parser.name()
            case "tags":
                try parser.enter()
                while try parser.next() != nil {
                    guard policy.match.tags.count < 16 else {
                        throw ScalingError(.limit, "'match.tags' has more than 16 tags")
                    }
                    policy.match.tags.append(
                        PolicyMatch.Tag(key: try parser.keyName(), value: try parser.name()))
                }
            default: throw parser.unknown()
            }
        }
    }

    private mutating func readReplicas(from parser: inout ObjectParser) throws(ScalingError) {
        try parser.enter()
        while let key = try parser.next() {
            switch key {
            case "min": policy.terms.minimum = Int32(try parser.integer(0...Int64(Replicas.limit)))
            case "max": policy.terms.maximum = try replicas(&parser)
            case "initial": initial = try replicas(&parser)
            default: throw parser.unknown()
            }
        }
    }

    private func readWindows(
        from parser: inout ObjectParser, up: Int64, down: Int64
    ) throws(ScalingError) -> (Int64, Int64) {
        var windows = (up, down)
        try parser.enter()
        while let key = try parser.next() {
            switch key {
            case "upSeconds": windows.0 = try milliseconds(&parser, from: 0)
            case "downSeconds": windows.1 = try milliseconds(&parser, from: 0)
            default: throw parser.unknown()
            }
        }
        return windows
    }

    private mutating func readActivation(from parser: inout ObjectParser) throws(ScalingError) {
        hasActivation = true
        try parser.enter()
        while let key = try parser.next() {
            switch key {
            case "level": policy.terms.activationLevel = try parser.number(0...1e15)
            case "idleSeconds": policy.terms.idleWindow = try milliseconds(&parser, from: 0)
            case "coldStartSeconds": policy.terms.coldStartSeconds = try parser.number(0...86_400)
            default: throw parser.unknown()
            }
        }
    }

    private mutating func readBudget(from parser: inout ObjectParser) throws(ScalingError) {
        var name: NameID = 0
        var units: Int64?
        try parser.enter()
        while let key = try parser.next() {
            switch key {
            case "name": name = try parser.name()
            case "unitsMax": units = try parser.integer(1...1_000_000_000)
            default: throw parser.unknown()
            }
        }
        guard name != 0 else { throw ScalingError(.missingKey, "'budget.name' is missing") }
        guard let units else { throw ScalingError(.missingKey, "'budget.unitsMax' is missing") }
        policy.budget = PolicyBudget(name: name, unitsMax: units)
    }

    /// Checks what several keys say together.
    func finished(name: NameID, names: NameTable) throws(ScalingError) -> Policy {
        var result = policy
        if statedName != 0, statedName != name {
            let found = names.text(of: statedName)
            throw ScalingError(.conflict, "'name' is '\(found)' but the record's key is '\(names.text(of: name))'")
        }
        let terms = result.terms
        guard terms.minimum <= terms.maximum else {
            throw ScalingError(.conflict, "'replicas.min' \(terms.minimum) is above 'replicas.max' \(terms.maximum)")
        }
        if let initial, initial < terms.minimum || initial > terms.maximum {
            throw ScalingError(
                .conflict, "'replicas.initial' \(initial) is not between 'replicas.min' and 'replicas.max'")
        }
        guard (terms.minimum == 0) == hasActivation else {
            throw ScalingError(.conflict, "'replicas.min' 0 and 'activation' belong together")
        }
        result.terms.initial = initial ?? max(terms.minimum, 1)
        if quantile != nil, shortage != nil {
            throw ScalingError(.conflict, "'quantile' and 'shortageTarget' say the same twice; keep one")
        }
        let level = quantile ?? shortage.map { 1 - $0 }
        result.terms.asksQuantile = level != nil
        result.terms.quantile = QuantilePick(level: level ?? terms.criticality.quantile)
        result.terms.asksShortage = shortage != nil
        if terms.usesThresholds {
            guard let underutilisation else {
                throw ScalingError(.missingKey, "'underutilisationThreshold' is missing beside 'scalingThreshold'")
            }
            guard underutilisation < terms.scalingThreshold else {
                throw ScalingError(.conflict, "'underutilisationThreshold' must be below 'scalingThreshold'")
            }
            result.terms.underutilisationThreshold = underutilisation
        } else if underutilisation != nil {
            throw ScalingError(.missingKey, "'scalingThreshold' is missing beside 'underutilisationThreshold'")
        }
        return result
    }
}
