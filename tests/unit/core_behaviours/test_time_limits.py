"""Goal: an execution that its time limit has ended keeps all its work, and goes on where it stopped."""

from __future__ import annotations

from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.behaviour import SetTimer, step
from talka_core.history import FOLDS, packed, unpacked
from talka_core.scheduler import SCHEDULER
from talka_protocols import messages as m
from talka_protocols.events import ExecutionTimeoutReached
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow, WorkflowConfig

S = TaskStatus
CORE = ResourceRequirements(cpu_cores=1.0)
TIMEOUT = (Recipient.SCHEDULER, "e", "timeout")


def _end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def _timed_out(outcome: Outcome = Outcome.SUCCEEDED) -> Model:
    """Return an execution that ran out of time when ``a`` had ended, ``b`` ran and ``c`` waited for it."""
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE, retries=1) for id_ in "abcd")
    edges = (Dependency("a", "b"), Dependency("b", "c"))
    model = Model({"w1": 2.0})
    model.submit(Workflow("e", "e", tasks, edges, WorkflowConfig(timeout=30.0)))
    model.deliver_all()
    _end(model, "a")
    _end(model, "d", outcome)
    model.fire(TIMEOUT)
    model.deliver_all()
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
    model.deliver_all()
    assert _state(model).status is ExecutionState.TIMED_OUT
    return model


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _resume(model: Model, limit_ms: int = 0) -> None:
    model.ask(m.ResumeExecution("e", f"q{_state(model).version}", limit_ms=limit_ms))
    model.deliver_all()


def test_resumed_it_goes_on_where_it_stopped() -> None:
    """What had succeeded stays, what was cancelled begins again, and the limit starts anew."""
    model = _timed_out()
    assert [r.status for r in _state(model).tasks.values()] == [
        S.SUCCEEDED,
        S.CANCELLED,
        S.CANCELLED,
        S.SUCCEEDED,
    ]
    model.now_ms += 5_000
    _resume(model)
    state = _state(model)
    assert [r.status for r in state.tasks.values()] == [S.SUCCEEDED, S.SCHEDULED, S.PENDING, S.SUCCEEDED]
    assert model.timers[TIMEOUT] == model.now_ms + 30_000
    assert (state.status, state.reason, state.finished_at) == (ExecutionState.RUNNING, "", 0)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert _state(model).tasks["a"].attempt == 1
    assert _state(model).tasks["b"].attempt == 2


def test_it_may_be_given_another_limit_and_run_out_of_that_too() -> None:
    """The time given counts from the resume, and its end is as the first one was."""
    model = _timed_out()
    _resume(model, 7_000)
    assert model.timers[TIMEOUT] == model.now_ms + 7_000
    model.fire(TIMEOUT)
    model.deliver_all()
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
    model.deliver_all()
    assert _state(model).status is ExecutionState.TIMED_OUT
    assert "7 s" in _state(model).reason
    _resume(model)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_what_would_have_been_tried_again_is_tried_again() -> None:
    """A task that waited for its next attempt when the time was over has it after the resume."""
    model = _timed_out(Outcome.FAILED)
    assert _state(model).tasks["d"].status is S.CANCELLED
    _resume(model)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert (_state(model).tasks["d"].attempt, _state(model).tasks["d"].failures) == (2, 1)


def test_a_resume_that_is_cut_short_is_completed() -> None:
    """With only the first event stored, the next owner starts what may start."""
    model = _timed_out()
    model.ask(m.ResumeExecution("e", "q"))
    model.deliver(0, cut=1)
    model.deliver_all()
    assert _state(model).tasks["b"].status is S.SCHEDULED
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_what_is_taken_up_again_is_remembered_in_the_same_order_after_a_snapshot() -> None:
    """A snapshot sorts the tasks; resuming from it leads to the same state as from the log."""
    tasks = tuple(Task(id_, AGENT_TYPE) for id_ in ("late", "early"))
    model = Model({"w1": 2.0})
    model.submit(Workflow("e", "e", tasks, (), WorkflowConfig(timeout=30.0)))
    model.deliver_all()
    model.fire(TIMEOUT)
    model.deliver_all()
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
        model.deliver_all()
    fold = FOLDS[EXECUTION]
    again = unpacked(fold, packed(fold, _state(model)))
    fold.restore(again)
    for state in (again, _state(model)):
        step(SCHEDULER, state, m.ResumeExecution("e", "q"), 99_000)
    assert len(again.lost_spans) == 2
    assert packed(fold, again) == packed(fold, _state(model))


def test_a_limit_that_rang_too_early_is_set_again() -> None:
    """A clock that was set back meanwhile must not take the limit away."""
    model = Model({"w1": 1.0})
    model.submit(Workflow("e", "e", (Task("a", AGENT_TYPE),), (), WorkflowConfig(timeout=30.0)))
    model.deliver_all()
    state = _state(model)
    rang, due_at = m.TimerFired("e", TIMEOUT[2]), state.timeout_at
    assert step(SCHEDULER, state, rang, due_at - 2_000) == ([], [(-1, SetTimer("e", TIMEOUT[2], due_at))])
    events, _ = step(SCHEDULER, state, rang, due_at)
    assert isinstance(events[0], ExecutionTimeoutReached)
    assert not any(isinstance(effect, SetTimer) for _, effect in step(SCHEDULER, state, rang, due_at)[1])
