"""Reads logs the way people ask for them: a state at any event, a status, an event at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from talka_core.history import FOLDS, apply
from talka_core.planner import PlanRecord
from talka_core.resource import PoolRecord, beginning
from talka_core.scheduler import ExecutionRecord
from talka_core.starter import ScheduleRecord
from talka_core.trigger import TriggerRecord
from talka_protocols.commit import Commit
from talka_protocols.errors import (
    BrokenHistoryError,
    PlatformError,
    RequestRefusedError,
    UnknownExecutionError,
)
from talka_protocols.events import (
    Event,
    ExecutionArchived,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionPartlySucceeded,
    ExecutionRejected,
    ExecutionRolledBack,
    ExecutionSucceeded,
    ExecutionTimedOut,
    RollbackFailed,
)
from talka_protocols.ports import Blobs, Log, Snapshots, StoredCommit
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import EXECUTION, PLAN, POOL, SCHEDULE, TRIGGER, LogName, is_name, shard_of
from talka_services.client.backlog import gathered
from talka_services.runner.bases import base_of
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import decoded, fold_in, newest
from talka_services.telemetry import get_logger

AGAIN_S = 1.0
GATHER_S = 0.01
"""How long whoever follows an execution leaves a commit alone, unless it may be the last."""
T = TypeVar("T")

logger = get_logger(__name__)


class Histories:
    """The logs of one namespace, live or exported."""

    def __init__(self, log: Log, blobs: Blobs, shards: int, snapshots: Snapshots | None = None) -> None:
        self._log = log
        self._snapshots = snapshots
        self._definitions = Definitions(blobs)
        self._shards = shards

    def name(self, execution_id: str) -> LogName:
        """Return the name of an execution's log.

        Raises:
            UnknownExecutionError: no execution can have such an id.
        """
        if not is_name(execution_id):
            raise UnknownExecutionError(execution_id)
        return LogName(EXECUTION, shard_of(execution_id, self._shards), execution_id)

    async def commits(self, name: LogName) -> list[tuple[int, Commit[Event]]]:
        """Return a log's commits with their positions, definitions in place.

        Those of an execution that was archived and has come back are those since then: from event 1 on.
        """
        stored = await self._log.read(name)
        commits = [(item.position, await decoded(item, self._definitions)) for item in stored]
        return _brought_back(commits) if name.kind == EXECUTION else commits

    async def decoded(self, commit: StoredCommit) -> Commit[Event]:
        """Return a commit with its definitions in place.

        Raises:
            BrokenHistoryError: it cannot be read, or its definition is gone.
        """
        return await decoded(commit, self._definitions)

    async def timed(self, name: LogName) -> list[tuple[int, Event]]:
        """Return a log's events with their instants (Unix milliseconds).

        One that was pruned begins with what says the same as its state then.
        """
        base = await base_of(name, self._snapshots)
        known: list[tuple[int, Event]] = []
        if name.kind == POOL and base.version:
            known = [(base.at, event) for event in beginning(base.state)]
        commits = [commit for position, commit in await self.commits(name) if position > base.position]
        return known + [(commit.at, event) for commit in commits for _, _, event in commit.events()]

    async def pool_events(self, execution_id: str, pool: str) -> list[tuple[int, Any]]:  # noqa: ARG002
        """Return the events of the pool that an execution ran in, with their instants (Unix milliseconds).

        Where the execution lies in a file, these are those that the file holds, as others may have left.
        """
        return [*await self.timed(LogName(POOL, "-", pool))]

    async def execution(self, execution_id: str, at: int | None = None) -> ExecutionRecord:
        """Return an execution's state at an event, or now.

        Raises:
            UnknownExecutionError: it has no log.
            RequestRefusedError: the event has left the log for an archive.
            BrokenHistoryError: its log cannot be folded.
        """
        name = self.name(execution_id)
        if at is None:
            entry = await newest(name, self._log, self._snapshots, self._definitions)
            state: ExecutionRecord = entry.state
        else:
            commits = [commit for _, commit in await self.commits(name)]
            state = apply(FOLDS[EXECUTION], FOLDS[EXECUTION].initial(execution_id), commits, at)
            if at and state.version < at:
                _refuse_archived(commits)
        if state.version == 0 and at != 0:
            raise UnknownExecutionError(execution_id)
        return state

    async def latest(self, execution_id: str) -> tuple[ExecutionRecord, int]:
        """Return an execution's state now, and the position of its last commit.

        Raises:
            UnknownExecutionError: it has no log.
            BrokenHistoryError: its log cannot be folded.
        """
        entry = await newest(self.name(execution_id), self._log, self._snapshots, self._definitions)
        if entry.is_new:
            raise UnknownExecutionError(execution_id)
        state: ExecutionRecord = entry.state
        return state, entry.position

    async def pool(self, pool: str) -> PoolRecord:
        """Return a pool's state now; one that nobody has used yet is empty."""
        entry = await newest(LogName(POOL, "-", pool), self._log, self._snapshots, self._definitions)
        state: PoolRecord = entry.state
        return state

    async def follow_pool(self, pool: str) -> AsyncGenerator[PoolRecord]:
        """Yield a pool's state now and as it changes, always the same object, through every outage.

        Raises:
            BrokenHistoryError: its log cannot be folded.
        """
        name = LogName(POOL, "-", pool)
        entry = await _patiently(lambda: newest(name, self._log, self._snapshots, self._definitions), name)
        state: PoolRecord = entry.state
        yield state
        async with aclosing(gathered(self._stored(name, entry.position), _never, GATHER_S)) as heaps:
            async for heap in heaps:
                await fold_in(FOLDS[POOL], state, heap, self._definitions)
                yield state

    async def plan(self, execution_id: str) -> PlanRecord:
        """Return what the planner remembers of an execution; version 0 if nothing.

        Raises:
            UnknownExecutionError: no execution can have this id.
        """
        name = LogName(PLAN, self.name(execution_id).shard, execution_id)
        entry = await newest(name, self._log, self._snapshots, self._definitions)
        state: PlanRecord = entry.state
        return state

    def schedule_name(self, name: str) -> LogName:
        """Return the name of a schedule's log."""
        return LogName(SCHEDULE, shard_of(name, self._shards), name)

    async def schedule(self, name: str) -> tuple[ScheduleRecord, int]:
        """Return a schedule's state now, and the position of its last commit; both empty if it has none."""
        entry = await newest(self.schedule_name(name), self._log, self._snapshots, self._definitions)
        state: ScheduleRecord = entry.state
        return state, entry.position

    def trigger_name(self, name: str) -> LogName:
        """Return the name of a trigger's log."""
        return LogName(TRIGGER, shard_of(name, self._shards), name)

    async def trigger(self, name: str) -> tuple[TriggerRecord, int]:
        """Return a trigger's state now, and the position of its last commit; both empty if it has none."""
        entry = await newest(self.trigger_name(name), self._log, self._snapshots, self._definitions)
        state: TriggerRecord = entry.state
        return state, entry.position

    async def names(self, kind: str) -> list[str]:
        """Return the keys of all logs of a kind, sorted."""
        return sorted(name.key for name in await self._log.names(kind))

    async def follow_commits(
        self, name: LogName, after: int = 0
    ) -> AsyncGenerator[tuple[int, Commit[Event]]]:
        """Yield a log's commits with their positions, and go on as they are made, through every outage.

        Raises:
            BrokenHistoryError: a commit cannot be read.
        """
        async with aclosing(self._stored(name, after)) as feed:
            async for stored in feed:
                yield stored.position, await decoded(stored, self._definitions)

    async def _stored(self, name: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield a log's commits as they lie there, and go on as they are made, through every outage."""
        is_reported = False
        while True:
            try:
                async with aclosing(self._log.follow(name, after)) as feed:
                    async for stored in feed:
                        after, is_reported = stored.position, False
                        yield stored
            except BrokenHistoryError:
                raise
            except PlatformError as error:
                if not is_reported:
                    logger.warning("histories.interrupted", log=str(name), after=after, error=str(error))
                is_reported = True
            else:
                return
            await asyncio.sleep(AGAIN_S)

    async def until_begun(self, execution_id: str, patience_s: float | None = None) -> None:
        """Return when the execution's log has begun; a plan's log is the promise that it will.

        Args:
            execution_id: the execution to wait for.
            patience_s: how long an id may be unknown to everybody, without end if None.

        Raises:
            UnknownExecutionError: neither a plan nor an execution had such a log in that time.
        """
        name = self.name(execution_id)
        try:
            async with asyncio.timeout(patience_s):
                await self._first_commit(name)
        except TimeoutError:
            # The time may have been an outage's: only a server that answers can say that there is nothing.
            if not await self._has_any(LogName(PLAN, name.shard, name.key), name):
                raise UnknownExecutionError(execution_id) from None
            await self._first_commit(name)

    async def _first_commit(self, name: LogName) -> None:
        async with aclosing(self.follow_commits(name)) as commits:
            async for _ in commits:
                return

    async def _has_any(self, *names: LogName) -> bool:
        async def read() -> bool:
            return any([await self._log.read(name) for name in names])

        return await _patiently(read, names[-1])

    async def follow(self, execution_id: str) -> AsyncGenerator[ExecutionRecord]:
        """Yield the execution's state now and as it grows until it is over, always the same object.

        Commits are looked at up to 10 ms after they came, several at a time; the last one at once.
        What it ended with before it was resumed is history and no ending.

        Raises:
            BrokenHistoryError: its log cannot be folded.
        """
        name = self.name(execution_id)
        entry = await _patiently(lambda: newest(name, self._log, self._snapshots, self._definitions), name)
        state: ExecutionRecord = entry.state
        if not entry.is_new:
            yield state
        if state.status in FINAL_EXECUTION_STATES:
            return
        stored = self._stored(name, entry.position)
        async with aclosing(gathered(stored, may_be_last, GATHER_S)) as heaps:
            async for heap in heaps:
                await fold_in(FOLDS[EXECUTION], state, heap, self._definitions)
                yield state
                if state.status in FINAL_EXECUTION_STATES:
                    return


def _brought_back(commits: list[tuple[int, Commit[Event]]]) -> list[tuple[int, Commit[Event]]]:
    """Return the commits behind the fact that an execution was archived, if it has come back since."""
    begun, is_archived = 0, False
    for place, (_, commit) in enumerate(commits):
        if is_archived and commit.version == 1:
            begun, is_archived = place, False
        is_archived |= any(isinstance(event, ExecutionArchived) for _, _, event in commit.events())
    return commits[begun:]


def _refuse_archived(commits: list[Commit[Event]]) -> None:
    """Say where the events are that are not in a log any more."""
    for commit in commits:
        for _version, _cause, event in commit.events():
            if isinstance(event, ExecutionArchived):
                raise RequestRefusedError(
                    f"The execution is archived: it lies at {event.place}.",
                    hint="Give that file instead of the id, or bring it back with `talka import`.",
                    code="archived",
                )


def _never(_commit: StoredCommit) -> bool:
    """Tell that a pool never ends."""
    return False


def may_be_last(commit: StoredCommit) -> bool:
    """Tell whether an execution may be over with a commit, without the cost of reading it."""
    return any(mark in commit.body for mark in _END_MARKS)


_ENDS = (
    ExecutionSucceeded,
    ExecutionPartlySucceeded,
    ExecutionFailed,
    ExecutionTimedOut,
    ExecutionCancelled,
    ExecutionRejected,
    ExecutionRolledBack,
    RollbackFailed,
)
_END_MARKS = tuple(f'"{end.__struct_config__.tag}"'.encode() for end in _ENDS)


async def _patiently(ask: Callable[[], Awaitable[T]], name: LogName) -> T:
    """Ask again through every outage; what is broken stays broken."""
    is_reported = False
    while True:
        try:
            return await ask()
        except BrokenHistoryError:
            raise
        except PlatformError as error:
            if not is_reported:
                logger.warning("histories.unreachable", log=str(name), error=str(error))
            is_reported = True
        await asyncio.sleep(AGAIN_S)
