"""Goal: what has not started goes by the order that was asked for last, and nothing else changes.

Method: four tasks on one core run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.history import FOLDS, packed, unpacked
from talka_core.scheduler.ranking import rank_of
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import ResourceRequirements, Task, Workflow, WorkflowConfig

CORE = ResourceRequirements(cpu_cores=1.0)
FOLD = FOLDS[EXECUTION]
numbers = count(1)


def _model(priorities: dict[str, int], **config: Any) -> Model:
    model = Model({"w1": 1.0})
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE, priority=own) for id_, own in priorities.items())
    model.submit(Workflow("e", "e", tasks, (), WorkflowConfig(**config)))
    model.deliver_all()
    return model


def _ask(model: Model, **fields: Any) -> None:
    model.ask(m.ReprioritizeExecution("e", f"q{next(numbers)}", **fields))
    model.deliver_all()


def _run_all(model: Model) -> list[str]:
    """Let the tasks run one after the other, and return them in the order in which they did."""
    ran: list[str] = []
    while model.running:
        run = next(iter(model.running))
        ran.append(run[2])
        if not model.running[run]:
            model.begin(run)
        model.end(run, Outcome.SUCCEEDED)
        model.deliver_all()
    return ran


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _events(model: Model, kind: type) -> list[Any]:
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [event for commit in commits for _, _, event in commit.events() if isinstance(event, kind)]


def test_what_waits_goes_by_the_new_strategy() -> None:
    """Under breadth_first the order is that of the file; with priority the highest goes first."""
    model = _model({"a": 50, "b": 10, "c": 50, "d": 90}, strategy="breadth_first")
    _ask(model, strategy="priority")
    assert [event.strategy for event in _events(model, e.ExecutionReprioritized)] == ["priority"]
    assert sorted(event.task_id for event in _events(model, e.TaskWithdrawn)) == ["b", "c", "d"]
    assert _run_all(model) == ["a", "d", "c", "b"]
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_what_is_ready_behind_the_parallel_limit_goes_by_it_too() -> None:
    """Tasks that were not yet asked for are ranked anew where they stand."""
    model = _model({"a": 50, "b": 10, "c": 50, "d": 90}, strategy="breadth_first", max_parallel=1)
    _ask(model, strategy="priority")
    assert not _events(model, e.TaskWithdrawn)
    assert _run_all(model) == ["a", "d", "c", "b"]


def test_a_priority_counts_among_executions() -> None:
    """Of two executions the one with the new priority goes first."""
    model = _model({"a": 50, "b": 50})
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE) for id_ in "xy")
    model.submit(Workflow("f", "f", tasks))
    model.deliver_all()
    model.ask(m.ReprioritizeExecution("f", "q", priority=60))
    model.deliver_all()
    assert _run_all(model) == ["a", "x", "y", "b"]


def test_an_order_is_followed() -> None:
    """The order that came with the strategy decides, where something is due."""
    model = _model({"a": 50, "b": 50, "c": 50, "d": 50}, deadline=100.0)
    _ask(model, strategy="deadline", order=(0, 3, 1, 2))
    assert _run_all(model) == ["a", "d", "b", "c"]


def test_a_request_is_heard_once_and_the_same_again_withdraws_nothing() -> None:
    """A repeated request changes nothing, and one for what holds already is only recorded."""
    model = _model({"a": 50, "b": 10, "c": 90})
    request = m.ReprioritizeExecution("e", "same", "breadth_first")
    for _ in range(2):
        model.ask(request)
        model.deliver_all()
    assert len(_events(model, e.ExecutionReprioritized)) == 1
    before = len(_events(model, e.TaskWithdrawn))
    _ask(model, strategy="breadth_first")
    assert len(_events(model, e.ExecutionReprioritized)) == 2
    assert len(_events(model, e.TaskWithdrawn)) == before


def test_a_snapshot_keeps_the_order() -> None:
    """A state that is packed and unpacked ranks as before, tasks that were added included."""
    model = _model({"a": 50, "b": 10, "c": 90}, deadline=50.0)
    _ask(model, strategy="deadline", priority=70, order=(2, 1, 0))
    state = _state(model)
    again = unpacked(FOLD, packed(FOLD, state))
    FOLD.restore(again)
    assert {task_id: rank_of(again, task_id) for task_id in "abc"} == {
        task_id: rank_of(state, task_id) for task_id in "abc"
    }


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"strategy": "prioriti"}, "unknown_strategy", "'priority'"),
        ({"priority": 101}, "bad_priority", "0 to 100"),
        ({"strategy": "deadline", "order": (0, 0, 1)}, "bad_order", "once"),
        ({"order": (0, 1, 2)}, "bad_order", "once"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], code: str, told: str) -> None:
    """A refusal is recorded with its reason, and the order stays as it was."""
    model = _model({"a": 50, "b": 10, "c": 90})
    _ask(model, **fields)
    refused = _events(model, e.RequestRefused)[0]
    assert (refused.request, refused.code) == ("reprioritize", code)
    assert told in refused.message
    assert not _events(model, e.ExecutionReprioritized)


def test_what_is_over_has_no_order() -> None:
    """An execution that has ended refuses."""
    model = _model({"a": 50})
    model.finish()
    _ask(model, priority=1)
    assert [event.code for event in _events(model, e.RequestRefused)] == ["not_running"]


def test_a_commit_cut_short_is_completed() -> None:
    """Where only the first event was stored, the next owner takes the stale requests back."""
    model = _model({"a": 50, "b": 10, "c": 90}, strategy="breadth_first")
    state = _state(model)
    FOLD.evolve(state, e.ExecutionReprioritized("q", "priority"), model.now_ms)
    assert state.tasks["c"].status is TaskStatus.QUEUED
    model.tell(Recipient.SCHEDULER, m.Advance("e"))
    model.deliver_all()
    assert sorted(event.task_id for event in _events(model, e.TaskWithdrawn)) == ["b", "c"]
