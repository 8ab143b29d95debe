"""Goal: a failure ends everything where that was asked for, and a fallback stands in for what failed.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, OnFailure, Rate
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, ResourceRequirements, Task, Workflow, WorkflowConfig

S = TaskStatus
CORE = ResourceRequirements(cpu_cores=1.0)
PLAN_B = Action(AGENT_TYPE, {"plan": "B"}, timeout_seconds=7.0, retries=1)
FAIL_FAST = WorkflowConfig(on_failure=OnFailure.FAIL_FAST)


def _begun(*tasks: Task, edges: tuple[tuple[str, str], ...] = (), **config: Any) -> Model:
    model = Model({"w1": 2.0})
    workflow = Workflow("e", "e", tasks, tuple(Dependency(*edge) for edge in edges), WorkflowConfig(**config))
    model.submit(check(workflow))
    model.deliver_all()
    return model


def _end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _task(task_id: str, **more: Any) -> Task:
    return Task(task_id, AGENT_TYPE, resources=CORE, **more)


def test_a_failure_ends_everything_where_that_was_asked_for() -> None:
    """What runs is stopped, what waits is cancelled, and the execution failed because of one task."""
    model = _begun(*map(_task, "abcd"), edges=(("a", "d"),), on_failure=OnFailure.FAIL_FAST)
    _end(model, "a", Outcome.FAILED)
    assert _state(model).tasks["c"].status is S.CANCELLED
    assert _state(model).tasks["d"].status is S.CANCELLED
    assert _state(model).tasks["b"].is_stopping
    model.finish()
    state = _state(model)
    assert (state.status, state.failed) == (ExecutionState.FAILED, ["a"])
    assert "'a'" in state.reason


def test_a_tolerated_failure_ends_nothing() -> None:
    """Only the failure beyond those that are tolerated ends everything."""
    model = _begun(*map(_task, "abc"), on_failure=OnFailure.FAIL_FAST, tolerated_failures=1)
    _end(model, "a", Outcome.FAILED)
    assert not _state(model).is_stopping
    _end(model, "b", Outcome.TIMED_OUT)
    assert _state(model).is_stopping
    model.finish()
    assert _state(model).status is ExecutionState.FAILED


def test_one_task_may_fail_fast_in_a_workflow_that_does_not() -> None:
    """The rule of the task counts more than the workflow's."""
    model = _begun(_task("a"), _task("b", on_failure=OnFailure.FAIL_FAST), _task("c"))
    _end(model, "a", Outcome.FAILED)
    assert not _state(model).is_stopping
    _end(model, "b", Outcome.FAILED)
    assert _state(model).is_failing
    model.finish()


def test_failing_fast_that_is_cut_short_is_completed() -> None:
    """With only the failure stored, the next owner stops everything."""
    model = _begun(*map(_task, "abc"), on_failure=OnFailure.FAIL_FAST)
    run = next(run for run in model.running if run[2] == "a")
    model.begin(run)
    model.deliver_all()
    model.end(run, Outcome.FAILED)
    model.deliver(0, cut=1)
    assert _state(model).is_failing
    model.finish()
    assert _state(model).status is ExecutionState.FAILED


def test_a_fallback_runs_when_the_last_attempt_failed() -> None:
    """It has its own payload, time-out and attempts; what needs the task goes on with its result."""
    model = _begun(_task("a", retries=1, fallback=PLAN_B), _task("b"), edges=(("a", "b"),))
    _end(model, "a", Outcome.FAILED)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    model.deliver_all()
    _end(model, "a", Outcome.FAILED)
    record = _state(model).tasks["a"]
    assert (record.status, record.attempt, record.is_fallback) == (S.SCHEDULED, 3, True)
    starts = [msg for _, msg in model.archive if isinstance(msg, m.StartTask) and msg.attempt == 3]
    assert starts[0].task.payload == {"plan": "B"}
    assert starts[0].task.timeout == 7.0
    model.crash(Recipient.SCHEDULER, "e")
    assert _state(model).index.tasks["a"].payload == {"plan": "B"}
    _end(model, "a", Outcome.FAILED)
    assert _state(model).tasks["a"].status is S.RETRYING
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert _state(model).tasks["a"].attempt == 4


def test_a_fallback_gives_back_what_its_task_held() -> None:
    """What was granted for the task as it was is neither kept nor handed on to what runs in its place."""
    model = _begun(
        _task("a", rate=Rate("k", 5), fallback=PLAN_B), _task("b"), _task("c"), edges=(("b", "c"),)
    )
    _end(model, "a", Outcome.FAILED)
    events = [event for event in model.players[Recipient.SCHEDULER, "e"].events() if "e/a/1" in str(event)]
    assert [type(event).__name__ for event in events] == [
        "TaskScheduled",
        "AllocationReleased",
        "AllocationSettled",
    ]
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_fallback_that_fails_is_the_end_of_its_task() -> None:
    """There is one more round, and not one for ever."""
    model = _begun(_task("a", fallback=Action(AGENT_TYPE)), _task("b"), edges=(("a", "b"),))
    _end(model, "a", Outcome.TIMED_OUT)
    _end(model, "a", Outcome.FAILED)
    model.finish()
    assert [record.status for record in _state(model).tasks.values()] == [S.FAILED, S.SKIPPED]


def test_a_fallback_may_be_of_a_kind_that_only_waits() -> None:
    """Then nothing is asked of the pool."""
    model = _begun(_task("a", fallback=Action("wait", {"seconds": 5})))
    _end(model, "a", Outcome.FAILED)
    assert _state(model).tasks["a"].status is S.WAITING
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_references_of_a_fallback_are_dependencies_and_inputs() -> None:
    """What only the fallback refers to is waited for, and handed to it."""
    action = Action(AGENT_TYPE, {"with": "${source}"})
    model = _begun(_task("source"), _task("a", fallback=action))
    assert [edge.from_task for edge in _state(model).workflow.dependencies] == ["source"]
    _end(model, "source")
    _end(model, "a", Outcome.FAILED)
    start = [msg for _, msg in model.archive if isinstance(msg, m.StartTask)][-1]
    assert list(start.inputs) == ["source"]
    model.finish()


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_fallback_waits_for_a_resume_when_time_is_over(outcome: Outcome) -> None:
    """A task that would have fallen back is cancelled with the others, and tried again after the resume."""
    model = _begun(_task("a", fallback=Action(AGENT_TYPE)), timeout=10.0)
    run = next(iter(model.running))
    model.begin(run)
    model.deliver_all()
    model.tell(Recipient.SCHEDULER, m.TimerFired("e", "timeout"))
    model.now_ms += 10_000
    model.tell(Recipient.SCHEDULER, m.TimerFired("e", "timeout"))
    model.soup.clear()
    model.end(run, outcome)
    model.deliver_all()
    assert _state(model).status is ExecutionState.TIMED_OUT
    assert _state(model).tasks["a"].is_expired
    model.ask(m.ResumeExecution("e", "q"))
    model.deliver_all()
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_a_condition_without_an_answer_ends_everything_too() -> None:
    """A task that fails in front of its first attempt is a failure like any other."""
    tasks = (_task("a"), _task("b", when="a.missing > 0"), _task("c"))
    model = _begun(*tasks, on_failure=OnFailure.FAIL_FAST)
    _end(model, "a")
    assert _state(model).tasks["b"].error.code == "condition_failed"
    assert _state(model).tasks["c"].is_stopping
    model.finish()
    assert _state(model).status is ExecutionState.FAILED
