"""Goal: a task that does not get its resources in time is given up, and asks the pool for nothing more."""

from __future__ import annotations

from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ResourceRequirements, Task, Workflow

S = TaskStatus
CORE = ResourceRequirements(cpu_cores=1.0)
START = (Recipient.SCHEDULER, "e", "start/b")


def _model(**more: Any) -> Model:
    """Return an execution whose task ``a`` has the only core and whose task ``b`` waits for it."""
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE, priority=90),
        Task("b", AGENT_TYPE, resources=CORE, start_timeout=5.0, **more),
    )
    model = Model({"w1": 1.0})
    model.submit(Workflow("e", "e", tasks))
    model.deliver_all()
    assert _status(model) is S.QUEUED
    return model


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _status(model: Model) -> TaskStatus:
    status: TaskStatus = _state(model).tasks["b"].status
    return status


def test_a_task_that_gets_no_resources_in_time_has_timed_out() -> None:
    """Its request is withdrawn, retries do not help it, and its error says which time-out it was."""
    model = _model(retries=3)
    model.fire(START)
    model.deliver_all()
    record = _state(model).tasks["b"]
    assert (record.status, record.error.code) == (S.TIMED_OUT, "start_timeout")
    assert "5 s" in record.error.message
    assert not model.players[Recipient.RESOURCE, "default"].state.waiting
    model.finish()
    assert _state(model).status is ExecutionState.FAILED


def test_a_timer_that_rings_when_the_task_has_resources_does_nothing() -> None:
    """From then on the time-out of the attempt counts."""
    model = _model()
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED)
    model.deliver_all()
    model.fire(START)
    assert _status(model) is S.SCHEDULED
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_the_time_begins_anew_after_a_pause() -> None:
    """What a pause took is not held against the task."""
    model = _model()
    model.now_ms += 3_000
    model.ask(m.PauseExecution("e", "one"))
    model.deliver_all()
    model.fire(START)
    assert _status(model) is S.READY
    model.now_ms += 60_000
    model.ask(m.ResumeExecution("e", "two"))
    model.deliver_all()
    assert model.timers[START] == model.now_ms + 5_000
    model.tell(Recipient.SCHEDULER, m.TimerFired("e", "start/b"))
    assert _status(model) is S.QUEUED
    model.finish()


def test_a_fallback_runs_when_the_task_did_not_start() -> None:
    """Then it waits for resources in its turn, with the same bound."""
    model = _model(fallback=Action("wait", {"seconds": 1}))
    model.fire(START)
    model.deliver_all()
    assert _status(model) is S.WAITING
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_withdrawal_that_is_cut_short_is_completed() -> None:
    """With only the withdrawal stored the timer is still owed, and ends the task."""
    model = _model()
    model.now_ms = max(model.now_ms, model.timers.pop(START))
    model.tell(Recipient.SCHEDULER, m.TimerFired("e", "start/b"), cut=1)
    model.deliver_all()
    assert _status(model) is S.QUEUED
    model.fire(START)
    model.deliver_all()
    assert _status(model) is S.TIMED_OUT
    model.finish()
