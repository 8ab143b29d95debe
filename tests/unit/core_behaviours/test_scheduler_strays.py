"""Goal: what late, repeated and cut-short things must not do to an execution.

Method: each is a short sequence that generated histories once failed on.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from talka_core.behaviour import Effect, Send, step
from talka_core.history import FOLDS, packed, unpacked
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.strategies import Position, Ranking, rank
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.messages import Outcome
from talka_protocols.states import ExecutionState, Health, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Dependency, Strategy, Task, Workflow, WorkflowConfig


def _started(*dependencies: Dependency, max_parallel: int | None = None) -> ExecutionRecord:
    tasks = (Task("a", "work"), Task("b", "work"))
    config = WorkflowConfig(max_parallel=max_parallel)
    state = SCHEDULER.initial("e")
    _tell(state, m.StartExecution("e", Workflow("w", "w", tasks, dependencies, config)))
    return state


def _tell(state: ExecutionRecord, message: Any, now_ms: int = 1_000) -> tuple[list[Any], list[Effect]]:
    events, effects = step(SCHEDULER, state, message, now_ms)
    return events, [effect for _, effect in effects]


def _grant(task_id: str, *, attempt: int = 1, fence: int = 1, hands: int = 0) -> m.GrantAllocation:
    allocation_id = f"e/{task_id}/{attempt}"
    return m.GrantAllocation("e", task_id, attempt, allocation_id, "w1", fence, 1, hands, 9_999)


def _finished(task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> m.AttemptFinished:
    return m.AttemptFinished("e", task_id, 1, "w1", 1_000, 2_000, outcome)


def _fold(state: ExecutionRecord, *events: Any) -> None:
    for event in events:
        SCHEDULER.evolve(state, event, 1_000)


def test_late_grant_after_hand_on_frees_nothing() -> None:
    """A grant that is repeated after its allocation was handed on does not give it back under the heir."""
    state = _started(Dependency("a", "b"))
    _tell(state, _grant("a", hands=8))
    events, _ = _tell(state, _finished("a"))
    assert any(isinstance(event, e.AllocationHandedOn) for event in events)
    assert _tell(state, _grant("a", hands=8)) == ([], [])


def test_revoked_before_granted_takes_a_new_allocation() -> None:
    """A revocation that overtakes its grant ends the attempt, so the grant is too late when it comes."""
    state = _started(Dependency("a", "b"))
    events, _ = _tell(state, m.RevokeAllocation("e", "e/a/1"))
    assert [type(event) for event in events] == [e.TaskAttemptLost, e.AllocationReleased, e.TaskQueued]
    events, effects = _tell(state, _grant("a"))
    assert not events
    assert [type(effect.message) for effect in effects if isinstance(effect, Send)] == [m.ReleaseAllocation]


def test_withdrawal_cut_short_is_completed() -> None:
    """A cancellation cut between withdrawing a request and cancelling its task owes nothing nameless."""
    state = _started()
    _fold(state, e.ExecutionCancelRequested(), e.AllocationRequestWithdrawn("e/a/1"))
    asked = [x.message for x in SCHEDULER.resume(state) if isinstance(x, Send)]
    assert all(ask.allocation_id for ask in asked if isinstance(ask, m.RequestAllocation))
    events, _ = _tell(state, m.Advance("e"))
    assert e.AllocationRequestWithdrawn("") not in events
    assert state.status is ExecutionState.CANCELLED


def test_strays_of_a_stopping_execution_are_returned() -> None:
    """What an ended task still holds goes back to the pool although the execution is being cancelled."""
    state = _started()
    _tell(state, _grant("a"))
    _tell(state, m.CancelExecution("e"))
    _fold(state, e.TaskStarted("a", 1, 1_000), e.TaskSucceeded("a", 1, 2_000))
    events, _ = _tell(state, m.Advance("e"))
    assert e.AllocationReleased("e/a/1") in events


def test_hand_on_cut_short_is_returned() -> None:
    """An allocation whose heir never got it, because the commit was cut, goes back to the pool."""
    state = _started(Dependency("a", "b"))
    _tell(state, _grant("a", hands=8))
    events, _ = _tell(state, _finished("a"))
    kept = [event for event in events if not (isinstance(event, e.TaskScheduled))]
    fresh = _started(Dependency("a", "b"))
    _tell(fresh, _grant("a", hands=8))
    _fold(fresh, *kept)
    events, effects = _tell(fresh, m.Advance("e"))
    assert e.AllocationReleased("e/a/1") in events
    assert any(isinstance(x, Send) and isinstance(x.message, m.ReleaseAllocation) for x in effects)
    assert fresh.tasks["b"].status is TaskStatus.QUEUED


def test_ranks_are_floats() -> None:
    """Ranks are floats from the start, so a state decided here and one replayed have the same bytes."""
    position = Position(1, 2.0, 3.0, 4)
    for strategy in Strategy:
        found = rank(Ranking(strategy), Task("a", "work"), position)
        assert all(type(part) is float for part in found)


def test_a_repeated_grant_is_answered_without_a_look_at_every_task() -> None:
    """Grants are repeated by the hundred when a machine is busy, and an execution has thousands of tasks."""
    state = _started(Dependency("a", "b"))
    _tell(state, _grant("a"))
    record = state.tasks["a"]

    class Unscanned(dict[str, Any]):
        def values(self) -> Any:
            raise AssertionError("all tasks were looked at")

        items = values

    state.tasks = Unscanned(state.tasks)
    assert _tell(state, _grant("a")) == ([], [])
    assert _tell(state, m.WithdrawPermit("e", "e/a/1")) == ([], [])
    assert state.holder_of("e/a/1") == "a"
    assert state.holder_of("e/b/1") is None
    assert record is state.tasks["a"]


def test_who_holds_an_allocation_is_known_after_a_snapshot_too() -> None:
    """A snapshot leaves the look-up out, and an owner that begins with one asks it all the same."""
    state = _started(Dependency("a", "b"))
    _tell(state, _grant("a", hands=8))
    _tell(state, _finished("a"))
    fold = FOLDS[EXECUTION]
    again: ExecutionRecord = unpacked(fold, packed(fold, state))
    fold.restore(again)
    assert again.holder_of("e/a/1") == state.holder_of("e/a/1") == "b"
    assert again.holders == state.holders


def test_a_report_of_another_worker_counts_for_nothing() -> None:
    """Whoever does not run the attempt cannot say that it began, ended or saved anything."""
    state = _started()
    _tell(state, _grant("a"))
    assert state.tasks["a"].worker_id == "w1"
    for report in (
        m.AttemptStarted("e", "a", 1, "w2", 5),
        replace(_finished("a"), worker_id="w2"),
        m.RecordProgress("e", "a", 1, "w2", 5, 1, m.Mark.CHECKPOINT, "", e.Saved()),
    ):
        assert _tell(state, report)[0] == []
    assert isinstance(_tell(state, _finished("a"))[0][0], e.TaskStarted | e.TaskSucceeded)


def test_a_restart_gives_back_what_a_task_has_kept_for_an_heir() -> None:
    """Afterwards nobody would hold it, and the pool would never hear of it."""
    state = _started()
    _tell(state, _grant("a"))
    failed = e.TaskFailed("a", 1, 2_000, e.TaskFailure("task_failed", "no"))
    _fold(state, failed, e.AllocationKept("e/a/1", "a", 9_999, Health.BAD))
    events, effects = _tell(state, m.RestartExecution("e", "a", request_id="one"))
    assert [type(event) for event in events[:2]] == [e.AllocationReleased, e.ExecutionRestarted]
    assert "e/a/1" in state.returning
    released = [effect.message for effect in effects if isinstance(effect, Send)]
    assert any(isinstance(each, m.ReleaseAllocation) and each.allocation_id == "e/a/1" for each in released)
