/// The recurrent network that all series of a task share, as a member: this series' hidden state and windows.
extension NetworkState: Member {
    mutating func observe(_ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>) {
        observe(m, pool: shared.pointee.network)
    }

    mutating func forecast(
        _ anchor: Int, _ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>,
        into out: UnsafeMutablePointer<Float>
    ) -> Bool {
        forecast(anchor, m, pool: shared.pointee.network, into: out)
    }
}
