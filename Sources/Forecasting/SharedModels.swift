import TwinCore

/// What all series of a task learn together: the network, and by class how far each member of the ensemble led and how
/// much the quantiles had to be stretched.
package struct SharedModels: ~Copyable {
    /// Classes that are told apart; others share a place.
    private static let classesMax = 64
    private static let numbersPerClass = Moment.anchorsMax * HorizonMixture.priorCount
    private static let experienceCount = classesMax * Moment.anchorsMax

    let network: UnsafeMutablePointer<Network>
    /// By class and horizon: the mean leads by member and level, and the stretches by level; powers of two.
    private let leads: UnsafeMutablePointer<Float>
    /// By class and horizon: how far its rare values lie out.
    private let tails: UnsafeMutablePointer<Tail>
    /// By class and horizon: the regression over all its series.
    private let experiences: UnsafeMutablePointer<Experience>
    /// By member: the weights it had in what was issued, summed over levels and judged forecasts. For people to see;
    /// nothing is decided by it, and no snapshot keeps it.
    let carried: UnsafeMutablePointer<Double>
    /// What the members say at one horizon, while it is combined.
    let said: UnsafeMutablePointer<Float>
    /// The clock by which days and weeks are learned. A setting: no snapshot keeps it.
    let clock: LocalTime

    /// - Parameter clock: what people live by whose doings are forecast.
    package init(clock: LocalTime = .utc) {
        self.clock = clock
        network = .allocate(capacity: 1)
        network.initialize(to: Network())
        leads = .allocate(capacity: Self.classesMax * Self.numbersPerClass)
        leads.initialize(repeating: 0, count: Self.classesMax * Self.numbersPerClass)
        tails = .allocate(capacity: Self.experienceCount)
        tails.initialize(repeating: Tail(), count: Self.experienceCount)
        experiences = .allocate(capacity: Self.experienceCount)
        experiences.initialize(repeating: Experience(), count: Self.experienceCount)
        carried = .allocate(capacity: HorizonMixture.members)
        carried.initialize(repeating: 0, count: HorizonMixture.members)
        said = .allocate(capacity: HorizonMixture.numbers + ForecastLevels.count)
        said.initialize(repeating: 0, count: HorizonMixture.numbers + ForecastLevels.count)
    }

    deinit {
        network.deinitialize(count: 1)
        network.deallocate()
        leads.deallocate()
        tails.deallocate()
        experiences.deallocate()
        carried.deallocate()
        said.deallocate()
    }

    /// What a class knows of one horizon, beside its regression.
    @inline(__always)
    func prior(of kin: UInt32, _ anchor: Int) -> ClassPrior {
        let place = Int(kin) % Self.classesMax
        return ClassPrior(
            leads: leads + (place * Self.numbersPerClass + anchor * HorizonMixture.priorCount),
            tail: tails + (place * Moment.anchorsMax + anchor))
    }

    /// What a class has learned at one horizon.
    @inline(__always)
    func experience(of kin: UInt32, _ anchor: Int) -> UnsafeMutablePointer<Experience> {
        experiences + (Int(kin) % Self.classesMax * Moment.anchorsMax + anchor)
    }

    /// Who carried how much of the forecasts that have been judged since the start: names, and summed weights times
    /// 1000 over the number of levels.
    package var carriedWeights: [(member: String, weight: UInt64)] {
        HorizonMixture.memberNames.indices.map { index in
            (HorizonMixture.memberNames[index], UInt64(1_000 * carried[index] / Double(HorizonMixture.levels)))
        }
    }

    /// What a snapshot keeps.
    package var bytes: [UInt8] {
        let numbers = UnsafeRawBufferPointer(
            UnsafeBufferPointer(start: leads, count: Self.classesMax * Self.numbersPerClass))
        let tails = UnsafeRawBufferPointer(UnsafeBufferPointer(start: tails, count: Self.experienceCount))
        let learned = UnsafeRawBufferPointer(
            UnsafeBufferPointer(start: experiences, count: Self.experienceCount))
        return [UInt8](numbers) + [UInt8](tails) + [UInt8](learned) + [UInt8](network.pointee.bytes)
    }

    /// Takes over what `bytes` gave.
    /// - Returns: false, with nothing changed, if it is damaged.
    package mutating func restore(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let count = Self.classesMax * Self.numbersPerClass
        let tailsFrom = count * MemoryLayout<Float>.stride
        let experiencesFrom = tailsFrom + Self.experienceCount * MemoryLayout<Tail>.stride
        let end = experiencesFrom + Self.experienceCount * MemoryLayout<Experience>.stride
        guard bytes.count >= end else { return false }
        func lead(_ index: Int) -> Float {
            bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Float>.stride, as: Float.self)
        }
        func tail(_ index: Int) -> Tail {
            bytes.loadUnaligned(fromByteOffset: tailsFrom + index * MemoryLayout<Tail>.stride, as: Tail.self)
        }
        func experience(_ index: Int) -> Experience {
            bytes.loadUnaligned(
                fromByteOffset: experiencesFrom + index * MemoryLayout<Experience>.stride, as: Experience.self)
        }
        for index in 0..<count where !(lead(index).magnitude <= 30) { return false }
        for index in 0..<Self.experienceCount {
            guard tail(index).isSound, experience(index).isSound else { return false }
        }
        guard network.pointee.restore(UnsafeRawBufferPointer(rebasing: bytes[end...])) else { return false }
        for index in 0..<Self.experienceCount {
            tails[index] = tail(index)
            experiences[index] = experience(index)
        }
        for index in 0..<count { leads[index] = lead(index) }
        return true
    }
}
