"""The watcher: follows the log, looks once a second what is wrong, and records what has changed.

One is at work in a namespace, by a lease; the others stand by. It reads the log
from its beginning, and raises nothing before it has caught up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from talka_core.alerting import WATCHED, AlertBook, Limits, Watch, decide
from talka_protocols.alerts import Condition
from talka_protocols.errors import BrokenHistoryError, PlatformError, UnknownExecutionError
from talka_protocols.events import AlertEvent
from talka_protocols.ports import Lease, StoredCommit
from talka_protocols.subjects import POOL, SHARD
from talka_services.alerting.alertlog import AlertLog
from talka_services.alerting.lags import inbox_lags
from talka_services.alerting.receiver import Receiver
from talka_services.client.histories import Histories
from talka_services.loop import until_one_ends
from talka_services.projection.source import JetStreamSource
from talka_services.runner.bases import bases_of
from talka_services.service.node import Node
from talka_services.telemetry import get_logger

if TYPE_CHECKING:
    from talka_services.alerting.webhooks import Webhooks

LOOK_S = 1.0
AGAIN_S = 1.0
LEASE = "alerts"

log = get_logger(__name__)


class AlertOptions(Struct, frozen=True):
    """From when on it is an alert, and who is told."""

    limits: Limits = Limits()
    receiver: Receiver | None = None


class Watcher:
    """Watches a namespace from when it is made until it is closed."""

    def __init__(self, node: Node, histories: Histories, options: AlertOptions) -> None:
        self._node = node
        self._histories = histories
        self._options = options
        self._running = asyncio.create_task(self._run(), name="alerts")

    async def close(self) -> None:
        """Stop; whoever takes over goes on where this one was."""
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        while True:
            try:
                await self._own()
            except PlatformError as error:
                log.warning("alerts.interrupted", error=str(error))
            except Exception:
                # A watch that had ended would leave everybody believing that all is well.
                log.exception("alerts.crashed")
            await asyncio.sleep(AGAIN_S)

    async def _own(self) -> None:
        """Watch for as long as the lease is held."""
        lease = await self._node.ports.leases.acquire(LEASE, self._node.holder)
        try:
            await self._watch(lease)
        finally:
            await lease.release()

    async def _watch(self, lease: Lease) -> None:
        alerts = AlertLog(self._node.ports.log, self._node.ports.snapshots)
        await alerts.refresh()
        receiver, namespace = self._options.receiver, self._node.connection.names.namespace
        webhooks = _webhooks(alerts, receiver, namespace)
        looking = _Looking(self._node, self._histories, alerts, webhooks, self._options.limits)
        sending = (webhooks.run(),) if webhooks is not None else ()
        await until_one_ends(looking.read(), looking.look(lease), lease.lost(), *sending)


def _webhooks(alerts: AlertLog, receiver: Receiver | None, namespace: str) -> Webhooks | None:
    if receiver is None:
        return None
    from talka_services.alerting.webhooks import Webhooks  # noqa: PLC0415  (its client takes long to import)

    return Webhooks(alerts, receiver, namespace)


class _Looking:
    """What one term of the lease reads and records."""

    def __init__(
        self, node: Node, histories: Histories, alerts: AlertLog, webhooks: Webhooks | None, limits: Limits
    ) -> None:
        self._node = node
        self._histories = histories
        self._alerts = alerts
        self._webhooks = webhooks
        self._watch = Watch(limits)
        self._source = JetStreamSource(node.connection)
        self._position = 0
        self._has_read = asyncio.Event()

    async def read(self) -> None:
        """Take every commit there is and will be, behind what pruned logs begin with."""
        ports = self._node.ports
        async for name, base in bases_of((POOL, SHARD), ports.log, ports.snapshots):
            self._watch.begin(name, base.position, base.state)
        async with aclosing(self._source.follow(0)) as pages:
            async for page in pages:
                for stored in page:
                    await self._take(stored)
                    self._position = stored.position
                    self._has_read.set()
                    # A commit may hold thousands of events, and others wait for the loop: the lease, too.
                    await asyncio.sleep(0)

    async def look(self, lease: Lease) -> None:
        """Record once a second what has changed, as soon as all that was there has been read."""
        while True:
            end = await self._source.end()
            while self._position < end:
                self._has_read.clear()
                await self._has_read.wait()
            lags = await inbox_lags(self._node.connection)
            await self._learn()
            if lease.is_held():
                await self._record(self._watch.conditions(time.time_ns() // 1_000_000, lags), lease.epoch)
            await asyncio.sleep(LOOK_S)

    async def _record(self, conditions: list[Condition], epoch: int) -> None:
        is_told = self._webhooks is not None

        def deciding(book: AlertBook) -> Iterator[AlertEvent]:
            return decide(book, conditions, is_told=is_told)

        count = await self._alerts.append(deciding, "watch", epoch)
        self._watch.recorded(conditions)
        if count:
            log.info("alerts.changed", events=count)
        if self._webhooks is not None:
            self._webhooks.wake()

    async def _take(self, stored: StoredCommit) -> None:
        if stored.log.kind not in WATCHED:
            return
        try:
            self._watch.take(stored.log, stored.position, await self._histories.decoded(stored))
        except BrokenHistoryError as error:
            log.warning("alerts.unreadable", log=str(stored.log), error=str(error))

    async def _learn(self) -> None:
        """Read where executions stand that go on after they had ended."""
        for execution_id in sorted(self._watch.unknown):
            try:
                state, _ = await self._histories.latest(execution_id)
            except (BrokenHistoryError, UnknownExecutionError) as error:
                log.warning("alerts.unreadable", execution_id=execution_id, error=str(error))
                self._watch.unknown.discard(execution_id)
            else:
                self._watch.know(state, time.time_ns() // 1_000_000)
