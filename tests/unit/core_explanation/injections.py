"""What of an execution keeps a task from running, brought about by the real actors, and what must be said."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.core_explanation.stage import Stage, task

from talka_core.scheduler.state import LOST_MAX
from talka_core.scheduler.waiting import child_id
from talka_protocols import messages as m
from talka_protocols.baseline import Baseline
from talka_protocols.events import TaskFailure
from talka_protocols.explanations import CauseKind, Explanation
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import (
    Action,
    Join,
    Loop,
    MapOver,
    OnFailure,
    RetryPolicy,
    Then,
)
from talka_protocols.schedules import Schedule
from talka_protocols.workflow import Extension, Strategy, Task, Workflow, WorkflowConfig

K = CauseKind
BOOM = TaskFailure("boom", "It exploded.")
Injection = Callable[[Stage], Explanation]
"""Brings the actors to a state and returns the explanation of one task."""


def _dependency(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"), task("c", "b"))
    stage.begin("a")
    return stage.explain("c")


def _condition(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a", when="a.ok == true"))
    return stage.explain("b")


def _join(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b"), task("c"), task("d", "a", "b", "c", join=2))
    stage.end("a")
    return stage.explain("d")


def _dependency_failed(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"), task("c", "b"))
    stage.end("a", Outcome.FAILED, error=BOOM)
    return stage.explain("c")


def _condition_false(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a", when="a.ok == true"))
    stage.end("a", result=b'{"ok": false}')
    return stage.explain("b")


def _execution_paused(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"))
    stage.ask(m.PauseExecution("e", "q1", reason="maintenance"))
    stage.end("a")
    return stage.explain("b")


def _task_paused(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"))
    stage.ask(m.PauseExecution("e", "q1", "b"))
    stage.end("a")
    return stage.explain("b")


def _parked(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    for _ in range(LOST_MAX + 1):
        stage.model.silence("w1")
        stage.deliver()
        stage.model.crash_worker("w1")
        stage.deliver()
    return stage.explain("a")


def _retry(stage: Stage) -> Explanation:
    stage.submit(task("a", retries=2, retry=RetryPolicy(base_seconds=30.0, jitter=0.0)))
    stage.end("a", Outcome.FAILED, error=BOOM)
    return stage.explain("a")


def _loop(stage: Stage) -> Explanation:
    stage.submit(task("a", loop=Loop("result == 1", delay_seconds=30.0)))
    stage.end("a", result=b"0")
    return stage.explain("a")


def _timer(stage: Stage) -> Explanation:
    stage.submit(Task("a", "wait", payload={"seconds": 90}))
    return stage.explain("a")


def _signal(stage: Stage) -> Explanation:
    stage.submit(Task("a", "signal", payload={"name": "paid", "timeout_seconds": 60}))
    return stage.explain("a")


def _approval(stage: Stage) -> Explanation:
    payload = {"question": "Deploy?", "assignees": ["ann"], "timeout_seconds": 60}
    stage.submit(Task("a", "approval", payload=payload))
    return stage.explain("a")


def waiting_for_a_child(stage: Stage) -> Explanation:
    """Let a task wait for a sub-workflow that waits for a signal."""
    inner = Workflow("child", "child", (task("x"), Task("y", "signal", payload={"name": "go"})))
    stage.submit(Task("a", "workflow", workflow=inner), task("b", "a"))
    return stage.explain("a")


def _map_items(stage: Stage) -> Explanation:
    stage.submit(task("a", map=MapOver([1, 2, 3], max_parallel=1)))
    return stage.explain("a")


def _map_limit(stage: Stage) -> Explanation:
    stage.submit(task("a", map=MapOver([1, 2, 3], max_parallel=1)))
    return stage.explain("a[2]")


def _parallel_limit(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b"), task("c"), max_parallel=1)
    return stage.explain("c")


def _stopping(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"))
    stage.begin("a")
    stage.ask(m.CancelExecution("e", "enough"))
    return stage.explain("a")


def _cancelled(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"))
    stage.ask(m.CancelExecution("e", "enough"))
    return stage.explain("b")


def _child_stopping(stage: Stage) -> Explanation:
    stage.submit(
        task("a", on_failure=OnFailure.FAIL_FAST), Task("w", "workflow", workflow=_child()), task("b", "w")
    )
    stage.end("a", Outcome.FAILED, error=BOOM)
    # The sub-workflow was asked to stop and has not: the task that waits for it goes on waiting.
    return stage.explain("w")


def _cancelled_alone(stage: Stage) -> Explanation:
    stage.submit(task("a"), task("b", "a"))
    stage.ask(m.CancelSingleTask("e", "q1", "b", "not today"))
    return stage.explain("b")


def _child() -> Workflow:
    return Workflow("child", "child", (task("x"),))


def _undone(stage: Stage, then: Then = Then.CONTINUE) -> None:
    undo = Action("work")
    stage.submit(task("a", compensation=undo), task("b", "a"), task("c", "b"))
    stage.end("a")
    stage.ask(m.RollBackExecution("e", to=1, then=then, request_id="q1"))
    stage.end("b", Outcome.CANCELLED)


def _rolling_back(stage: Stage) -> Explanation:
    _undone(stage)
    return stage.explain("c")


def _compensation(stage: Stage) -> Explanation:
    _undone(stage)
    return stage.explain("a")


def _extension(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    stage.lost = (m.ExtendPlan,)
    stage.end("a", extension=Extension((task("a.1"),)))
    return stage.explain("a")


def _not_recorded(stage: Stage) -> Explanation:
    stage.lost = (m.StartExecution,)
    stage.submit(task("a"))
    return stage.explain("a")


def _not_planned(stage: Stage) -> Explanation:
    stage.model.tell(Recipient.PLANNER, m.Advance("e"))
    return stage.explain("a")


def _rejected(stage: Stage) -> Explanation:
    looped = (task("a", "b"), task("b", "a"))
    stage.model.submit(Workflow("e", "e", looped, config=WorkflowConfig()))
    stage.deliver()
    return stage.explain("a")


def _scheduled(stage: Stage) -> None:
    at = stage.model.now_ms / 1000 + 600
    workflow = Workflow("e", "e", (task("a"),))
    put = m.PutSchedule("at-e", Schedule(at=at), workflow, execution_id="e")
    stage.model.tell(Recipient.STARTER, put)


def _start_time(stage: Stage) -> Explanation:
    _scheduled(stage)
    return stage.explain("a")


def _schedule_paused(stage: Stage) -> Explanation:
    _scheduled(stage)
    stage.model.tell(Recipient.STARTER, m.PauseSchedule("at-e"))
    return stage.explain("a")


def _compensated(stage: Stage) -> Explanation:
    _undone(stage, Then.STOP)
    stage.end("undo:a:1")
    return stage.explain("a")


def _rollback_failed(stage: Stage) -> Explanation:
    _undone(stage)
    for _ in range(11):
        stage.end("undo:a:1", Outcome.FAILED, error=BOOM)
        stage.let_time_pass()
    return stage.explain("c")


def _timed_out(stage: Stage) -> Explanation:
    stage.submit(task("a", timeout=5.0))
    stage.end("a", Outcome.TIMED_OUT, error=TaskFailure("task_timeout", "It ran longer than 5 s."))
    return stage.explain("a")


def _failed(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    stage.end("a", Outcome.FAILED, error=BOOM)
    return stage.explain("a")


def _succeeded(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    stage.end("a")
    return stage.explain("a")


def _running(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    stage.begin("a")
    return stage.explain("a")


def _loser(stage: Stage) -> Explanation:
    signal = Task("b", "signal", payload={"name": "never"})
    stage.submit(task("a"), signal, task("c", "a", "b", join=Join.FIRST))
    stage.end("a")
    return stage.explain("b")


def _baseline(stage: Stage) -> Explanation:
    tasks, config = (task("a"), task("b")), WorkflowConfig(strategy=Strategy.RESOURCE_OPTIMIZED)
    plan = Baseline((2.0, 1.0), ((0, 1),))
    submission = m.SubmitWorkflow("e", Workflow("e", "e", tasks, config=config), baseline=plan)
    stage.model.tell(Recipient.PLANNER, submission)
    stage.deliver()
    return stage.explain("b")


INJECTIONS: tuple[tuple[Injection, CauseKind, tuple[str, ...]], ...] = (
    (_baseline, K.BASELINE, ("takes over the resources of a",)),
    (_dependency, K.DEPENDENCY, ("'b'", "'a' is running")),
    (_condition, K.CONDITION, ("a.ok == true", "'a' is scheduled")),
    (_join, K.JOIN, ("2 of 3 have succeeded, 1 have", "b, c")),
    (_dependency_failed, K.DEPENDENCY_FAILED, ("'a'", "failed")),
    (_condition_false, K.CONDITION_FALSE, ("a.ok == true",)),
    (_execution_paused, K.EXECUTION_PAUSED, ("maintenance",)),
    (_task_paused, K.TASK_PAUSED, ("'b'",)),
    (_parked, K.PARKED, ("lost with their workers",)),
    (_retry, K.RETRY, ("Attempt 1", "30 s", "It exploded.")),
    (_loop, K.LOOP, ("Round 1", "30 s")),
    (_timer, K.TIMER, ("1 min 30 s",)),
    (_signal, K.SIGNAL, ("'paid'", "1 min 0 s more")),
    (_approval, K.APPROVAL, ("ann", "'Deploy?'")),
    (waiting_for_a_child, K.SUB_WORKFLOW, (child_id("e", "a", 1), "0 of 2")),
    (_map_items, K.MAP_ITEMS, ("0 of its 3 items", "a[0]")),
    (_map_limit, K.MAP_LIMIT, ("at most 1 items", "a[0]")),
    (_parallel_limit, K.PARALLEL_LIMIT, ("at most 1 tasks", "a")),
    (_stopping, K.STOPPING, ("w1",)),
    (_cancelled, K.CANCELLED, ("enough",)),
    (_cancelled_alone, K.CANCELLED, ("alone", "not today")),
    (_child_stopping, K.SUB_WORKFLOW, ("asked to stop",)),
    (_rolling_back, K.ROLLING_BACK, ("event 1",)),
    (_compensation, K.COMPENSATION, ("undo:a",)),
    (_extension, K.EXTENSION, ("planner",)),
    (_not_recorded, K.NOT_RECORDED, ("scheduler",)),
    (_not_planned, K.NOT_PLANNED, ("planner",)),
    (_rejected, K.REJECTED, ("cycle",)),
    (_start_time, K.START_TIME, ("10 min 0 s", "'at-e'")),
    (_schedule_paused, K.SCHEDULE_PAUSED, ("'at-e'",)),
    (_compensated, K.COMPENSATED, ("undone",)),
    (_rollback_failed, K.ROLLBACK_FAILED, ("'a'", "It exploded.")),
    (_timed_out, K.TIMED_OUT, ("longer than 5 s",)),
    (_failed, K.FAILED, ("boom", "It exploded.")),
    (_succeeded, K.SUCCEEDED, ("attempt 1", "w1")),
    (_running, K.RUNNING, ("w1",)),
    (_loser, K.CANCELLED, ("'c'",)),
)
