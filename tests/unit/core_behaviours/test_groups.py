"""Goal: the members of a group succeed together, or what they did is undone in reverse order.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig

S = TaskStatus
EDGES = (Dependency("flight", "hotel"), Dependency("flight", "car"), Dependency("flight", "letter"))


def _workflow() -> Workflow:
    """Return a trip of three bookings in one group, and a letter that needs the first of them."""
    undo = Action(AGENT_TYPE)
    trip = [
        Task(id_, AGENT_TYPE, group="trip", compensation=undo) for id_ in ("flight", "hotel", "car", "bus")
    ]
    return check(Workflow("e", "e", (*trip, Task("letter", AGENT_TYPE)), EDGES))


def _begun() -> Model:
    model = Model({"w1": 8.0})
    model.submit(_workflow())
    model.deliver_all()
    return model


def _end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _statuses(model: Model) -> dict[str, TaskStatus]:
    return {id_: record.status for id_, record in _state(model).tasks.items() if not record.undoes}


def test_who_needs_a_member_waits_for_the_whole_group() -> None:
    """An edge from each other member is added, and says why."""
    found = {edge.from_task: edge.reason for edge in _workflow().dependencies if edge.to_task == "letter"}
    assert found == {
        "flight": "declared",
        "hotel": "group trip",
        "car": "group trip",
        "bus": "group trip",
    }


def test_all_succeed_together() -> None:
    """Nothing is undone when every member succeeds, and what waits for the group runs."""
    model = _begun()
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert not [id_ for id_ in _state(model).tasks if id_.startswith("undo:")]


@pytest.mark.parametrize("cut", [None, 1, 2, 3, 4])
def test_failure_of_one_undoes_the_others(cut: int | None) -> None:
    """The rest is stopped or skipped, what was done is undone in reverse, and the culprit stays failed."""
    model = _begun()
    _end(model, "flight")
    _end(model, "hotel")
    run = next(run for run in model.running if run[2] == "car")
    model.end(run, Outcome.FAILED)
    model.deliver(0, cut=cut)
    if cut is not None:
        model.resume(Recipient.WORKER, "w1")
    model.deliver_all()
    assert _state(model).tasks["bus"].is_stopping
    _end(model, "bus")
    assert sorted(run[2] for run in model.running) == ["undo:bus:1", "undo:hotel:1"]
    _end(model, "undo:bus:1")
    assert [run[2] for run in model.running] == ["undo:hotel:1"]
    _end(model, "undo:hotel:1")
    assert [run[2] for run in model.running] == ["undo:flight:1"]
    model.finish()
    undone = dict.fromkeys(("flight", "hotel", "bus"), S.COMPENSATED)
    assert _statuses(model) == {**undone, "car": S.FAILED, "letter": S.SKIPPED}
    assert _state(model).status is ExecutionState.FAILED


def test_restart_tries_the_whole_group_again() -> None:
    """What was undone runs again under a new key, with the member that failed."""
    model = _begun()
    _end(model, "flight")
    _end(model, "car", Outcome.FAILED)
    model.finish()
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="one"))
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED
    assert (_state(model).tasks["flight"].round, _state(model).tasks["car"].round) == (2, 1)


def test_group_around_a_stranger_is_refused() -> None:
    """A task between two members would wait for the group, which waits for it."""
    tasks = (
        Task("first", AGENT_TYPE, group="g"),
        Task("stranger", AGENT_TYPE, dependencies=("first",)),
        Task("last", AGENT_TYPE, group="g", dependencies=("stranger",)),
    )
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("e", "e", tasks))
    assert refused.value.code == "cycle"
    assert "group g" in str(refused.value)


def test_members_that_never_began_are_skipped_once_each() -> None:
    """However many members wait for their turn behind the one that fails, each is skipped by one event."""
    members = tuple(Task(id_, AGENT_TYPE, group="g") for id_ in "abcdef")
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", members, config=WorkflowConfig(max_parallel=1))))
    model.deliver_all()
    _end(model, "a", Outcome.FAILED)
    model.finish()
    assert _statuses(model) == {"a": S.FAILED, **dict.fromkeys("bcdef", S.SKIPPED)}
    assert _state(model).unfinished == 0
