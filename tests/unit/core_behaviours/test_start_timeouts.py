"""Goal: a task that does not start in time is given up, wherever it was stuck, and never starts late.

Method: the closed model; what the worker was sent can be dropped, delayed or repeated.
"""

from __future__ import annotations

from typing import Any

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.behaviour import SetTimer, step
from talka_core.scheduler import SCHEDULER
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ResourceRequirements, Task, Workflow, WorkflowConfig

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


def _sent(**more: Any) -> Model:
    """Return the execution with ``b`` on its way to the worker, which has not heard of it."""
    model = _model(**more)
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED)
    while _status(model) is not S.SCHEDULED:
        model.deliver(0)
    return model


def _start_of(model: Model) -> m.StartTask:
    return next(msg for _, msg in model.archive if isinstance(msg, m.StartTask) and msg.task.id == "b")


def _lose_starts(model: Model) -> None:
    model.soup = [(to, msg) for to, msg in model.soup if not isinstance(msg, m.StartTask)]


def test_a_task_that_has_started_is_late_no_more() -> None:
    """From then on the time-out of the attempt counts."""
    model = _sent()
    model.deliver_all()
    model.begin(next(iter(model.running)))
    model.deliver_all()
    model.fire(START)
    assert _status(model) is S.RUNNING
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_an_attempt_that_its_worker_has_not_seen_in_time_is_withdrawn_and_tried_again() -> None:
    """The worker answers that it never ran, and a start that comes later is not followed."""
    model = _sent(retries=1)
    late = _start_of(model)
    _lose_starts(model)
    model.fire(START)
    assert (_status(model), _state(model).tasks["b"].is_overdue) == (S.SCHEDULED, True)
    model.deliver_all()
    record = _state(model).tasks["b"]
    assert (record.status, record.error.code) == (S.RETRYING, "start_timeout")
    assert "was not started by worker w1 within 5 s" in record.error.message
    model.tell(Recipient.WORKER, late)
    assert not model.running
    model.finish()
    assert (_state(model).status, _state(model).tasks["b"].attempt) == (ExecutionState.SUCCEEDED, 2)


def test_an_attempt_that_never_started_times_out_without_retries() -> None:
    """Its allocation goes back, and its error says where it was stuck."""
    model = _sent()
    _lose_starts(model)
    model.fire(START)
    model.deliver_all()
    record = _state(model).tasks["b"]
    assert (record.status, record.error.code) == (S.TIMED_OUT, "start_timeout")
    assert not model.players[Recipient.RESOURCE, "default"].state.grants
    model.finish()


def test_an_attempt_that_started_before_its_withdrawal_came_goes_on() -> None:
    """The worker says so once more where that was lost."""
    model = _sent()
    model.deliver_all()
    model.begin(next(iter(model.running)))
    model.soup.clear()
    model.fire(START)
    model.deliver_all()
    assert _status(model) is S.RUNNING
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_the_withdrawal_is_owed_until_it_is_answered_and_the_start_is_not() -> None:
    """Whoever takes over sends no start after it."""
    model = _sent()
    _lose_starts(model)
    model.fire(START)
    model.soup.clear()
    model.crash(Recipient.SCHEDULER, "e")
    sent = [msg for _, msg in model.soup if isinstance(msg, m.StartTask | m.CancelTask)]
    assert sent == [m.CancelTask("w1", "e", "b", 1, unless_started=True, incarnation=1)]
    model.deliver_all()
    assert _status(model) is S.TIMED_OUT
    model.finish()


def test_a_worker_that_is_lost_may_have_started_it() -> None:
    """Nobody knows, so the attempt is lost like any other, and the time begins anew with the next."""
    model = _sent()
    _lose_starts(model)
    model.fire(START)
    model.soup.clear()
    model.now_ms += 1_000
    model.silence("w1")
    model.deliver_all()
    record = _state(model).tasks["b"]
    assert (record.lost, record.ready_at) == (1, model.now_ms)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_worker_that_was_restarted_does_not_answer_for_its_earlier_life() -> None:
    """That may have run the attempt, so it is lost and not withdrawn."""
    model = _sent()
    model.deliver_all()
    model.begin(next(iter(model.running)))
    model.soup.clear()
    model.fire(START)
    model.crash_worker("w1")
    withdrawal = next(m_ for _, m_ in model.soup if isinstance(m_, m.CancelTask))
    model.tell(Recipient.WORKER, m.Enlisted("w1", 2))
    model.tell(Recipient.WORKER, withdrawal)
    report = next(m_ for _, m_ in model.soup if isinstance(m_, m.AttemptFinished))
    assert (report.outcome, report.started_at) == (Outcome.LOST, 0)
    model.deliver_all()
    assert _state(model).tasks["b"].lost == 1
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_cancel_takes_the_place_of_the_withdrawal() -> None:
    """The task is cancelled and not late."""
    model = _sent()
    _lose_starts(model)
    model.fire(START)
    model.soup.clear()
    model.ask(m.CancelExecution("e", "asked to"))
    model.deliver_all()
    assert _status(model) is S.CANCELLED
    model.finish()


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


def test_a_ready_task_has_its_time_anew_after_a_rollback() -> None:
    """It could not start meanwhile; once things go on, being late is noticed again."""
    tasks = (
        Task("a", AGENT_TYPE, resources=CORE, priority=90, compensation=Action(AGENT_TYPE)),
        Task("c", AGENT_TYPE, resources=CORE, priority=80),
        Task("b", AGENT_TYPE, resources=CORE, start_timeout=5.0),
    )
    model = Model({"w1": 1.0})
    model.submit(Workflow("e", "e", tasks, config=WorkflowConfig(max_parallel=1)))
    model.deliver_all()
    before = _state(model).version
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED)
    model.deliver_all()
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("e", before))
    model.timers.pop(START)
    model.now_ms += 60_000
    while _state(model).rollback is not None:
        model.deliver_all()
        for each in list(model.running):
            model.begin(each)
            model.end(each, Outcome.SUCCEEDED)
    assert _status(model) is S.READY
    assert model.timers[START] == model.now_ms + 5_000
    model.finish()


def test_a_timer_that_rang_too_early_is_set_again() -> None:
    """A clock that was set back meanwhile must not let the task wait for ever."""
    model = _model()
    state = _state(model)
    due_at = state.tasks["b"].ready_at + 5_000
    rang = m.TimerFired("e", START[2])
    assert step(SCHEDULER, state, rang, due_at - 2_000) == ([], [(-1, SetTimer("e", START[2], due_at))])
    events, _ = step(SCHEDULER, state, rang, due_at)
    assert any(event.error.code == "start_timeout" for event in events if isinstance(event, e.TaskTimedOut))
    assert step(SCHEDULER, state, rang, due_at) == ([], []), "what is over needs no timer"
