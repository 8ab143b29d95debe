"""Sends metrics to an OpenTelemetry collector, by OTLP over HTTP.

They are the families that a scrape answers, under the same names and labels. The
SDK's meters, which would count all of it a second time, have no part in it: only
its data classes and its exporter. Importing this needs the extra ``otel``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    DataT,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family

from talka_services.otlp.endpoints import CollectorError, Signal, endpoint

TIMEOUT_S = 3
"""Short, because totals lose nothing: what one request leaves out, the next one has."""
SECOND_NS = 1_000_000_000
BOUND = "le"
"""The label of a bucket's bound."""
CUMULATIVE = AggregationTemporality.CUMULATIVE


class MetricCollector:
    """An OTLP endpoint such as ``http://localhost:4318``, as it takes metrics.

    Raises:
        CallerError: the address is none.
    """

    def __init__(self, url: str) -> None:
        self.url = endpoint(url, Signal.METRICS)
        self._exporter = OTLPMetricExporter(endpoint=self.url, timeout=TIMEOUT_S)
        self._began_ns = time.time_ns()

    def send(self, families: Iterable[Family], instance: str) -> None:
        """Send what a scrape of an instance would answer now.

        Blocks the calling thread.

        Raises:
            CollectorError: the collector cannot be reached, or refuses it.
        """
        described = {
            "service.namespace": "talka",
            "service.name": "talka-gateway",
            "service.instance.id": instance,
            "service.version": version("talka"),
        }
        data = metrics_data(families, Resource(described), self._began_ns, time.time_ns())
        # The library says nothing of the type of arguments that are not given here.
        result = self._exporter.export(data)  # pyright: ignore[reportUnknownMemberType]
        if result is not MetricExportResult.SUCCESS:
            raise CollectorError(
                f"The collector at {self.url} did not take the metrics.",
                hint="Look whether it runs and takes metrics by OTLP over HTTP there; "
                "OTEL_METRICS_EXPORTER=none sends none.",
            )

    def close(self) -> None:
        """Give the connection back; a request that waits to be tried again is given up."""
        self._exporter.shutdown()  # pyright: ignore[reportUnknownMemberType]  (as above)


def metrics_data(families: Iterable[Family], resource: Resource, began_ns: int, now_ns: int) -> MetricsData:
    """Return families in the form of OpenTelemetry's SDK.

    A total is counted since its series was made, or since ``began_ns`` where the family does not tell;
    both instants are nanoseconds since the epoch. A family without samples is left out.
    """
    scope = InstrumentationScope("talka", version("talka"))
    metrics = [_metric(family, began_ns, now_ns) for family in families if family.samples]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


def _metric(family: Family, began_ns: int, now_ns: int) -> Metric:
    unit = "s" if family.name.endswith("_seconds") else ""
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Metric(name, family.documentation, unit, _data(family, began_ns, now_ns))


def _data(family: Family, began_ns: int, now_ns: int) -> DataT:
    series = _series(family, began_ns)
    match family.type:
        case "counter":
            return Sum([each.number("_total", now_ns) for each in series], CUMULATIVE, is_monotonic=True)
        case "gauge":
            return Gauge([each.number("", now_ns) for each in series])
        case "histogram":
            return Histogram([each.distribution(now_ns) for each in series], CUMULATIVE)
        case other:
            raise AssertionError(f"{family.name} is a {other}, and nothing says how that is sent.")


def _series(family: Family, began_ns: int) -> Iterable[_Series]:
    """Return the series of a family, each of the samples that share all labels but a bucket's bound."""
    found: dict[tuple[tuple[str, str], ...], _Series] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != BOUND}
        series = found.setdefault(tuple(labels.items()), _Series(labels, began_ns))
        match sample.name.removeprefix(family.name):
            case "_bucket":
                series.buckets.append((float(sample.labels[BOUND]), int(sample.value)))
            case "_created":
                series.began_ns = int(sample.value * SECOND_NS)
            case suffix:
                series.values[suffix] = sample.value
    return found.values()


@dataclass
class _Series:
    """What a family has under one set of labels.

    Values go by what their samples' names append to the family's; buckets are totals up to a bound, and the
    last bound is infinity.
    """

    labels: dict[str, str]
    began_ns: int
    values: dict[str, float] = field(default_factory=dict[str, float])
    buckets: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def number(self, suffix: str, now_ns: int) -> NumberDataPoint:
        """Return one of its values."""
        return NumberDataPoint(self.labels, self.began_ns, now_ns, self.values[suffix])

    def distribution(self, now_ns: int) -> HistogramDataPoint:
        """Return it as a histogram, whose buckets count what lies between two bounds."""
        totals = [0, *(total for _, total in self.buckets)]
        return HistogramDataPoint(
            self.labels,
            self.began_ns,
            now_ns,
            count=totals[-1],
            sum=self.values["_sum"],
            bucket_counts=[total - before for before, total in pairwise(totals)],
            explicit_bounds=[bound for bound, _ in self.buckets[:-1]],
            # Nobody keeps these, and they are optional in the protocol though not in its data class.
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
        )
