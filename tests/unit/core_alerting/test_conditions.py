"""What is worth an alert: each rule on histories that are told event by event."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.alerting import Lag, Limits, Watch
from talka_protocols import events as e
from talka_protocols.alerts import AlertKind
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import Holder, TaskFailure, ViolationKind
from talka_protocols.subjects import EXECUTION, POOL, LogName
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig

X = LogName(EXECUTION, "0", "x")
P = LogName(POOL, "-", "default")
FAULT = TaskFailure("failed", "No.")


class Told:
    """A watch that is told events, one commit each."""

    def __init__(self, limits: Limits | None = None, **config: Any) -> None:
        self.watch = Watch(limits or Limits(stuck_s=60, error_tasks=2))
        self.now = 1_000_000
        self._versions: dict[LogName, int] = {}
        self._position = 0
        tasks = (
            Task("a", "sleep", payload={"seconds": 30}),
            Task("b", "sleep", payload={"seconds": 20}),
        )
        workflow = Workflow("w", "w", tasks, (Dependency("a", "b"),), WorkflowConfig(**config))
        self.tell(X, e.ExecutionAccepted(workflow=workflow))

    def tell(self, log: LogName, *events: Any) -> None:
        """Commit events."""
        version = self._versions.get(log, 0) + 1
        self._versions[log] = version + len(events) - 1
        self._position += 1
        self.watch.take(log, self._position, Commit(version, self.now, 0, (Decision("t", events),)))

    def later(self, seconds: float, *lags: Lag) -> dict[AlertKind, str]:
        """Let time pass, and return what is wrong then."""
        self.now += round(1000 * seconds)
        return {each.kind: each.message for each in self.watch.conditions(self.now, lags)}

    def run(self, task: str) -> None:
        """Let a task begin."""
        self.tell(X, e.TaskReady(task), e.TaskQueued(task, 1))
        self.tell(X, e.TaskScheduled(task, 1, "w", f"x/{task}/1", 1, 1), e.TaskStarted(task, 1, self.now))


def test_nothing_is_wrong_while_a_task_runs_however_long() -> None:
    told = Told()
    told.tell(X, e.ExecutionStarted())
    told.run("a")
    assert told.later(10_000) == {}


@pytest.mark.parametrize("status", ["ready", "queued", "scheduled"])
def test_what_makes_no_progress_and_awaits_nothing_is_stuck(status: str) -> None:
    """A decision, a grant or a worker is missing; whatever happens ends it."""
    told = Told()
    told.tell(X, e.ExecutionStarted(), e.TaskReady("a"))
    if status != "ready":
        told.tell(X, e.TaskQueued("a", 1))
    if status == "scheduled":
        told.tell(X, e.TaskScheduled("a", 1, "w", "x/a/1", 1, 1))
    assert told.later(59) == {}
    assert set(told.later(1)) == {AlertKind.STUCK}
    told.tell(X, e.ExecutionPaused("r"))
    assert told.later(1) == {}


def test_requests_are_not_stuck_while_their_pool_grants_others() -> None:
    told = Told()
    told.tell(X, e.ExecutionStarted(), e.TaskReady("a"), e.TaskQueued("a", 1))
    told.later(50)
    told.tell(P, e.AllocationGranted("y/z/1", Holder("y", "z", 1), "sleep", "w", 1, 1))
    assert AlertKind.STUCK not in told.later(59)
    assert AlertKind.STUCK in told.later(2)


def test_a_paused_execution_and_one_that_is_over_are_not_stuck() -> None:
    told = Told()
    told.tell(X, e.ExecutionStarted(), e.ExecutionPaused("r"))
    assert told.later(1_000) == {}
    told.tell(X, e.ExecutionCancelled())
    assert told.later(1_000) == {}


def test_a_deadline_is_threatened_before_it_is_missed() -> None:
    """30 s and 20 s are due in 60 s: the first may begin up to 10 s late."""
    told = Told(deadline=60.0)
    told.tell(X, e.ExecutionStarted())
    assert told.later(9) == {}
    assert set(told.later(2)) == {AlertKind.DEADLINE_THREATENED}
    told.now -= 2_000
    told.run("a")
    assert told.later(29) == {}
    assert "ends 1.0 s too late" in told.later(3)[AlertKind.DEADLINE_THREATENED]


def test_failures_are_counted_in_a_window_and_lag_from_its_limit_on() -> None:
    told = Told()
    told.tell(X, e.ExecutionStarted())
    for task in "ab":
        told.run(task)
        told.tell(X, e.TaskFailed(task, 1, told.now, FAULT))
    assert "2 of the 2 tasks of type sleep" in told.later(0)[AlertKind.ERROR_RATE]
    assert AlertKind.ERROR_RATE not in told.later(620)
    found = told.later(0, Lag("scheduler", "3", 1_000), Lag("scheduler", "4", 999))
    assert found[AlertKind.LAG] == "1,000 messages wait for scheduler 3."


def test_violations_are_told_until_they_are_recorded() -> None:
    """A read that no dependency orders, and a grant beyond what a worker has."""
    told = Told()
    edge = Dependency("a", "b")
    told.tell(X, e.DependencyViolationDetected("b", "data", "a", next(iter(ViolationKind)), edge))
    told.tell(P, e.WorkerJoined("w", 1, ("sleep",), 1, {"cpu_cores": 1.0}))
    told.tell(P, e.AllocationGranted("x/a/1", Holder("x", "a", 1), "sleep", "w", 1, 1, {"cpu_cores": 2.0}))
    conditions = told.watch.conditions(told.now)
    assert {each.kind for each in conditions} == {AlertKind.DEPENDENCY_VIOLATION, AlertKind.LEAK}
    assert told.watch.conditions(told.now) == conditions
    told.watch.recorded(conditions)
    assert told.watch.conditions(told.now) == []


def test_an_execution_that_goes_on_after_its_end_is_asked_for() -> None:
    told = Told()
    told.tell(X, e.ExecutionStarted(), e.ExecutionCancelled())
    told.tell(X, e.ExecutionRestarted(("a",)))
    assert told.watch.unknown == {"x"}
