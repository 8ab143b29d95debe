"""Goal: a task that loses attempt after attempt with its workers is parked until somebody decides."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.state import LOST_MAX, PARKED
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig

S = TaskStatus
numbers = count(1)


def _lose(model: Model, task_id: str = "a") -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, Outcome.LOST)
    model.deliver_all()


def _parked() -> Model:
    """Return an execution whose task ``a`` is parked; ``b`` needs it and ``c`` runs."""
    tasks = tuple(Task(id_, AGENT_TYPE, retries=2) for id_ in "abc")
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, (Dependency("a", "b"),), WorkflowConfig(timeout=900.0)))
    model.deliver_all()
    for _ in range(LOST_MAX):
        _lose(model)
        assert _task(model).status is S.SCHEDULED
    _lose(model)
    return model


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _task(model: Model, task_id: str = "a") -> Any:
    return _state(model).tasks[task_id]


def _release(model: Model, task_id: str = "a", **fields: Any) -> None:
    model.ask(m.ReleaseTask("e", f"q{next(numbers)}", task_id, **fields))
    model.deliver_all()


def test_it_waits_with_a_reason_and_holds_nothing() -> None:
    """The pool has it neither as granted nor as waiting, and the next owner finds it as it was."""
    model = _parked()
    model.crash(Recipient.SCHEDULER, "e")
    record = _task(model)
    assert (record.status, record.waiting, record.error.code) == (S.WAITING, PARKED, "worker_lost")
    assert str(LOST_MAX + 1) in record.error.message
    held = model.players[Recipient.RESOURCE, "default"].state.grants
    assert [grant.holder.task_id for grant in held.values()] == ["c"]


def test_released_it_runs_again_with_its_losses_forgotten() -> None:
    """One more loss does not park it again."""
    model = _parked()
    _release(model)
    assert (_task(model).status, _task(model).lost, _task(model).error) == (S.SCHEDULED, 0, None)
    _lose(model)
    assert _task(model).status is S.SCHEDULED
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_it_may_have_failed_instead() -> None:
    """Then what needs it is skipped, and retries do not help."""
    model = _parked()
    _release(model, is_failed=True)
    assert (_task(model).status, _task(model, "b").status) == (S.FAILED, S.SKIPPED)
    model.finish()
    assert _state(model).status is ExecutionState.FAILED


@pytest.mark.parametrize(("task_id", "code"), [("c", "not_parked"), ("x", "unknown_task")])
def test_what_is_not_parked_is_not_released(task_id: str, code: str) -> None:
    """The refusal is an event, and nothing else happens."""
    model = _parked()
    _release(model, task_id)
    player = model.players[Recipient.SCHEDULER, "e"]
    events = [x for body in player.commits for _, _, x in decode_commit(player.name, body).events()]
    assert [x.code for x in events if isinstance(x, e.RequestRefused)] == [code]
    model.finish()


def test_the_time_limit_goes_on_and_a_resume_runs_it_again() -> None:
    """Nobody came: the execution ran out of time with everything kept, and goes on with this task too."""
    model = _parked()
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED)
    model.deliver_all()
    assert not _state(model).limit_stopped_at
    model.fire((Recipient.SCHEDULER, "e", "timeout"))
    assert _state(model).status is ExecutionState.TIMED_OUT
    model.ask(m.ResumeExecution("e", "again"))
    model.deliver_all()
    assert (_task(model).status, _task(model).lost) == (S.SCHEDULED, 0)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
