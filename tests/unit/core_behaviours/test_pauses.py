"""Goal: nothing new starts while an execution or a task is paused, and everything goes on afterwards.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow, WorkflowConfig

S = TaskStatus
CORE = ResourceRequirements(cpu_cores=1.0)
TIMEOUT = (Recipient.SCHEDULER, "e", "timeout")
numbers = count(1)


def _model(*tasks: Task, cores: float = 2.0, **config: Any) -> Model:
    """Return an execution of three tasks in a chain and one beside, or of the given ones."""
    model = Model({"w1": cores})
    chain = tuple(Task(id_, AGENT_TYPE, resources=CORE, retries=1) for id_ in "abcd")
    edges = () if tasks else (Dependency("a", "b"), Dependency("b", "c"))
    model.submit(Workflow("e", "e", tasks or chain, edges, WorkflowConfig(timeout=100.0, **config)))
    model.deliver_all()
    return model


def _ask(model: Model, request: Any, **fields: Any) -> None:
    model.ask(request("e", request_id=f"q{next(numbers)}", **fields))
    model.deliver_all()


def _end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _status(model: Model, task_id: str) -> TaskStatus:
    status: TaskStatus = _state(model).tasks[task_id].status
    return status


def _refusals(model: Model) -> list[str]:
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [
        event.code
        for commit in commits
        for _, _, event in commit.events()
        if isinstance(event, e.RequestRefused)
    ]


def test_what_runs_goes_on_and_nothing_follows_it() -> None:
    """A running task ends while the execution is paused; its successor is ready and waits for the resume."""
    model = _model()
    _ask(model, m.PauseExecution, reason="lunch")
    assert (_state(model).status, _state(model).reason) == (ExecutionState.PAUSED, "lunch")
    _end(model, "a")
    assert (_status(model, "a"), _status(model, "b")) == (S.SUCCEEDED, S.READY)
    assert not model.players[Recipient.RESOURCE, "default"].state.waiting
    _ask(model, m.ResumeExecution)
    assert _status(model, "b") is S.SCHEDULED
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_what_waits_for_resources_is_taken_back() -> None:
    """A queued task is ready again, its request is withdrawn, and a grant that was under way is returned."""
    model = _model(cores=1.0)
    assert _status(model, "d") is S.QUEUED
    _ask(model, m.PauseExecution)
    assert _status(model, "d") is S.READY
    assert not model.players[Recipient.RESOURCE, "default"].state.waiting
    model.tell(Recipient.SCHEDULER, m.GrantAllocation("e", "d", 1, "e/d/1", "w1", 99))
    assert _status(model, "d") is S.READY
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert _state(model).tasks["d"].attempt == 2


def test_a_failed_task_waits_for_the_resume_with_its_next_attempt() -> None:
    """The pause between attempts goes on, and what it leads to waits."""
    model = _model()
    _ask(model, m.PauseExecution)
    _end(model, "a", Outcome.FAILED)
    assert _status(model, "a") is S.RETRYING
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    assert _status(model, "a") is S.READY
    model.finish()
    assert _state(model).tasks["a"].attempt == 2


def test_a_task_that_is_paused_holds_only_itself_and_what_needs_it() -> None:
    """A paused task becomes ready and is not dispatched; others go on."""
    model = _model()
    _ask(model, m.PauseExecution, task_id="b")
    _end(model, "a")
    _end(model, "d")
    assert (_status(model, "b"), _status(model, "d")) == (S.READY, S.SUCCEEDED)
    assert _state(model).status is ExecutionState.RUNNING
    model.crash(Recipient.SCHEDULER, "e")
    assert _status(model, "b") is S.READY
    _ask(model, m.ResumeExecution, task_id="b")
    assert _status(model, "b") is S.SCHEDULED
    model.finish()


def test_a_queued_task_can_be_paused() -> None:
    """Its request goes back to the pool until it is resumed."""
    model = _model(cores=1.0)
    _ask(model, m.PauseExecution, task_id="d")
    _end(model, "a")
    assert (_status(model, "b"), _status(model, "d")) == (S.SCHEDULED, S.READY)
    _ask(model, m.ResumeExecution, task_id="d")
    assert _status(model, "d") is S.QUEUED
    model.finish()


def test_an_execution_can_end_while_it_is_paused() -> None:
    """When what still ran was all that was left there is nothing to wait for."""
    model = _model(Task("only", AGENT_TYPE))
    _ask(model, m.PauseExecution)
    _end(model, "only")
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_paused_execution_can_be_cancelled() -> None:
    """Cancelling ends it as it ends a running one."""
    model = _model()
    _ask(model, m.PauseExecution)
    model.tell(Recipient.SCHEDULER, m.CancelExecution("e"))
    model.finish()
    assert _state(model).status is ExecutionState.CANCELLED


@pytest.mark.parametrize("is_wall_time", [False, True])
def test_the_time_limit_stands_still(is_wall_time: bool) -> None:
    """The limit moves by the length of the pause, unless it is meant as wall time."""
    model = _model(is_wall_time=is_wall_time)
    due = model.timers[TIMEOUT]
    model.now_ms += 10_000
    _ask(model, m.PauseExecution)
    model.now_ms += 60_000
    _ask(model, m.ResumeExecution)
    assert model.timers[TIMEOUT] - due == (0 if is_wall_time else 60_000)
    model.finish()


def test_a_timer_of_before_the_pause_ends_nothing() -> None:
    """The old timer rings while the execution is paused, and again after it; neither is its end."""
    model = _model()
    _ask(model, m.PauseExecution)
    model.fire(TIMEOUT)
    assert _state(model).status is ExecutionState.PAUSED
    _ask(model, m.ResumeExecution)
    model.tell(Recipient.SCHEDULER, m.TimerFired("e", "timeout"))
    assert not _state(model).is_stopping
    model.fire(TIMEOUT)
    assert _state(model).is_stopping
    model.finish()
    assert _state(model).status is ExecutionState.TIMED_OUT


def test_the_time_limit_stands_still_while_all_that_is_left_waits() -> None:
    """A wait of an hour is longer than the limit and passes all the same."""
    tasks = (Task("pause", "wait", payload={"seconds": 3600}), Task("beside", AGENT_TYPE))
    model = _model(*tasks)
    due = model.timers[TIMEOUT]
    assert not _state(model).limit_stopped_at
    model.now_ms += 5_000
    _end(model, "beside")
    assert _state(model).limit_stopped_at == model.now_ms
    model.fire(TIMEOUT)
    assert not _state(model).is_stopping
    model.fire(next(timer for timer in model.timers if timer[2].startswith("wait/")))
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert due < model.now_ms


@pytest.mark.parametrize(
    ("request_kind", "task_id", "code"),
    [
        (m.ResumeExecution, "", "not_paused"),
        (m.ResumeExecution, "a", "not_paused"),
        (m.PauseExecution, "nobody", "unknown_task"),
    ],
)
def test_what_cannot_be_done_is_refused_by_an_event(request_kind: Any, task_id: str, code: str) -> None:
    """A request that makes no sense changes nothing, and says why in the log."""
    model = _model()
    _ask(model, request_kind, task_id=task_id)
    assert _refusals(model) == [code]
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    _ask(model, m.PauseExecution)
    assert _refusals(model) == [code, "not_running"]


def test_a_request_is_heard_once() -> None:
    """A pause that is delivered again after the resume pauses nothing."""
    model = _model()
    pause = m.PauseExecution("e", "first")
    for request in (pause, m.ResumeExecution("e", "second"), pause):
        model.ask(request)
        model.deliver_all()
    assert _state(model).status is ExecutionState.RUNNING
    model.finish()


def _two_in_a_row() -> Model:
    """Return an execution whose task ``b`` is paused while ``a``, which it needs, runs."""
    undo = Action(AGENT_TYPE)
    tasks = (Task("a", AGENT_TYPE, compensation=undo), Task("b", AGENT_TYPE, dependencies=("a",)))
    model = _model(*tasks)
    _ask(model, m.PauseExecution, task_id="b")
    return model


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_task_that_was_paused_at_the_event_gone_back_to_stays_so(is_resumed: bool) -> None:
    """Unless somebody has resumed it since: what people wish is no effect."""
    model = _two_in_a_row()
    to = _state(model).version
    _end(model, "a")
    assert _status(model, "b") is S.READY
    if is_resumed:
        _ask(model, m.ResumeExecution, task_id="b")
        _end(model, "b")
    _ask(model, m.RollBackExecution, to=to)
    _end(model, "undo:a:1")
    _end(model, "a")
    assert _state(model).tasks["b"].is_paused is not is_resumed
    assert _status(model, "b") is (S.SCHEDULED if is_resumed else S.READY)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_task_that_was_paused_after_the_event_is_not() -> None:
    """At that event nobody had paused it."""
    model = _two_in_a_row()
    _end(model, "a")
    _ask(model, m.RollBackExecution, to=2)
    _end(model, "undo:a:1")
    assert not _state(model).tasks["b"].is_paused
    model.finish()


def test_a_pause_outlives_a_crash_in_the_rollback() -> None:
    """Whoever takes over finds the pause in its event."""
    model = _two_in_a_row()
    to = _state(model).version
    _end(model, "a")
    _ask(model, m.RollBackExecution, to=to)
    model.crash(Recipient.SCHEDULER, "e")
    model.deliver_all()
    assert _state(model).rollback.paused == ("b",)
    _end(model, "undo:a:1")
    assert _state(model).tasks["b"].is_paused
    model.finish()


def test_a_restart_lets_go_of_pauses() -> None:
    """Whoever restarts wants it to run."""
    model = _model(Task("a", AGENT_TYPE))
    _ask(model, m.PauseExecution, task_id="a")
    _end(model, "a", Outcome.FAILED)
    _ask(model, m.RestartExecution)
    assert not _state(model).tasks["a"].is_paused
    model.finish()
