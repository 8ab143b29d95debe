"""What a scrape answers, as OpenTelemetry has it: the same series, each told as what it is."""

from __future__ import annotations

import time

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from talka_protocols.errors import CallerError
from talka_services.otlp.endpoints import Signal, endpoint
from talka_services.otlp.metrics import metrics_data

BEGAN_NS = 1_000
NOW_NS = 2_000


def _sent(registry: CollectorRegistry) -> dict[str, Metric]:
    """Return what leaves the process, by name."""
    data = metrics_data(registry.collect(), Resource({"service.name": "s"}), BEGAN_NS, NOW_NS)
    (resource,) = encode_metrics(data).resource_metrics
    assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [
        ("service.name", "s")
    ]
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_a_counter_is_a_total_since_it_began() -> None:
    """Its name is that of its sample, by which rules and dashboards ask; its start tells a new one apart."""
    registry, before_ns = CollectorRegistry(), time.time_ns()
    counter = Counter("ended", "Tasks that ended.", ["status", "type"], registry=registry)
    counter.labels("failed", "sleep").inc(3)
    counter.labels("succeeded", "sleep").inc()
    metric = _sent(registry)["ended_total"]
    assert (metric.description, metric.unit, metric.WhichOneof("data")) == ("Tasks that ended.", "", "sum")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    values = {
        tuple((each.key, each.value.string_value) for each in point.attributes): point.as_double
        for point in metric.sum.data_points
    }
    assert values == {
        (("status", "failed"), ("type", "sleep")): 3,
        (("status", "succeeded"), ("type", "sleep")): 1,
    }
    for point in metric.sum.data_points:
        # The registry keeps the instant as a float of seconds, which rounds to some hundred nanoseconds.
        assert before_ns - 1_000 <= point.start_time_unix_nano <= time.time_ns() + 1_000
        assert point.time_unix_nano == NOW_NS


def test_a_gauge_is_what_stands_now() -> None:
    """A family of which nothing is shown now is not sent at all."""
    registry = CollectorRegistry()
    Gauge("capacity", "What there is.", ["pool", "resource"], registry=registry).labels("p", "cpu").set(2.5)
    Gauge("wait_seconds", "How long it lasts.", registry=registry).set(7)
    Gauge("workers", "Nobody is here.", ["pool"], registry=registry)
    sent = _sent(registry)
    assert set(sent) == {"capacity", "wait_seconds"}
    (point,) = sent["capacity"].gauge.data_points
    assert {each.key: each.value.string_value for each in point.attributes} == {
        "pool": "p",
        "resource": "cpu",
    }
    assert (point.as_double, point.time_unix_nano) == (2.5, NOW_NS)
    assert [sent[name].unit for name in ("capacity", "wait_seconds")] == ["", "s"]


def test_a_histogram_counts_between_its_bounds() -> None:
    """A bucket counts without those below it here; its upper bound belongs to it as it does there."""
    registry = CollectorRegistry()
    times = Histogram("run_seconds", "Run times.", ["type"], buckets=(0.5, 1, 5), registry=registry)
    for value in (0.1, 0.5, 0.7, 4, 4, 100):
        times.labels("sleep").observe(value)
    times.labels("http").observe(1)
    metric = _sent(registry)["run_seconds"]
    assert metric.unit == "s"
    assert metric.histogram.aggregation_temporality == (
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    sleep, http = metric.histogram.data_points
    assert list(sleep.explicit_bounds) == [0.5, 1, 5]
    assert list(sleep.bucket_counts) == [2, 1, 2, 1]
    assert (sleep.count, sleep.sum) == (6, pytest.approx(109.3))
    assert (list(http.bucket_counts), http.count, http.sum) == ([0, 1, 0, 0], 1, 1)
    assert sleep.start_time_unix_nano > BEGAN_NS
    assert not sleep.HasField("min")
    assert not sleep.HasField("max")


def test_a_total_whose_beginning_nobody_tells_began_with_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PROMETHEUS_DISABLE_CREATED_SERIES is set, the registry does not tell it."""
    registry = CollectorRegistry()
    Counter("ended", "Tasks that ended.", registry=registry).inc()
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)
    (point,) = _sent(registry)["ended_total"].sum.data_points
    assert (point.as_double, point.start_time_unix_nano) == (1, BEGAN_NS)


def test_what_nobody_has_thought_of_is_not_left_out_in_silence() -> None:
    registry = CollectorRegistry()
    Summary("size", "How large it is.", registry=registry).observe(1)
    with pytest.raises(AssertionError, match="size is a summary"):
        _sent(registry)


@pytest.mark.parametrize(
    ("url", "traces", "metrics"),
    [
        ("http://c:4318", "http://c:4318/v1/traces", "http://c:4318/v1/metrics"),
        ("http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/metrics"),
        ("https://c/otlp/", "https://c/otlp/v1/traces", "https://c/otlp/v1/metrics"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/traces", "http://c:4318/v1/metrics"),
        ("http://c/own/traces?key=k", "http://c/own/traces?key=k", "http://c/own/metrics?key=k"),
        ("http://c/v1/metrics/", "http://c/v1/traces", "http://c/v1/metrics"),
    ],
)
def test_one_address_tells_where_all_goes(url: str, traces: str, metrics: str) -> None:
    """It is the collector's base, or where it takes one of the two."""
    assert (endpoint(url, Signal.TRACES), endpoint(url, Signal.METRICS)) == (traces, metrics)


@pytest.mark.parametrize("url", ["localhost:4318", "grpc://c:4317", "http://", "http://[::1", "http://c:x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CallerError, match="no address of a collector"):
        endpoint(url, Signal.METRICS)
