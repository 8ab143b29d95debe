"""A gateway sends a collector the numbers that it answers Prometheus with, and can do without one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import NatsServer
from tests.integration.archiving import over, platform, waits
from tests.integration.otlp import collector

from talka_protocols.subjects import Names
from talka_services.gateway import GatewayOptions, serving
from talka_services.otlp.metrics import MetricCollector

NEVER_S = 3_600.0
OFTEN_S = 0.05
# Both move by themselves, from one look to the next.
RESTLESS = {"talka_scraped_at_seconds", "talka_inbox_messages"}
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def test_a_collector_gets_what_a_scrape_answers(nats_server: NatsServer, names: Names) -> None:
    """Every series is there under the same name and labels, with the same value, and nothing else."""
    with collector() as taken:
        options = GatewayOptions(
            port=0, metric_collector=MetricCollector(taken.url), metric_interval_s=OFTEN_S
        )
        async with (
            asyncio.timeout(60),
            platform(nats_server, names) as talka,
            serving(talka, options) as address,
            httpx.AsyncClient(base_url=address, timeout=20) as http,
        ):
            await over(talka, await talka.submit_workflow(waits("counted", 0.01)))
            scraped, sent = Numbers(), Numbers()
            while _ended(scraped) != 1 or scraped != sent:
                await asyncio.sleep(OFTEN_S)
                scraped = _scraped((await http.get("/metrics")).text)
                sent = _sent(taken.metrics[-1])
        (resource,) = taken.metrics[-1].resource_metrics
        described = {each.key: each.value.string_value for each in resource.resource.attributes}
        assert described["service.name"] == "talka-gateway"
        assert described["service.instance.id"] == f"{socket.gethostname()}:{address.rpartition(':')[2]}"
    kinds = {name.rpartition("_")[2] for name, _ in sent}
    assert {"total", "bucket", "sum", "count", "created", "capacity", "info", "waiting"} <= kinds
    assert sent["talka_task_run_seconds_count", _labels(agent_type="sleep", outcome="succeeded")] == 2


async def test_the_last_numbers_leave_before_the_gateway_does(nats_server: NatsServer, names: Names) -> None:
    """However long it is until the next time: what has ended meanwhile is sent when the gateway stops."""
    with collector() as taken:
        options = GatewayOptions(
            port=0, metric_collector=MetricCollector(taken.url), metric_interval_s=NEVER_S
        )
        async with asyncio.timeout(60), platform(nats_server, names) as talka:
            async with serving(talka, options) as address, httpx.AsyncClient(base_url=address) as http:
                await _until(lambda: len(taken.metrics) == 1)
                await over(talka, await talka.submit_workflow(waits("last")))
                numbers = Numbers()
                while _ended(numbers) != 1:
                    numbers = _scraped((await http.get("/metrics")).text)
            assert [_ended(_sent(each)) for each in taken.metrics] == [None, 1]


async def test_a_gateway_does_without_a_collector_that_is_away(
    nats_server: NatsServer, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, answers as ever, and the collector has everything again when it is back."""
    with collector() as taken:
        port = int(taken.url.rpartition(":")[2])
    options = GatewayOptions(port=0, metric_collector=MetricCollector(taken.url), metric_interval_s=OFTEN_S)
    async with (
        asyncio.timeout(60),
        platform(nats_server, names) as talka,
        serving(talka, options) as address,
        httpx.AsyncClient(base_url=address, timeout=20) as http,
    ):
        await over(talka, await talka.submit_workflow(waits("unseen")))
        while not _warned(caplog):
            (await http.get("/metrics")).raise_for_status()
            await asyncio.sleep(0.01)
        with collector(port) as taken:
            await _until(lambda: any(_ended(_sent(each)) == 1 for each in taken.metrics))
            assert _warned(caplog) == 1


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  (what is sent arrives in a thread of the collector's)
        await asyncio.sleep(OFTEN_S)


def _warned(caplog: pytest.LogCaptureFixture) -> int:
    return sum("metrics.not_sent" in record.getMessage() for record in caplog.records)


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _ended(numbers: Numbers) -> float | None:
    return numbers.get(("talka_execution_ended_total", _labels(status="succeeded")))


def _scraped(text: str) -> Numbers:
    """Return what was scraped."""
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return {
        (each.name, frozenset(each.labels.items())): _rounded(each.name, each.value)
        for each in samples
        if each.name not in RESTLESS
    }


def _sent(request: ExportMetricsServiceRequest) -> Numbers:
    """Return what was sent, in the form of a scrape."""
    found = Numbers()
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name not in RESTLESS:
                    found |= _numbers(metric)
    return found


def _numbers(metric: Metric) -> Numbers:
    found, name = Numbers(), metric.name.removesuffix("_total")
    for number in (*metric.sum.data_points, *metric.gauge.data_points):
        labels = frozenset((each.key, each.value.string_value) for each in number.attributes)
        found[metric.name, labels] = number.as_double
        if metric.WhichOneof("data") == "sum":
            found[f"{name}_created", labels] = _rounded("_created", number.start_time_unix_nano / 1e9)
    for each in metric.histogram.data_points:
        labels = frozenset((pair.key, pair.value.string_value) for pair in each.attributes)
        total = 0
        for bound, count in zip((*each.explicit_bounds, float("inf")), each.bucket_counts, strict=True):
            total += count
            shown = "+Inf" if bound == float("inf") else str(bound)
            found[f"{name}_bucket", labels | {("le", shown)}] = total
        found[f"{name}_count", labels], found[f"{name}_sum", labels] = each.count, each.sum
        found[f"{name}_created", labels] = _rounded("_created", each.start_time_unix_nano / 1e9)
    return found


def _rounded(name: str, value: float) -> float:
    return round(value, 3) if name.endswith("_created") else value
