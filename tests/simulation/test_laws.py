"""Goal: the laws that histories are held against find what is wrong, and nothing in what is right."""

from __future__ import annotations

from typing import Any, cast

from msgspec import Raw

from talka_chaos.forks import sparing_findings
from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.progress import Saves
from talka_chaos.rewinding import Rewinding
from talka_chaos.urgent import endless_findings
from talka_core.scheduler.terms import PREEMPTIONS_MAX
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import Saved, TaskFailure
from talka_protocols.policies import Then
from talka_protocols.ports import Attempt, Progress
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.workflow import Task

LOG = LogName(EXECUTION, "0", "x")


def preempted(times: int) -> list[Any]:
    """Return so many preemptions of one task."""
    return [e.TaskPreempted("a", attempt, "other") for attempt in range(times)]


def endless(events: list[Any]) -> list[str]:
    """Return what is wrong with how often tasks were preempted."""
    return list(endless_findings(LOG, [Commit(1, 0, 0, (Decision("", tuple(events)),))]))


def test_preemptions_are_counted_anew_when_a_task_runs_again() -> None:
    """One too many is found; after a rollback or a restart of the task the count begins anew."""
    allowed = preempted(PREEMPTIONS_MAX)
    assert len(endless([*allowed, *preempted(1)])) == 1
    assert endless([*allowed, e.ExecutionRestarted(("a",)), *allowed]) == []
    back = [e.RollbackStarted(1, ("a",)), e.ExecutionRolledBack(1, Then.CONTINUE)]
    assert endless([*allowed, *back, *allowed]) == []
    assert len(endless([*allowed, e.ExecutionRestarted(("b",)), *preempted(1)])) == 1


def outcomes(*events: Any) -> dict[str, int]:
    """Return the outcomes that count after the events, by task."""
    law = Rewinding(LOG)
    for event in events:
        assert list(law.take(event)) == []
    return dict(law.outcomes)


def test_what_a_time_limit_cancelled_counts_again_once_it_was_taken_back() -> None:
    """A resumed execution forgets what its time limit cancelled; a rollback has already done so."""
    expired = (e.ExecutionTimeoutReached(1000), e.TaskCancelled("a"))
    assert outcomes(*expired) == {"a": 1}
    assert outcomes(*expired, e.ExecutionResumed()) == {}
    undo = e.TaskCancelled("undo:a:1")
    assert outcomes(*expired, undo, e.ExecutionResumed()) == {"undo:a:1": 1}
    back = (e.RollbackStarted(1, ("a",)), e.ExecutionRolledBack(1, Then.CONTINUE))
    assert outcomes(*expired, *back, e.TaskCancelled("a", because="b"), e.ExecutionResumed()) == {"a": 1}
    again = (e.ExecutionRestarted(("a",)), e.TaskCancelled("a", because="b"), e.ExecutionResumed())
    assert outcomes(*expired, *again) == {"a": 1}


def spared(*events: Any) -> list[str]:
    """Return what is wrong with what rollbacks have left."""
    return list(sparing_findings(LOG, [Commit(1, 0, 0, (Decision("", events),))]))


def test_what_a_time_limit_cancelled_has_not_ended_once_it_goes_on() -> None:
    """A rollback to an event after the resumption may undo it; one to an event before may not."""
    expired = (e.ExecutionTimeoutReached(1), e.TaskCancelled("a", 0, 1), e.ExecutionTimedOut())
    begun = e.TaskReady("b", ())
    back = e.RollbackStarted(4, ("a", "b"))
    assert spared(*expired, e.ExecutionResumed(), begun, begun, back) == []
    assert len(spared(e.TaskCancelled("a", 0, 1), begun, begun, begun, begun, begun, back)) == 1
    assert len(spared(*expired, begun, begun, begun, back)) == 1


class Given:
    """What an attempt is told to have been saved before it, and nothing else."""

    def __init__(self, checkpoint: int) -> None:
        self.checkpoint = Raw(str(checkpoint).encode())
        self.steps: dict[str, Raw] = {}


def began_wrongly(checkpoint: int, *events: Any) -> list[str]:
    """Return what is wrong if the next attempt of a task begins from a checkpoint after these events."""
    saved = (e.TaskScheduled("a", 1, "w", "x/a/1", 1, 1), e.TaskCheckpointed("a", 1, 1, Saved(Raw(b"1"))))
    history = (*saved, *events, e.TaskScheduled("a", 2, "w", "x/a/2", 2, 1))
    saves = Saves(0)
    saves.begin(Attempt("x", Task("a", AGENT_TYPE), 2, 2, "w", cast("Progress", Given(checkpoint))))
    return list(saves.findings({LOG: [Commit(1, 0, 0, (Decision("", history),))]}))


def test_only_what_failed_and_stands_goes_on_after_going_back() -> None:
    """A restart that has to undo something first is a rollback; what succeeded or was undone begins anew."""
    ended = {True: e.TaskSucceeded("a", 1, 0), False: e.TaskFailed("a", 1, 0, TaskFailure("x", "x"))}
    undone = e.TaskSucceeded("undo:a:1", 1, 0)
    back = e.ExecutionRolledBack(3, Then.CONTINUE)
    started = e.RollbackStarted(3, ("a",))
    for events, checkpoint in (
        ((ended[True], started, back), 0),
        ((ended[False], started, back), 1),
        ((ended[False], started, undone, back), 0),
        ((ended[False], e.RollbackStarted(2, ("a",)), e.ExecutionRolledBack(2, Then.CONTINUE)), 0),
        ((ended[True], e.ExecutionRestarted(("a",))), 0),
        ((ended[False], e.ExecutionRestarted(("a",))), 1),
    ):
        assert began_wrongly(checkpoint, *events) == []
        assert len(began_wrongly(1 - checkpoint, *events)) == 1
