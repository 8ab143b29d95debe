"""Goal: a task of type ``wait`` holds nothing until its time has come."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.payloads import read
from talka_core.scheduler.waiting import due_at
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig


def _begun(payload: dict[str, Any], *, before: bool = False) -> Model:
    tasks = [Task("pause", "wait", payload=payload), Task("after", AGENT_TYPE)]
    tasks += [Task("before", "wait", payload={"seconds": 0})] if before else []
    model = Model({"w1": 8.0})
    config = WorkflowConfig(max_parallel=1)
    model.submit(Workflow("e", "e", tuple(tasks), (Dependency("pause", "after"),), config))
    while model.soup:
        model.deliver(0)
    return model


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def test_waits_for_its_timer_and_survives_a_takeover() -> None:
    """The task waits until its timer fires, also at the next owner, and then the rest runs."""
    model = _begun({"seconds": 90})
    assert _state(model).tasks["pause"].status is TaskStatus.WAITING
    assert _state(model).active == 0
    model.crash(Recipient.SCHEDULER, "e")
    timer = next(timer for timer in model.timers if timer[2].startswith("wait/"))
    assert model.timers[timer] - _state(model).tasks["pause"].started_at == 90_000
    model.fire(timer)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_wait_that_names_no_time_fails_with_the_reason() -> None:
    """A payload that is wrong at run time is the task's failure, and what needs it is skipped."""
    model = _begun({"seconds": "${before}"}, before=True)
    model.finish()
    record = _state(model).tasks["pause"]
    assert (record.status, record.error.code) == (TaskStatus.FAILED, "bad_payload")
    assert _state(model).tasks["after"].status is TaskStatus.SKIPPED


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"seconds": 1.5}, 2_500),
        ({"until": 12.25}, 12_250),
        ({"until": "1970-01-01T01:00:09+01:00"}, 9_000),
    ],
)
def test_due_time(payload: dict[str, Any], expected: int) -> None:
    """Seconds count from now, an instant is taken as it is, with its offset."""
    assert due_at(read("wait", payload), 1_000) == expected


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({}, ()),
        ({"seconds": 1, "until": 2}, ()),
        ({"minutes": 3}, ("minutes",)),
        ({"seconds": -1}, ("seconds",)),
        ({"seconds": True}, ("seconds",)),
        ({"seconds": "5"}, ("seconds",)),
        ({"seconds": 1e12}, ("seconds",)),
        ({"until": 1e300}, ("until",)),
        ({"until": "tomorrow"}, ("until",)),
        ({"until": "2030-01-01T09:00"}, ("until",)),
    ],
)
def test_payload_that_names_no_time_is_refused_with_its_place(
    payload: dict[str, Any], place: tuple[str, ...]
) -> None:
    """Nothing of a workflow is stored when one of its waits can never end as it says."""
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("e", "e", (Task("pause", "wait", payload=payload),)))
    assert refused.value.code == "bad_payload"
    assert refused.value.path == ("tasks", 0, "payload", *place)


@pytest.mark.parametrize("agent_type", ["wait", "signal", "approval"])
def test_time_out_of_an_attempt_is_refused(agent_type: str) -> None:
    """What nobody runs has no attempt to stop: the hint says where the limit belongs."""
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("e", "e", (Task("pause", agent_type, timeout=5.0),)))
    assert refused.value.path == ("tasks", 0, "timeout_seconds")
    assert "payload" in refused.value.hint


@pytest.mark.parametrize("payload", [{"seconds": "${other.s}"}, {"until": "${other.day}T09:00:00+01:00"}])
def test_reference_may_stand_for_a_time(payload: dict[str, Any]) -> None:
    """What a reference brings is known only when the task begins to wait."""
    check(Workflow("e", "e", (Task("pause", "wait", payload=payload), Task("other", AGENT_TYPE))))
