"""What was recorded of an execution on a real server, and what must hold of it whatever went wrong."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing

from msgspec import Struct

from talka_core.history import FOLDS, violations
from talka_protocols.commit import Commit, encode_commit
from talka_protocols.events import (
    Event,
    TaskCancelled,
    TaskFailed,
    TaskSkipped,
    TaskSucceeded,
    TaskTimedOut,
)
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION, POOL, LogName
from talka_services.client import Orchestrator

OUTCOMES = (TaskSucceeded, TaskFailed, TaskTimedOut, TaskCancelled, TaskSkipped)
POLL_S = 0.1


class Record(Struct, frozen=True):
    """An execution's commits with their positions in the stream."""

    execution_id: str
    commits: tuple[tuple[int, Commit[Event]], ...]

    @property
    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield (version, event) in order."""
        for _position, commit in self.commits:
            for version, _cause, event in commit.events():
                yield version, event

    @property
    def done(self) -> int:
        """Return how many outcomes of tasks are recorded."""
        return sum(isinstance(event, OUTCOMES) for _version, event in self.events)

    @property
    def bodies(self) -> list[tuple[int, bytes]]:
        """Return the commits' positions and exact bytes, for comparing."""
        return [(position, encode_commit(commit)) for position, commit in self.commits]

    def began_as(self, earlier: Record) -> bool:
        """Tell whether nothing that was recorded earlier is lost or changed."""
        return self.bodies[: len(earlier.commits)] == earlier.bodies

    def faults(self, task_ids: frozenset[str]) -> list[str]:
        """Return a sentence for each rule that this history of a finished execution breaks."""
        versions = [version for version, _event in self.events]
        found: list[str] = []
        if versions != list(range(1, len(versions) + 1)):
            found.append("the versions have gaps")
        fold = FOLDS[EXECUTION]
        found += violations(fold.initial(self.execution_id), [commit for _, commit in self.commits])  # type: ignore[misc]
        outcomes = Counter(event.task_id for _version, event in self.events if isinstance(event, OUTCOMES))
        found += [
            f"task {task_id!r} has {outcomes[task_id]} outcomes"
            for task_id in sorted(task_ids | set(outcomes))
            if outcomes[task_id] != 1
        ]
        return found


async def record_of(orchestrator: Orchestrator, execution_id: str) -> Record:
    """Read everything that is recorded of an execution now."""
    histories = orchestrator.histories
    return Record(execution_id, tuple(await histories.commits(histories.name(execution_id))))


async def until_done(orchestrator: Orchestrator, execution_id: str, done: int) -> None:
    """Return as soon as so many outcomes are recorded."""
    histories = orchestrator.histories
    seen = 0
    async with aclosing(histories.follow_commits(histories.name(execution_id))) as commits:
        async for _position, commit in commits:
            seen += sum(isinstance(event, OUTCOMES) for _version, _cause, event in commit.events())
            if seen >= done:
                return


async def pool_is_empty(orchestrator: Orchestrator, within_s: float, pool: str = "default") -> str:
    """Wait until nothing of a pool is held or waited for; return what still is, or nothing."""
    deadline = time.monotonic() + within_s
    while True:
        state = await orchestrator.histories.pool(pool)
        if not state.grants and not state.waiting:
            return ""
        if time.monotonic() > deadline:
            return f"grants: {sorted(state.grants)[:5]}, waiting: {sorted(state.waiting)[:5]}"
        await asyncio.sleep(POLL_S)


async def until_started(orchestrator: Orchestrator, execution_id: str, task_id: str, attempt: int = 1) -> str:
    """Return the worker of a task's attempt as soon as it is recorded that it runs there."""
    async with aclosing(orchestrator.histories.follow(execution_id)) as states:
        async for state in states:
            task = state.tasks.get(task_id)
            if task is not None and task.attempt >= attempt and task.status is TaskStatus.RUNNING:
                return task.worker_id
    raise AssertionError(f"attempt {attempt} of task {task_id!r} never ran")


async def pool_events(orchestrator: Orchestrator, pool: str = "default") -> list[Event]:
    """Return everything that was ever recorded of a pool."""
    commits = await orchestrator.histories.commits(LogName(POOL, "-", pool))
    return [event for _position, commit in commits for _version, _cause, event in commit.events()]
