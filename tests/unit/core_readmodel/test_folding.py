"""What facts change in the read model, without any database."""

from __future__ import annotations

from typing import Any

from talka_core.builder import WorkflowBuilder
from talka_core.readmodel import (
    AllocationRow,
    AttemptRow,
    Changes,
    ExecutionRow,
    fold_execution,
    fold_pool,
    rows_of,
)
from talka_core.readmodel.executions import unreadable
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.workflow import Task

WORKFLOW = WorkflowBuilder("w", id="w").add_task(Task("a", "sleep", payload={"seconds": 0})).build()
BEGUN = (
    e.ExecutionAccepted(WORKFLOW),
    e.ExecutionStarted(),
    e.TaskReady("a"),
    e.TaskQueued("a", 1),
    e.TaskScheduled("a", 1, "w1", "x/a/1", 7),
    e.TaskStarted("a", 1, 1_500),
)


def commit(version: int, at: int, *events: Any) -> Commit[Any]:
    """Return a commit of one decision."""
    return Commit(version, at, 1, (Decision("cause", events),))


def folded(*commits: Commit[Any]) -> tuple[ExecutionRecord, Changes]:
    """Return the state and the changes of an execution's first commits."""
    state, changes = SCHEDULER.initial("x"), Changes()
    for position, each in enumerate(commits, 1):
        fold_execution(state, each, position, changes)
    rows_of(state, changes)
    return state, changes


def test_an_attempt_is_one_row_however_many_facts_tell_of_it() -> None:
    """What later facts do not say stays as earlier ones said it."""
    _, changes = folded(commit(1, 1_000, *BEGUN), commit(7, 2_000, e.TaskSucceeded("a", 1, 1_900)))
    assert changes.rows("attempts") == [
        AttemptRow("x", "a", 1, "sleep", "w1", "x/a/1", 7, 1_000, 1_000, 1_000, 1_500, 1_900, "succeeded")
    ]
    (execution,) = changes.rows("executions")
    assert isinstance(execution, ExecutionRow)
    assert (execution.status, execution.done, execution.position) == ("running", 1, 2)


def test_what_is_cancelled_between_attempts_leaves_the_last_one_as_it_ended() -> None:
    """A task that waits for another attempt has none that could be cancelled."""
    failure = e.TaskFailure("task_failed", "no")
    retrying = e.TaskRetrying("a", 1, 1_900, 9_000, failure)
    _, changes = folded(commit(1, 1_000, *BEGUN), commit(7, 2_000, retrying, e.TaskCancelled("a", 1, 2_000)))
    (attempt,) = changes.rows("attempts")
    assert isinstance(attempt, AttemptRow)
    assert (attempt.outcome, attempt.error_code) == ("retried", "task_failed")


def test_a_broken_execution_leaves_nothing_but_its_name() -> None:
    """What its earlier facts said depends on how far they were read, so it goes."""
    _, changes = folded(commit(1, 1_000, *BEGUN))
    unreadable("x", "It is broken.", changes)
    assert (changes.rows("tasks"), changes.rows("attempts"), list(changes.forgotten)) == ([], [], ["x"])
    (row,) = changes.rows("executions")
    assert isinstance(row, ExecutionRow)
    assert (row.status, row.reason) == ("broken", "It is broken.")


def test_an_allocation_is_followed_from_its_request_to_its_end() -> None:
    """Queued, granted, handed on and freed are one row; another request of the same id begins it anew."""
    holder, heir = e.Holder("x", "a", 1), e.Holder("x", "b", 1)
    changes = Changes()
    asked = e.AllocationQueued("x/a/1", holder, "sleep", {"cpu_cores": 1.0})
    granted = e.AllocationGranted("x/a/1", holder, "sleep", "w1", 1, 7, {"cpu_cores": 1.0})
    handed = e.AllocationHolderChanged("x/a/1", heir, 8)
    fold_pool("default", commit(1, 10, asked, granted), changes)
    fold_pool("default", commit(3, 20, handed, e.AllocationFreed("x/a/1", heir)), changes)
    amounts = '{"cpu_cores":1.0}'
    freed = AllocationRow("default", "x/a/1", "freed", "x", "b", 1, "", "sleep", "w1", 8, 10, 10, 20, amounts)
    assert changes.rows("allocations") == [freed]
    fold_pool("default", commit(5, 30, asked), changes)
    (again,) = changes.rows("allocations")
    assert isinstance(again, AllocationRow)
    assert (again.status, again.queued_at, again.freed_at) == ("queued", 30, 0)
