import Messages

/// What well-known names of metrics say about their use. Names are compared in lower case, with `.`, `-`, `/` and
/// blanks as `_`.
enum MetricNames {
    private static let exact: [(MetricRole, String)] = [
        (.supply, "replicas ready_replicas readyreplicas available_replicas instances ready_instances pods"),
        (.supply, "ready_pods running_instances ready_units"),
        (.supply, "kube_deployment_status_replicas_ready"),
        (.demand, "rps qps tps requests requests_total request_rate requests_per_second requests_per_sec"),
        (.demand, "http_requests http_requests_total arrivals arrivals_total arrival_rate throughput load"),
        (.demand, "messages_in messages_in_total messages_in_per_second calls calls_total transactions queries"),
        (.demand, "queries_total cpu cpu_usage cpu_cores cpu_used cpu_usage_cores cpu_seconds_total"),
        (.demand, "cpu_usage_seconds_total container_cpu_usage_seconds_total process_cpu_seconds_total"),
        (.demand, "http_server_request_duration_count http_server_duration_count rpc_server_duration_count"),
        (.demand, "rpc_server_call_duration_count messaging_process_duration_count"),
        (.demand, "container_cpu_usage k8s_pod_cpu_usage"),
        (.supply, "k8s_deployment_available k8s_statefulset_ready_pods k8s_replicaset_available"),
        (.utilisation, "cpu_utilisation cpu_utilization utilisation utilization cpu_percent cpu_usage_percent"),
        (.utilisation, "cpu_util cpu_ratio system_cpu_utilization gpu_utilisation gpu_utilization cpu_load"),
        (.slo, "errors errors_total error_rate error_ratio http_errors http_errors_total availability"),
        (.backlog, "queue_length queue_depth queue_size queue lag consumer_lag consumergroup_lag backlog pending"),
        (.backlog, "messages_ready messages_waiting waiting_requests inflight_requests"),
        (.footprint, "memory mem memory_usage memory_used memory_bytes memory_working_set memory_working_set_bytes"),
        (.footprint, "container_memory_working_set_bytes process_resident_memory_bytes rss heap heap_used disk"),
        (.footprint, "disk_usage disk_used disk_used_bytes storage storage_used memory_utilisation"),
        (.footprint, "memory_utilization disk_utilisation disk_utilization"),
    ]

    private static let prefixes: [(MetricRole, String)] = [
        (.slo, "latency"), (.slo, "p50"), (.slo, "p90"), (.slo, "p95"), (.slo, "p99"), (.slo, "response_time"),
        (.slo, "request_duration"), (.slo, "http_request_duration"),
    ]

    private static let suffixes: [(MetricRole, String)] = [
        (.slo, "_latency"), (.slo, "_latency_seconds"), (.slo, "_latency_ms"), (.slo, "_duration_seconds"),
        (.backlog, "_queue_length"), (.backlog, "_queue_depth"), (.backlog, "_lag"),
    ]

    /// The longest name that is looked at.
    private static let nameBytesMax = 256

    private static func folded(_ name: UnsafeRawBufferPointer) -> [UInt8] {
        name.prefix(nameBytesMax).map { byte in
            switch byte {
            case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: " "): UInt8(ascii: "_")
            case 0x41...0x5a: byte | 0x20
            default: byte
            }
        }
    }

    /// The role that the name suggests. A processor metric in ratios or per cent is a utilisation whatever its name.
    static func role(of name: UnsafeRawBufferPointer, dimension: UnitDimension) -> MetricRole {
        let name = folded(name)
        let role = role(folded: name)
        if role == .demand, dimension == .ratio { return .utilisation }
        return role
    }

    private static func role(folded name: [UInt8]) -> MetricRole {
        for (role, words) in exact {
            for word in words.split(separator: " ") where word.utf8.elementsEqual(name) { return role }
        }
        for (role, prefix) in prefixes where name.starts(with: prefix.utf8) { return role }
        for (role, suffix) in suffixes where name.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) { return role }
        return .unknown
    }

    /// Names of totals end with `_total` (the convention of Prometheus and OpenMetrics).
    static func isTotal(_ name: UnsafeRawBufferPointer) -> Bool {
        name.suffix(6).elementsEqual("_total".utf8)
    }

    /// Whether the metric counts processors.
    static func isProcessor(_ name: UnsafeRawBufferPointer) -> Bool {
        let name = folded(name)
        guard name.count >= 3 else { return false }
        for start in 0...(name.count - 3) {
            if name[start...].starts(with: "cpu".utf8) || name[start...].starts(with: "core".utf8) { return true }
        }
        return false
    }
}
