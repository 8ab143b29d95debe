"""Goal: one task can be cancelled alone; to the others it has failed, and nothing of it runs any more.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.forking import origin_of
from talka_core.scheduler.waiting import child_id
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, Loop, MapOver, OnFailure
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ResourceRequirements, Task, Workflow, WorkflowConfig

S = TaskStatus
CORE = ResourceRequirements(cpu_cores=1.0)
numbers = count(1)


def _begun(*tasks: Task, cores: float = 2.0, **config: Any) -> Model:
    model = Model({"w1": cores})
    model.submit(check(Workflow("e", "e", tasks, config=WorkflowConfig(**config))))
    model.deliver_all()
    return model


def _task(id_: str, *needs: str, **options: Any) -> Task:
    return Task(id_, AGENT_TYPE, resources=CORE, dependencies=needs, **options)


def _cancel(model: Model, task_id: str, **fields: Any) -> None:
    model.ask(m.CancelSingleTask("e", f"q{next(numbers)}", task_id, **fields))
    model.deliver_all()


def _end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def _state(model: Model, execution_id: str = "e") -> Any:
    return model.players[Recipient.SCHEDULER, execution_id].state


def _statuses(model: Model) -> dict[str, TaskStatus]:
    return {task_id: record.status for task_id, record in _state(model).tasks.items()}


def _refusals(model: Model) -> list[str]:
    events = model.players[Recipient.SCHEDULER, "e"].events()
    return [event.code for event in events if isinstance(event, e.RequestRefused)]


def _stops(model: Model) -> list[bool]:
    return [message.is_forced for _, message in model.archive if isinstance(message, m.CancelTask)]


def test_what_has_not_begun_ends_at_once() -> None:
    """A pending and a queued task end, their requests are taken back, and what needs them is skipped."""
    model = _begun(_task("a"), _task("b"), _task("c", "a"), _task("d", "c"), cores=1.0)
    _cancel(model, "c", reason="not today")
    _cancel(model, "b")
    assert _statuses(model) == {"a": S.SCHEDULED, "b": S.CANCELLED, "c": S.CANCELLED, "d": S.SKIPPED}
    pool = model.players[Recipient.RESOURCE, "default"].state
    assert not pool.waiting
    assert _state(model).tasks["c"].error.message == "Somebody cancelled this task alone: not today"
    model.finish()
    assert (_state(model).status, _state(model).failed) == (ExecutionState.FAILED, ["c", "b"])


def test_what_runs_is_asked_to_end_and_then_killed() -> None:
    """The worker is asked once, then told to kill; the report ends the task and it is not tried again."""
    model = _begun(_task("a", retries=5, fallback=Action(AGENT_TYPE)), _task("b", "a"), _task("c"))
    _cancel(model, "a")
    assert (_statuses(model)["a"], _stops(model)) == (S.SCHEDULED, [False])
    _cancel(model, "a", is_forced=True)
    _cancel(model, "a", is_forced=True)
    assert _stops(model) == [False, True]
    _end(model, "a", Outcome.FAILED)
    assert _statuses(model) == {"a": S.CANCELLED, "b": S.SKIPPED, "c": S.SCHEDULED}
    model.finish()
    assert _statuses(model)["c"] is S.SUCCEEDED


def test_an_attempt_that_fails_while_it_is_stopped_is_the_last() -> None:
    """A failure that is reported before the worker heard of the request is neither retried nor replaced."""
    model = _begun(_task("a", retries=5, fallback=Action(AGENT_TYPE)))
    run = next(iter(model.running))
    model.begin(run)
    model.deliver_all()
    model.tell(Recipient.SCHEDULER, m.CancelSingleTask("e", "q", "a"))
    report = m.AttemptFinished("e", "a", 1, "w1", model.now_ms, model.now_ms, Outcome.FAILED)
    model.tell(Recipient.SCHEDULER, report)
    assert _statuses(model)["a"] is S.FAILED


def test_one_that_waits_for_another_attempt_ends() -> None:
    """Between two attempts, and between two rounds of a loop, nothing has to be stopped."""
    loop = Loop(until="result == 1", max_iterations=3, delay_seconds=5.0)
    model = _begun(_task("a", retries=1), _task("b", loop=loop))
    _end(model, "a", Outcome.FAILED)
    _end(model, "b")
    assert set(_statuses(model).values()) == {S.RETRYING}
    _cancel(model, "a")
    _cancel(model, "b")
    assert set(_statuses(model).values()) == {S.CANCELLED}
    assert _state(model).status is ExecutionState.FAILED


@pytest.mark.parametrize(
    ("rule", "others", "ends"),
    [
        (OnFailure.SKIP, [S.SKIPPED, S.SUCCEEDED], ExecutionState.FAILED),
        (OnFailure.CONTINUE, [S.SUCCEEDED, S.SUCCEEDED], ExecutionState.PARTIAL),
        (OnFailure.FAIL_FAST, [S.CANCELLED, S.CANCELLED], ExecutionState.FAILED),
    ],
)
def test_others_follow_the_rule_for_failures(
    rule: OnFailure, others: list[TaskStatus], ends: ExecutionState
) -> None:
    """What needs the task is skipped, goes on, or everything ends, as its ``on_failure`` says."""
    model = _begun(_task("a", on_failure=rule), _task("b", "a"), _task("c"), _task("d", "c"), cores=1.0)
    _cancel(model, "a")
    for run in list(model.running):
        if model.running[run]:
            model.end(run, Outcome.CANCELLED)
    model.deliver_all()
    model.finish()
    assert _state(model).tasks["a"].status is S.CANCELLED
    assert [_statuses(model)["b"], _statuses(model)["d"]] == others
    assert _state(model).status is ends


def test_it_uses_up_what_is_tolerated() -> None:
    """One cancelled task is one failure: tolerated, the execution is partly successful."""
    model = _begun(_task("a"), _task("b"), tolerated_failures=1)
    _cancel(model, "a")
    _end(model, "a", Outcome.CANCELLED)
    model.finish()
    assert _state(model).status is ExecutionState.PARTIAL


def test_its_sub_workflow_ends_with_it() -> None:
    """The sub-workflow is asked to stop, by force if need be, and the task ends when that has."""
    child = Workflow("child", "child", (Task("inner", AGENT_TYPE),))
    model = _begun(Task("sub", "workflow", workflow=child), _task("after", "sub"))
    _cancel(model, "sub")
    assert (_statuses(model)["sub"], _stops(model)) == (S.WAITING, [False])
    _cancel(model, "sub", is_forced=True)
    assert _stops(model) == [False, True]
    _end(model, "inner", Outcome.CANCELLED)
    assert _state(model, child_id("e", "sub", 1)).status is ExecutionState.CANCELLED
    assert _statuses(model) == {"sub": S.CANCELLED, "after": S.SKIPPED}
    model.finish()


def test_a_map_ends_with_its_items() -> None:
    """Items that run are stopped, the rest does not begin, and only the map counts as failed."""
    rule = MapOver([1, 2, 3], max_parallel=2)
    model = _begun(Task("m", AGENT_TYPE, map=rule), _task("after", "m"), tolerated_failures=1)
    _cancel(model, "m")
    for item in ("m[0]", "m[1]"):
        _end(model, item, Outcome.CANCELLED)
    items = {"m[0]": S.CANCELLED, "m[1]": S.CANCELLED}
    assert _statuses(model) == {"m": S.CANCELLED, "after": S.SKIPPED, **items}
    assert _state(model).failed == ["m"]
    model.finish()


@pytest.mark.parametrize(("tolerated", "ends"), [(0, S.FAILED), (1, S.SUCCEEDED)])
def test_an_item_is_one_of_the_maps_failures(tolerated: int, ends: TaskStatus) -> None:
    """A cancelled item counts against what its map tolerates, and its place in the result is null."""
    rule = MapOver([1, 2], tolerated_failures=tolerated)
    model = _begun(Task("m", AGENT_TYPE, map=rule))
    _cancel(model, "m[0]")
    _end(model, "m[0]", Outcome.CANCELLED)
    model.finish()
    assert _statuses(model)["m"] is ends
    record = _state(model).tasks["m"]
    if tolerated:
        assert msgspec.json.decode(record.result) == [None, None]
        assert _state(model).status is ExecutionState.PARTIAL
    else:
        assert "1 of 2 items failed" in record.error.message
        assert "Somebody cancelled this task alone" in record.error.message


def test_a_paused_execution_lets_a_task_go() -> None:
    """Nothing begins because of it before the execution is resumed."""
    model = _begun(_task("a", on_failure=OnFailure.CONTINUE), _task("b", "a"), _task("c"), cores=1.0)
    model.ask(m.PauseExecution("e", "pause"))
    model.deliver_all()
    _cancel(model, "c")
    _cancel(model, "b")
    assert (_statuses(model)["b"], _statuses(model)["c"]) == (S.CANCELLED, S.CANCELLED)
    model.finish()


def test_refusals_say_what_is_wrong_and_repeats_do_nothing() -> None:
    """An unknown or ended task, and an ended execution, refuse by an event; an id is heard once."""
    model = _begun(_task("a"), _task("b"))
    _end(model, "a")
    _cancel(model, "none")
    _cancel(model, "a")
    assert _refusals(model) == ["unknown_task", "task_over"]
    request = m.CancelSingleTask("e", "same", "b")
    model.tell(Recipient.SCHEDULER, request)
    version = _state(model).version
    model.tell(Recipient.SCHEDULER, request)
    assert _state(model).version == version
    model.finish()
    _cancel(model, "b")
    assert _refusals(model) == ["unknown_task", "task_over", "not_running"]


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("task_id", ["a", "b", "c", "m"])
def test_a_commit_cut_short_is_completed(task_id: str, cut: int) -> None:
    """Whoever folds a request that was stored alone carries it out, by force if it was meant so."""
    map_ = Task("m", AGENT_TYPE, map=MapOver([1, 2]), resources=CORE)
    model = _begun(_task("a"), _task("b"), _task("c", "a"), map_, cores=1.0)
    model.tell(Recipient.SCHEDULER, m.CancelSingleTask("e", "q", task_id, is_forced=True), cut)
    model.deliver_all()
    record = _state(model).tasks[task_id]
    assert record.status is S.CANCELLED or record.is_forced
    model.finish()


def test_the_time_limit_does_not_bring_it_back() -> None:
    """An execution that ran out of time and is resumed goes on without the task."""
    model = _begun(_task("a"), _task("b"), timeout=60.0)
    _cancel(model, "a")
    model.fire((Recipient.SCHEDULER, "e", "timeout"))
    model.deliver_all()
    for run in list(model.running):
        model.end(run, Outcome.CANCELLED)
    model.deliver_all()
    assert _state(model).status is ExecutionState.TIMED_OUT
    model.ask(m.ResumeExecution("e", "again", limit_ms=60_000))
    model.deliver_all()
    model.finish()
    assert _statuses(model) == {"a": S.CANCELLED, "b": S.SUCCEEDED}


def test_a_restart_runs_it_again_and_a_fork_keeps_its_end() -> None:
    """It was its own end: a fork takes it over as a failure, and a restart of the task forgets it."""
    model = _begun(_task("a", on_failure=OnFailure.CONTINUE), _task("b", "a"), tolerated_failures=1)
    _cancel(model, "a")
    _end(model, "a", Outcome.CANCELLED)
    model.finish()
    origin = origin_of(_state(model))
    assert [(adopted.task_id, adopted.status) for adopted in origin.tasks] == [
        ("a", S.CANCELLED),
        ("b", S.SUCCEEDED),
    ]
    workflow = msgspec.structs.replace(_state(model).workflow, id="f")
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("f", workflow, origin=origin))
    model.deliver_all()
    fork = _state(model, "f")
    assert (fork.status, fork.failed, fork.tasks["a"].is_failure) == (ExecutionState.PARTIAL, ["a"], True)
    model.ask(m.RestartExecution("e", from_task="a", request_id="again"))
    model.deliver_all()
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
