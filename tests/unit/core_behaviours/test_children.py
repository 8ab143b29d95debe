"""Goal: a task of type ``workflow`` runs an execution of its own and ends as that did, whatever is lost.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.waiting import child_id
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Join, MapOver
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import INLINE_BYTES_MAX, Task, Workflow

CHILD = child_id("e", "sub", 1)


def _child(*tasks: Task, **inputs: Any) -> Workflow:
    return Workflow("child", "child", tasks or (Task("inner", AGENT_TYPE),), inputs=inputs)


def _sub(child: Workflow, **options: Any) -> Task:
    return Task("sub", "workflow", workflow=child, **options)


def _begun(*tasks: Task) -> Model:
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", tasks)))
    model.deliver_all()
    return model


def _end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def _state(model: Model, execution_id: str = "e") -> Any:
    return model.players[Recipient.SCHEDULER, execution_id].state


def test_task_ends_with_its_sub_workflow() -> None:
    """The child is an execution of its own that knows its parent; its results are the task's result."""
    model = _begun(_sub(_child()), Task("after", AGENT_TYPE, dependencies=("sub",)))
    task = _state(model).tasks["sub"]
    assert (task.status, task.awaited, task.is_child_started) == (TaskStatus.WAITING, CHILD, True)
    assert _state(model, CHILD).parent.execution_id == "e"
    assert _state(model, CHILD).status is ExecutionState.RUNNING
    _end(model, "inner")
    assert _state(model).tasks["sub"].status is TaskStatus.SUCCEEDED
    assert msgspec.json.decode(_state(model).tasks["sub"].result) == {"inner": None}
    assert _state(model, CHILD).is_parent_informed
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"inputs": {"n": "${first.result}"}}, {"ask": {"question": "4 ${first}, x", "choices": ["go"]}}),
        ({"inputs": {"n": 3, "s": "y"}, "output": "ask"}, {"ask": {"question": "3, y", "choices": ["go"]}}),
    ],
)
def test_inputs_are_put_in_when_the_child_begins(payload: dict[str, Any], expected: dict[str, Any]) -> None:
    """Values come from results, defaults fill the rest, and what is put in is never a reference again."""
    ask = {"question": "${input.n}, ${input.s}", "choices": ["go"]}
    child = _child(Task("ask", "approval", payload=ask), n=None, s="x")
    first = Task("first", "signal", payload={"name": "first"})
    model = _begun(first, _sub(child, payload=payload, dependencies=("first",)))
    data = Raw(msgspec.json.encode({"result": "4 ${first}"}))
    model.tell(Recipient.SCHEDULER, m.SignalExecution("e", "first", "s1", data))
    model.deliver_all()
    asked = msgspec.json.decode(_state(model, CHILD).tasks["ask"].asked)
    assert asked == {**expected["ask"], "assignees": []}
    model.tell(Recipient.SCHEDULER, m.AnswerApproval(CHILD, "ask", "go"))
    model.finish()
    result = msgspec.json.decode(_state(model).tasks["sub"].result)
    assert (result if "output" in payload else result["ask"])["choice"] == "go"


def test_failed_child_fails_the_task_with_its_id() -> None:
    """The error names the execution to look at, and the task in it."""
    model = _begun(_sub(_child()))
    _end(model, "inner", Outcome.FAILED)
    error = _state(model).tasks["sub"].error
    assert error.code == "child_failed"
    assert CHILD in error.message
    assert "inner" in error.message
    model.finish()


def test_retry_is_another_child() -> None:
    """Each attempt is an execution of its own."""
    model = _begun(_sub(_child(), retries=1))
    _end(model, "inner", Outcome.FAILED)
    assert _state(model).tasks["sub"].status is TaskStatus.RETRYING
    model.finish()
    assert _state(model, child_id("e", "sub", 2)).status is ExecutionState.SUCCEEDED
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_cancel_reaches_the_children_and_waits_for_them() -> None:
    """The parent is not over while a child is open, and a grandchild is cancelled through its parent."""
    model = _begun(_sub(_child(Task("sub", "workflow", workflow=_child()))))
    grandchild = child_id(CHILD, "sub", 1)
    model.tell(Recipient.SCHEDULER, m.CancelExecution("e", "enough"))
    assert _state(model).status is ExecutionState.RUNNING
    model.deliver_all()
    assert _state(model, grandchild).is_cancelling
    model.finish()
    for execution_id in ("e", CHILD, grandchild):
        assert _state(model, execution_id).status is ExecutionState.CANCELLED


def test_cancel_before_the_child_has_begun_reaches_it_later() -> None:
    """Whether the planner has the submission cannot be known, so the child begins and is then stopped."""
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", (_sub(_child()),))))
    while (Recipient.SCHEDULER, "e") not in model.players or not _state(model).tasks:
        model.deliver(0)
    model.soup.clear()
    model.tell(Recipient.SCHEDULER, m.CancelExecution("e"))
    for _ in range(2):
        model.resume(Recipient.SCHEDULER, "e")
        model.deliver_all()
    model.finish()
    assert _state(model, CHILD).status is ExecutionState.CANCELLED
    assert _state(model).status is ExecutionState.CANCELLED


def test_loser_of_a_join_is_stopped_with_its_child() -> None:
    """A sub-workflow that nobody needs any more is cancelled, and nothing went wrong."""
    end = Task("end", AGENT_TYPE, join=Join.FIRST, dependencies=("sub", "quick"))
    model = _begun(_sub(_child()), Task("quick", AGENT_TYPE), end)
    _end(model, "quick")
    model.finish()
    assert _state(model, CHILD).status is ExecutionState.CANCELLED
    assert _state(model).tasks["sub"].status is TaskStatus.CANCELLED
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_repeated_and_stale_reports_are_answered_and_change_nothing() -> None:
    """A report of another attempt is settled, so that its child does not repeat it for ever."""
    model = _begun(_sub(_child()))
    stale = m.ChildFinished("e", "sub", 7, "other", ExecutionState.SUCCEEDED)
    model.tell(Recipient.SCHEDULER, stale)
    assert (Recipient.SCHEDULER, m.SettleChild("other")) in model.soup
    assert _state(model).tasks["sub"].status is TaskStatus.WAITING
    model.soup.clear()
    model.finish()


def test_results_that_do_not_fit_are_left_out() -> None:
    """The first ones that fit into an event together are passed on; one named as output always is."""
    size = INLINE_BYTES_MAX // 2
    child = _child(*(Task(id_, "signal", payload={"name": id_}) for id_ in ("a", "b", "c")))
    model = _begun(_sub(child))
    for name in ("a", "b", "c"):
        data = Raw(msgspec.json.encode("x" * (size if name != "c" else 10)))
        model.tell(Recipient.SCHEDULER, m.SignalExecution(CHILD, name, name, data))
    model.finish()
    assert list(msgspec.json.decode(_state(model).tasks["sub"].result)) == ["a", "c"]


def test_child_that_the_planner_refuses_fails_the_task() -> None:
    """What only the planner sees is the task's failure, and the child is settled like any other."""
    model = Model({"w1": 8.0})
    child = _child(Task("inner", "wait", payload={"seconds": "${input.s}"}), s=1)
    model.submit(check(Workflow("e", "e", (_sub(child, payload={"inputs": {"s": -5}}),))))
    model.finish()
    error = _state(model).tasks["sub"].error
    assert error.code == "child_failed"
    assert "must be a number" in error.message
    assert _state(model, CHILD).status is ExecutionState.REJECTED


def test_map_runs_a_sub_workflow_for_each_item() -> None:
    """Each item of a map is a task of its own, and so is its sub-workflow."""
    child = _child(Task("ask", "approval", payload={"question": "${input.what}?"}), what=None)
    payload = {"inputs": {"what": "${item}"}, "output": "ask"}
    model = _begun(_sub(child, map=MapOver(["corn", "beans"]), payload=payload))
    for index, what in enumerate(("corn", "beans")):
        inner = child_id("e", f"sub[{index}]", 1)
        assert msgspec.json.decode(_state(model, inner).tasks["ask"].asked)["question"] == f"{what}?"
        model.tell(Recipient.SCHEDULER, m.AnswerApproval(inner, "ask", "approve", what))
    model.finish()
    result = msgspec.json.decode(_state(model).tasks["sub"].result)
    assert [item["by"] for item in result] == ["corn", "beans"]


def test_rollback_stops_the_sub_workflow_first_and_starts_another() -> None:
    """Nothing is undone or started again while a sub-workflow that is to be undone is open."""
    model = _begun(Task("first", AGENT_TYPE), _sub(_child(), dependencies=("first",)))
    _end(model, "first")
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("e", task_id="first", request_id="r"))
    assert _state(model).is_rolling_back
    assert _state(model).tasks["sub"].status is TaskStatus.WAITING
    model.crash(Recipient.SCHEDULER, "e")
    model.deliver_all()
    assert _state(model).is_rolling_back
    model.finish()
    again = child_id("e", "sub", _state(model).tasks["sub"].attempt)
    assert _state(model, CHILD).status is ExecutionState.ROLLED_BACK
    assert again != CHILD
    assert _state(model, again).status is ExecutionState.SUCCEEDED
    assert _state(model).status is ExecutionState.SUCCEEDED
