"""Writes Tests/MessagesTests/Fixtures/otlp.json: one export of every kind of metric, in Protobuf (base 64) and in JSON,
by OpenTelemetry's own generated code. Needs nothing of this repository:

    python3 -m venv venv && venv/bin/pip install opentelemetry-proto
    venv/bin/python Tests/MessagesTests/Fixtures/otlp.py > Tests/MessagesTests/Fixtures/otlp.json
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE as TOTAL,
    AGGREGATION_TEMPORALITY_DELTA as DELTA,
    DataPointFlags,
)

second = 1_000_000_000
start, time = 1_795_521_600 * second, 1_795_521_660 * second


def pairs(values):
    def value(v):
        if isinstance(v, bool):
            return AnyValue(bool_value=v)
        if isinstance(v, int):
            return AnyValue(int_value=v)
        if isinstance(v, list):
            return AnyValue(array_value=ArrayValue(values=[value(x) for x in v]))
        return AnyValue(string_value=v)

    return [KeyValue(key=k, value=value(v)) for k, v in values.items()]


request = ExportMetricsServiceRequest()

shop = request.resource_metrics.add()
shop.schema_url = "https://opentelemetry.io/schemas/1.27.0"
shop.resource.attributes.extend(
    pairs(
        {
            "telemetry.sdk.name": "opentelemetry",
            "process.command_args": ["java", "-jar"],
            "k8s.cluster.name": "eu-1",
            "service.name": "cart",
            "cloud.availability_zone": 'zone "a"',
            "twinscale.class": "service",
        }
    )
)
scope = shop.scope_metrics.add()
scope.scope.name, scope.scope.version = "io.opentelemetry.http", "1.2.3"

metric = scope.metrics.add(name="http.server.requests", unit="{request}", description="Requests.")
metric.sum.aggregation_temporality, metric.sum.is_monotonic = TOTAL, True
for method, count in (("GET", 1000), ("POST", 234)):
    point = metric.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=time, as_int=count)
    point.attributes.extend(pairs({"http.request.method": method}))
    point.exemplars.add(time_unix_nano=time, as_double=1.5, trace_id=bytes(16), span_id=bytes(8))

metric = scope.metrics.add(name="messages", unit="1")
metric.sum.aggregation_temporality, metric.sum.is_monotonic = DELTA, True
metric.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=time, as_int=90)

metric = scope.metrics.add(name="connections", unit="{connection}")
metric.sum.aggregation_temporality, metric.sum.is_monotonic = TOTAL, False
point = metric.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=time, as_int=-3)
point.attributes.extend(pairs({"state": "idle", "pool": 7, "open": True}))

metric = scope.metrics.add(name="jvm.memory.used", unit="By")
metric.gauge.data_points.add(time_unix_nano=time, as_double=1.5e9)
gone = metric.gauge.data_points.add(time_unix_nano=time + second)
gone.flags = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

metric = scope.metrics.add(name="http.server.request.duration", unit="s")
metric.histogram.aggregation_temporality = TOTAL
for route, count, total in (("/a", 10, 2.5), ("/b", 6, 1.25)):
    point = metric.histogram.data_points.add(
        start_time_unix_nano=start, time_unix_nano=time, count=count, sum=total, min=0.01, max=1,
        bucket_counts=[count, 0], explicit_bounds=[1],
    )
    point.attributes.extend(pairs({"http.route": route}))

metric = scope.metrics.add(name="rpc.size", unit="By")
metric.exponential_histogram.aggregation_temporality = DELTA
point = metric.exponential_histogram.data_points.add(
    start_time_unix_nano=start, time_unix_nano=time, count=30, sum=600, scale=2, zero_count=1
)
point.positive.offset = 3
point.positive.bucket_counts.extend([1, 2, 3])

metric = scope.metrics.add(name="gc.pause", unit="ms")
point = metric.summary.data_points.add(start_time_unix_nano=start, time_unix_nano=time, count=5, sum=40)
point.quantile_values.add(quantile=0.5, value=8)

graph = request.resource_metrics.add()
scope = graph.scope_metrics.add()
metric = scope.metrics.add(name="traces_service_graph_request_total")
metric.sum.aggregation_temporality, metric.sum.is_monotonic = TOTAL, True
point = metric.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=time, as_int=60)
point.attributes.extend(pairs({"client": "web", "server": "cart"}))
metric = scope.metrics.add(name="traces_service_graph_request_server", unit="s")
metric.histogram.aggregation_temporality = DELTA
point = metric.histogram.data_points.add(start_time_unix_nano=start, time_unix_nano=time, count=120, sum=6)
point.attributes.extend(pairs({"client": "web", "server": "cart", "connection_type": ""}))

wire = request.SerializeToString()
text = json_format.MessageToJson(request, use_integers_for_enums=True, indent=None)
json.dump({"protobuf": base64.b64encode(wire).decode(), "json": text}, sys.stdout, indent=1)
print()
