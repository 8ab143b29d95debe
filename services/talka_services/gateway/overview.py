"""Where all executions stand, kept up to date from their logs for as long as somebody looks.

Commits are only kept as they come, and folded when somebody asks. What is
over is remembered by its status alone. When nobody has asked for a while everything is forgotten.
"""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

from talka_core.history import FOLDS, apply
from talka_core.scheduler import ExecutionRecord
from talka_core.status import status_of
from talka_protocols.errors import (
    BrokenHistoryError,
    PlatformError,
    ServerUnavailableError,
    UnknownExecutionError,
)
from talka_protocols.ports import StoredCommit
from talka_protocols.results import ExecutionStatus
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import EXECUTION
from talka_services.client.histories import Histories
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.news import News
from talka_services.telemetry import get_logger

AT_ONCE = 8
GATHER_S = 0.1
"""How long a watcher is left alone between two changes."""
IDLE_S = 120.0
CAUGHT_UP_S = 5.0
COMMITS_MAX = 1_000
"""Commits that are kept of one execution before anybody asks; beyond that its log is read again."""

log = get_logger(__name__)


class Standing(Struct, frozen=True):
    """Where one execution stands; whoever has seen all up to ``position`` in the stream knows of it."""

    status: ExecutionStatus
    accepted_at: float
    pool: str
    position: int


class _Kept(Struct):
    """A standing, the position of the last commit in it, and the state while the execution goes on."""

    standing: Standing
    position: int
    state: ExecutionRecord | None


class Overview:
    """The executions of one namespace."""

    def __init__(self, connection: Connection, histories: Histories) -> None:
        self._connection = connection
        self._histories = histories
        self._folding = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._news: News | None = None
        self._arrived = asyncio.Event()
        self._waiting: dict[str, list[StoredCommit]] = {}
        self._kept: dict[str, _Kept] = {}
        self._recent: dict[str, None] = {}
        self._order: list[tuple[float, str]] = []
        self._position = 0
        self._folded = 0
        self._watchers = 0
        self._used_at = 0.0

    async def standings(self) -> tuple[Sequence[tuple[float, str]], int]:
        """Return (minus the time it was accepted at, id) of all executions, newest first, and the position.

        Everything that was recorded before this was called is in it. ``standing`` has the rest.

        Raises:
            ServerUnavailableError: the server does not answer.
        """
        await self._refresh()
        return self._order, self._folded

    def standing(self, execution_id: str) -> Standing:
        """Return where an execution stood when ``standings`` was asked."""
        return self._kept[execution_id].standing

    async def changes(self, after: int) -> AsyncGenerator[list[Standing]]:
        """Yield the standings that change behind a position, in the order of their last commits."""
        self._watchers += 1
        try:
            while True:
                arrived = self._arrived
                try:
                    await self._refresh()
                except PlatformError as error:
                    log.warning("overview.interrupted", error=str(error))
                    await asyncio.sleep(1.0)
                    continue
                fresh = self._behind(after)
                if fresh:
                    after = fresh[-1].position
                    yield fresh
                await arrived.wait()
                await asyncio.sleep(GATHER_S)
        finally:
            self._watchers -= 1
            self._used_at = time.monotonic()

    async def close(self) -> None:
        """Stop reading, and forget everything."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self._forget()

    # --- keeping up ------------------------------------------------------------------------------

    def _behind(self, after: int) -> list[Standing]:
        found = list[Standing]()
        for name in reversed(self._recent):
            standing = self._kept[name].standing
            if standing.position <= after:
                break
            found.append(standing)
        return sorted(found, key=lambda standing: standing.position)

    async def _refresh(self) -> None:
        """Bring everything up to the newest commit that there is now."""
        self._used_at = time.monotonic()
        async with self._folding:
            if self._reading is None or self._reading.done():
                await self._begin()
            assert self._news is not None
            await self._catch_up(await self._news.end())
            waiting, self._waiting = self._waiting, {}
            self._folded = self._position
            for name, commits in sorted(waiting.items(), key=lambda item: item[1][-1].position):
                await self._take(name, commits)

    async def _catch_up(self, end: int) -> None:
        assert self._reading is not None, "begin first"
        try:
            async with asyncio.timeout(CAUGHT_UP_S):
                while self._position < end and not self._reading.done():
                    await self._arrived.wait()
        except TimeoutError:
            pass  # What follows says so.
        if self._position < end:
            raise ServerUnavailableError(
                f"The NATS server has {end} as its newest commit, and does not send it.",
                hint="Ask again; the log of the gateway may say more.",
            )

    async def _begin(self) -> None:
        self._forget()
        self._wake()
        self._news = News(self._connection, EXECUTION)
        self._position = self._folded = await self._news.begin()
        self._reading = asyncio.create_task(self._read(self._news), name="overview")
        some = asyncio.Semaphore(AT_ONCE)

        async def load(name: str) -> None:
            async with some:
                await self._load(name)

        await asyncio.gather(*map(load, await self._histories.names(EXECUTION)))
        self._recent = dict.fromkeys(sorted(self._kept, key=lambda name: self._kept[name].standing.position))

    async def _read(self, news: News) -> None:
        """Keep what arrives; it ends when nobody has asked for a while, or when it cannot go on."""
        try:
            while self._watchers or time.monotonic() - self._used_at < IDLE_S:
                for commit in await news.next():
                    self._waiting.setdefault(commit.log.key, []).append(commit)
                    self._position = commit.position
                self._wake()
        except PlatformError as error:
            log.warning("overview.interrupted", error=str(error))
        finally:
            await news.close()
            self._arrived.set()

    def _wake(self) -> None:
        """Let everybody look again who waits for something to arrive."""
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    async def _take(self, name: str, commits: list[StoredCommit]) -> None:
        kept = self._kept.get(name)
        if kept is None or kept.state is None or len(commits) > COMMITS_MAX:
            await self._load(name)
            return
        fresh = [commit for commit in commits if commit.position > kept.position]
        if not fresh:
            return
        try:
            apply(FOLDS[EXECUTION], kept.state, [await self._histories.decoded(each) for each in fresh])
        except BrokenHistoryError as error:
            log.warning("overview.broken_history", execution_id=name, error=str(error))
            kept.state = None
            return
        self._keep(name, kept.state, fresh[-1].position)

    async def _load(self, name: str) -> None:
        try:
            state, position = await self._histories.latest(name)
        except (BrokenHistoryError, UnknownExecutionError) as error:
            log.warning("overview.broken_history", execution_id=name, error=str(error))
            return
        self._keep(name, state, position)

    def _keep(self, name: str, state: ExecutionRecord, position: int) -> None:
        accepted_at = (state.accepted_at or state.started_at) / 1000
        # A log that was read as a whole may be ahead of what has arrived of the others.
        standing = Standing(status_of(state), accepted_at, state.pool, min(position, self._folded))
        if name not in self._kept:
            insort(self._order, (-accepted_at, name))
        is_over = state.status in FINAL_EXECUTION_STATES
        self._kept[name] = _Kept(standing, position, None if is_over else state)
        self._recent.pop(name, None)
        self._recent[name] = None

    def _forget(self) -> None:
        self._waiting, self._kept, self._recent, self._order = {}, {}, {}, []
