"""A history event by event, each with what it changes: how the execution and its tasks stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from talka_core.history import FOLDS, advance
from talka_core.scheduler import ExecutionRecord
from talka_protocols.commit import Commit
from talka_protocols.events import Event
from talka_protocols.states import TaskStatus
from talka_protocols.subjects import EXECUTION

Change = tuple[str, str]
"""Before and after; empty before where there was nothing."""


class Step(Struct, frozen=True):
    """One event, when it happened (milliseconds since the epoch), and the statuses that it changed."""

    version: int
    at: int
    event: Event
    execution: Change | None
    tasks: dict[str, Change]


def steps(execution_id: str, commits: Iterable[Commit[Event]]) -> Iterator[Step]:
    """Yield the steps of an execution's log.

    Raises:
        BrokenHistoryError: it cannot be folded.
    """
    fold = FOLDS[EXECUTION]
    state: ExecutionRecord = fold.initial(execution_id)
    status, before = "", dict[str, TaskStatus]()
    for commit in commits:
        for version, _cause, event in commit.events():
            advance(fold, state, version, event, commit.at)
            now = state.status.value if state.status else ""
            after = {task_id: record.status for task_id, record in state.tasks.items()}
            changed = dict.fromkeys([*before, *after])
            tasks = {
                task_id: (str(before.get(task_id, "")), str(after.get(task_id, "")))
                for task_id in changed
                if before.get(task_id) is not after.get(task_id)
            }
            yield Step(version, commit.at, event, (status, now) if now != status else None, tasks)
            status, before = now, after
