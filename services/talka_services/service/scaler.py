"""Starts and stops worker processes so that a pool has as many as its actor decided.

It follows the pool's log, and what it does follows from the state alone: what
was decided while it was away, or lost with it, is done as soon as it is back. A
worker that the pool drains is told to stop when it holds nothing any more.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from talka_core.resource import PoolRecord
from talka_services.client.histories import Histories
from talka_services.service.restarts import Restarts
from talka_services.service.worker import default_worker_id
from talka_services.telemetry import get_logger

STOP_S = 15.0
"""How long workers get to end what they run, or to hand it back, when the scaler itself is stopped."""

log = get_logger(__name__)


class Process(Protocol):
    """What the scaler needs of a worker's process."""

    def send_signal(self, signal: int, /) -> None:
        """Send it a signal."""
        ...

    async def wait(self) -> int:
        """Return its exit code when it has ended."""
        ...


Spawn = Callable[[str], Awaitable[Process]]
"""Starts the process of a worker with an id."""


class Scaler:
    """The worker processes that one pool has because it wanted them."""

    def __init__(self, pool: str, histories: Histories, spawn: Spawn) -> None:
        self._pool = pool
        self._histories = histories
        self._spawn = spawn
        self._processes: dict[str, Process] = {}
        self._stopping: set[str] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._state: PoolRecord | None = None
        self._restarts = Restarts()
        self._not_before_s = 0.0

    @property
    def workers(self) -> frozenset[str]:
        """Return the ids of the workers whose processes run."""
        return frozenset(self._processes)

    async def run(self) -> None:
        """Follow the pool until cancelled; then stop the processes."""
        following = asyncio.create_task(self._follow(), name=f"scaler of {self._pool}")
        try:
            while True:
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait((changed, following), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if following.done():
                    following.result()
                self._changed.clear()
                await self._reconcile()
        finally:
            following.cancel()
            await self._stop_all()

    async def _follow(self) -> None:
        async with aclosing(self._histories.follow_pool(self._pool)) as states:
            async for state in states:
                self._state = state
                self._changed.set()

    async def _reconcile(self) -> None:
        """Start what is missing, and stop what is drained and what came too late to be wanted."""
        state = self._state
        if state is None or state.scaling is None:
            return
        for worker_id in self._drained(state):
            self._stop(worker_id, "scaler.drained")
        others = [
            w for w, entry in state.workers.items() if not entry.is_draining and w not in self._processes
        ]
        staying = [worker_id for worker_id in self._processes if self._stays(state, worker_id)]
        missing = state.scaling.workers - len(others) - len(staying)
        for worker_id in reversed(staying):
            if missing < 0 and worker_id not in state.workers:
                self._stop(worker_id, "scaler.not_wanted")
                missing += 1
        loop = asyncio.get_running_loop()
        if missing > 0 and loop.time() < self._not_before_s:
            loop.call_at(self._not_before_s, self._changed.set)
            return
        for _ in range(missing):
            await self._start()

    def _stays(self, state: PoolRecord, worker_id: str) -> bool:
        entry = state.workers.get(worker_id)
        return worker_id not in self._stopping and (entry is None or not entry.is_draining)

    def _drained(self, state: PoolRecord) -> list[str]:
        """Return our workers that the pool drains and that hold nothing any more."""
        holding = {grant.worker_id for grant in state.grants.values() if not grant.is_revoked}
        holding |= {kept.worker_id for kept in state.reservations.values()}
        draining = {worker_id for worker_id, entry in state.workers.items() if entry.is_draining}
        return [w for w in self._processes if w in draining - holding and w not in self._stopping]

    async def _start(self) -> None:
        worker_id = default_worker_id()
        self._processes[worker_id] = process = await self._spawn(worker_id)
        log.info("scaler.started", pool=self._pool, worker=worker_id)
        task = asyncio.create_task(self._watch(worker_id, process), name=f"watch {worker_id}")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def _stop(self, worker_id: str, why: str) -> None:
        log.info(why, pool=self._pool, worker=worker_id)
        self._stopping.add(worker_id)
        _signal(self._processes[worker_id], signal.SIGTERM)

    async def _watch(self, worker_id: str, process: Process) -> None:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        code = await process.wait()
        del self._processes[worker_id]
        if worker_id not in self._stopping:
            self._not_before_s = clock() + self._restarts.pause_s(clock() - began_s)
            log.warning("scaler.worker_ended", pool=self._pool, worker=worker_id, code=code)
        self._stopping.discard(worker_id)
        self._changed.set()

    async def _stop_all(self) -> None:
        """Let every process end in good order; kill what takes too long."""
        for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
            for worker_id, process in list(self._processes.items()):
                self._stopping.add(worker_id)
                _signal(process, number)
            if self._watching:
                await asyncio.wait([*self._watching], timeout=patience_s)


def _signal(process: Process, number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        log.debug("scaler.gone_already")
