"""``/metrics``: what goes on in numbers, as Prometheus asks for it, and as it is sent elsewhere.

Counters and durations are read off the log from the moment the gateway began,
outside the actors' path; what stands at the moment is asked for at each scrape.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from importlib.metadata import version
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from starlette.requests import Request
from starlette.responses import Response

from talka_core.alerting import Lag
from talka_core.metering import LABELS, ExecutionMeter, Measure, Reading, eta_error
from talka_core.status import inventory_of, use_of
from talka_protocols.errors import BrokenHistoryError, PlatformError, TalkaError
from talka_protocols.events import ExecutionEvent
from talka_protocols.ports import StoredCommit
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import EXECUTION, POOL
from talka_protocols.workflow import ResourceInventory
from talka_services.alerting.lags import inbox_lags
from talka_services.client.scaling import demand_in
from talka_services.gateway.callers import Callers
from talka_services.gateway.calls import Source
from talka_services.gateway.problems import response_of
from talka_services.gateway.roles import Role
from talka_services.gateway.scaling_gauges import ScalingGauges
from talka_services.jetstream.news import News
from talka_services.telemetry import get_logger

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
AGAIN_S = 1.0
METERS_MAX = 100_000
HELP = {
    Measure.QUEUE: "From ready to scheduled.",
    Measure.SCHEDULING: "From ready to asking the pool: the scheduler's own share.",
    Measure.RESOURCE_WAIT: "From asking the pool to its grant.",
    Measure.DISPATCH: "From scheduled to the beginning on the worker.",
    Measure.RUN: "Run times of attempts, as their workers measured them.",
    Measure.TASK_ENDED: "Tasks that ended.",
    Measure.TASK_RETRIED: "Attempts that failed and are tried again.",
    Measure.ATTEMPT_LOST: "Attempts whose worker went away.",
    Measure.DURATION: "From the start of executions to their end.",
    Measure.EXECUTION_ENDED: "Executions that ended.",
    Measure.ETA_ERROR: "From the ETA that was told first of an execution to its end, and whether it held.",
}

log = get_logger(__name__)


class Metrics:
    """Reads the log for as long as it is open, and answers scrapes."""

    def __init__(self, source: Source, callers: Callers) -> None:
        self._orchestrator = source.orchestrator
        self._overview = source.overview
        self._told = source.told
        self._callers = callers
        self._meters: dict[str, ExecutionMeter] = {}
        self._registry = registry = CollectorRegistry()
        self._read: dict[Measure, Counter | Histogram] = {
            measure: _metric(measure, registry) for measure in Measure
        }
        self._appends = Histogram(
            "talka_log_append_seconds",
            "From a decision of the scheduler to its being stored, by the clocks of both.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._standing = _Standing(registry)
        self._scaling = ScalingGauges(registry)
        Gauge("talka_build_info", "The version that runs.", ["version"], registry=registry).labels(
            version("talka")
        ).set(1)
        self._reading = asyncio.create_task(self._follow(), name="metrics")

    async def scrape(self, request: Request) -> Response:
        """Answer a scrape."""
        try:
            caller = await self._callers.identify(request)
            with self._callers.admitted(caller, Role.VIEWER):
                return await self._scraped(request)
        except TalkaError as error:
            return response_of(error)

    async def families(self) -> list[Family]:
        """Return what a scrape would answer now.

        Raises:
            PlatformError: the server does not answer.
        """
        await self._look()
        return list(self._registry.collect())

    async def _scraped(self, request: Request) -> Response:
        await self._look()
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), media_type=media_type)

    async def _look(self) -> None:
        """Have the gauges show what stands now; nothing else runs from then until they are read."""
        order, _ = await self._overview.standings()
        statuses = [self._overview.standing(name).status for _, name in order]
        histories = self._orchestrator.histories
        lags = await inbox_lags(self._orchestrator.node.connection)
        pools = [await histories.pool(name) for name in await histories.names(POOL)]
        self._standing.executions(Tally(status.status.value for status in statuses))
        tasks = Tally[str]()
        for status in statuses:
            if status.status not in FINAL_EXECUTION_STATES:
                tasks.update({task.value: count for task, count in status.counts.items()})
        self._standing.tasks(tasks)
        self._standing.pools([inventory_of(pool) for pool in pools])
        self._standing.lags(lags)
        now_ms = time.time_ns() // 1_000_000
        self._scaling.show(demand_in(pool, now_ms) for pool in pools)

    async def close(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _follow(self) -> None:
        while True:
            news = News(self._orchestrator.node.connection, EXECUTION)
            try:
                await news.begin()
                while True:
                    for commit in await news.next():
                        await self._take(commit)
                        await asyncio.sleep(0)
            except PlatformError as error:
                log.warning("metrics.interrupted", error=str(error))
            except Exception:
                # A reader that had ended would show its last numbers for ever.
                log.exception("metrics.crashed")
            finally:
                await news.close()
            await asyncio.sleep(AGAIN_S)

    async def _take(self, stored: StoredCommit) -> None:
        key = stored.log.key
        try:
            commit = await self._orchestrator.histories.decoded(stored)
        except BrokenHistoryError as error:
            log.warning("metrics.broken_history", execution_id=key, error=str(error))
            return
        self._appends.observe(max(0, stored.stored_at - commit.at) / 1000)
        meter = self._meters.get(key)
        if meter is None:
            if len(self._meters) >= METERS_MAX:
                del self._meters[next(iter(self._meters))]
            meter = self._meters[key] = ExecutionMeter()
        for _version, _cause, event in commit.events():
            for reading in meter.read(cast("ExecutionEvent", event), commit.at):
                self._count(reading)
                if reading.measure is Measure.EXECUTION_ENDED:
                    self._meters.pop(key, None)
                    self._compare(key, reading, commit.at)

    def _compare(self, key: str, ended: Reading, at: int) -> None:
        told = self._told.pop(key, None)
        for reading in eta_error(told, ended, at) if told is not None else ():
            self._count(reading)

    def _count(self, reading: Reading) -> None:
        metric = self._read[reading.measure].labels(*reading.labels)
        if isinstance(metric, Histogram):
            metric.observe(reading.value)
        else:
            metric.inc(reading.value)


class _Standing:
    """What stands at the moment; each look replaces what the one before showed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"talka_{name}", meaning, labels, registry=registry)

        self._executions = gauge("executions", "Executions on record.", "status")
        self._tasks = gauge("tasks", "Tasks of the executions that go on.", "status")
        self._workers = gauge("pool_workers", "Workers that are there.", "pool", "state")
        self._capacity = gauge("pool_capacity", "What a pool has of a resource.", "pool", "resource")
        self._used = gauge("pool_used", "What of it is held.", "pool", "resource")
        self._waiting = gauge("pool_waiting", "Requests that wait for resources.", "pool")
        self._reservations = gauge("pool_reservations", "Reservations that are held.", "pool")
        self._breakers = gauge(
            "pool_breaker_open", "1 where a circuit breaker is open.", "pool", "agent_type"
        )
        self._lags = gauge("inbox_messages", "Messages that wait for an actor.", "kind", "address")
        self._scraped = gauge("scraped_at_seconds", "When this was put together.")

    def executions(self, counts: Tally[str]) -> None:
        """Show how many executions there are, by status."""
        self._executions.clear()
        for status, count in counts.items():
            self._executions.labels(status).set(count)

    def tasks(self, counts: Tally[str]) -> None:
        """Show how many tasks go on, by status."""
        self._tasks.clear()
        for status, count in counts.items():
            self._tasks.labels(status).set(count)

    def lags(self, lags: list[Lag]) -> None:
        """Show how far actors are behind; one that is not there has nothing to do."""
        self._lags.clear()
        for lag in lags:
            self._lags.labels(lag.kind, lag.address).set(lag.messages)

    def pools(self, inventories: list[ResourceInventory]) -> None:
        """Show what the pools have."""
        for each in (
            self._workers,
            self._capacity,
            self._used,
            self._waiting,
            self._reservations,
            self._breakers,
        ):
            each.clear()
        for inventory in inventories:
            pool = inventory.pool
            self._waiting.labels(pool).set(inventory.waiting)
            self._reservations.labels(pool).set(inventory.reservations)
            draining = sum(worker.is_draining for worker in inventory.workers)
            self._workers.labels(pool, "ready").set(len(inventory.workers) - draining)
            self._workers.labels(pool, "draining").set(draining)
            for agent_type, phase in inventory.breakers.items():
                self._breakers.labels(pool, agent_type).set(phase != "closed")
            for name, (used, whole) in use_of(inventory).items():
                self._used.labels(pool, name).set(used)
                self._capacity.labels(pool, name).set(whole)
        self._scraped.set(time.time())


def _metric(measure: Measure, registry: CollectorRegistry) -> Counter | Histogram:
    name, labels = f"talka_{measure.value}", LABELS[measure]
    if measure.value.endswith("_seconds"):
        return Histogram(name, HELP[measure], labels, buckets=BUCKETS, registry=registry)
    return Counter(name, HELP[measure], labels, registry=registry)
