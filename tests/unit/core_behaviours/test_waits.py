"""Goal: a task of type ``wait`` holds nothing until its time has come."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.waiting import due_at
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig


def _begun(payload: dict[str, Any]) -> Model:
    tasks = (Task("pause", "wait", payload=payload), Task("after", AGENT_TYPE))
    model = Model({"w1": 8.0})
    config = WorkflowConfig(max_parallel=1)
    model.submit(Workflow("e", "e", tasks, (Dependency("pause", "after"),), config))
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
    model = _begun({"minutes": 3})
    model.finish()
    record = _state(model).tasks["pause"]
    assert (record.status, record.error.code) == (TaskStatus.FAILED, "bad_wait")
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
    assert due_at(payload, 1_000) == expected


@pytest.mark.parametrize(
    "payload", [{}, {"seconds": -1}, {"until": "tomorrow"}, {"until": "2030-01-01T09:00"}]
)
def test_no_time(payload: dict[str, Any]) -> None:
    """What names no instant is refused."""
    with pytest.raises(WorkflowInvalidError):
        due_at(payload, 0)
