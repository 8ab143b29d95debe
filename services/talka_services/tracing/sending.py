"""Sends the trace of each execution to a collector as it ends, from the log and beside the actors.

The position up to which all traces are sent is kept with the snapshots. It
moves on when the collector has taken them, so a crash or an outage sends some
again and leaves none out; sent again, a trace is the same trace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from hashlib import blake2b
from typing import Protocol

from talka_protocols.errors import BrokenHistoryError, PlatformError, UnknownExecutionError
from talka_protocols.ports import Snapshot, StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.tracing import Trace
from talka_services.client.histories import Histories, may_be_last
from talka_services.loop import until_one_ends
from talka_services.projection.source import JetStreamSource
from talka_services.service.node import Node
from talka_services.telemetry import get_logger
from talka_services.tracing.sources import read_trace

AGAIN_S = 1.0
AGAIN_S_MAX = 60.0
SAVE_EVERY = 1_000
"""How far the position moves without a trace until it is kept all the same."""

log = get_logger(__name__)


class Taker(Protocol):
    """Takes traces, as `talka_services.tracing.otlp.Collector` does."""

    url: str

    def send(self, trace: Trace) -> int:
        """Send a trace whole, and return how many spans it has; blocks the calling thread.

        Raises:
            PlatformError: it was not taken.
        """
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class TraceSender:
    """Sends from when it is made until it is closed; of several for one address one is at work.

    The first one of all begins with what ends from then on.
    """

    def __init__(self, node: Node, histories: Histories, taker: Taker) -> None:
        self._node = node
        self._histories = histories
        self._taker = taker
        self._source = JetStreamSource(node.connection)
        self._name = LogName("traces", "-", "")
        self._saved = 0
        self._pause_s = AGAIN_S
        self._running = asyncio.create_task(self._run(), name="traces")

    async def close(self) -> None:
        """Stop; whoever takes over goes on where this one was."""
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        while True:
            try:
                await self._own()
            except PlatformError as error:
                log.warning("traces.interrupted", error=str(error), again_s=self._pause_s)
            except Exception:
                # A sender that had ended would leave out everything from then on.
                log.exception("traces.crashed")
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, AGAIN_S_MAX)

    async def _own(self) -> None:
        # What was sent of a log that was lost is of no use for the one in its place.
        named = f"{await self._source.identity()} {self._taker.url}"
        self._name = LogName("traces", "-", blake2b(named.encode(), digest_size=8).hexdigest())
        lease = await self._node.ports.leases.acquire(f"traces-{self._name.key}", self._node.holder)
        try:
            await until_one_ends(self._follow(), lease.lost())
        finally:
            await lease.release()

    async def _follow(self) -> None:
        async with aclosing(self._source.follow(await self._begin())) as pages:
            async for page in pages:
                names = ended(page)
                for execution_id in names:
                    await self._send(execution_id)
                if names or page[-1].position - self._saved >= SAVE_EVERY:
                    await self._reached(page[-1].position)

    async def _begin(self) -> int:
        kept = await self._node.ports.snapshots.load(self._name)
        if kept is not None:
            return kept.position
        position = await self._source.end()
        await self._reached(position)
        return position

    async def _reached(self, position: int) -> None:
        await self._node.ports.snapshots.save(self._name, Snapshot(position, position, b"{}"))
        self._saved = position

    async def _send(self, execution_id: str) -> None:
        """Send a trace, unless the execution goes on by now: then it is sent at its next end."""
        try:
            trace = await read_trace(self._histories, execution_id, time.time_ns() // 1_000_000)
        except (BrokenHistoryError, UnknownExecutionError) as error:
            log.warning("traces.unreadable", execution_id=execution_id, error=str(error))
            return
        if not trace.spans[0].is_open:
            spans = await asyncio.to_thread(self._taker.send, trace)
            self._pause_s = AGAIN_S
            log.debug("traces.sent", execution_id=execution_id, trace_id=trace.trace_id, spans=spans)


def ended(commits: Sequence[StoredCommit]) -> list[str]:
    """Return the executions that may have ended in some commits, each once, without reading these."""
    return list(
        dict.fromkeys(each.log.key for each in commits if each.log.kind == EXECUTION and may_be_last(each))
    )
