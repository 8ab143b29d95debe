"""Goal: a map in a group is undone item by item, after what needed it and before what it needed.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Task, Workflow

S = TaskStatus
UNDO = Action(AGENT_TYPE)


def begun(payload: dict[str, Any] | None = None, **rule: Any) -> Model:
    """Return a group of a task, a map over three items behind it, and a task behind that."""
    tasks = (
        Task("first", AGENT_TYPE, group="g", compensation=UNDO),
        Task(
            "rows",
            AGENT_TYPE,
            group="g",
            dependencies=("first",),
            map=MapOver(["a", "b", "c"], **rule),
            compensation=Action(AGENT_TYPE, payload or {}),
        ),
        Task("last", AGENT_TYPE, group="g", dependencies=("rows",), compensation=UNDO),
    )
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", tasks)))
    model.deliver_all()
    end(model, "first")
    return model


def end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Let a task end; its result names it."""
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(msgspec.json.encode({"of": task_id})))
    model.deliver_all()


def state(model: Model) -> Any:
    """Return the execution's state."""
    return model.players[Recipient.SCHEDULER, "e"].state


def running(model: Model) -> list[str]:
    """Return the tasks that run."""
    return sorted(run[2] for run in model.running)


def statuses(model: Model) -> dict[str, TaskStatus]:
    """Return how the tasks stand that undo nothing."""
    return {id_: record.status for id_, record in state(model).tasks.items() if not record.undoes}


def test_a_failure_behind_a_map_undoes_its_items_and_then_what_was_before() -> None:
    """Each item has a compensation of its own; the map is undone when they all are."""
    model = begun()
    for index in range(3):
        end(model, f"rows[{index}]")
    end(model, "last", Outcome.FAILED)
    undone = [f"undo:rows[{index}]:1" for index in range(3)]
    assert running(model) == undone
    end(model, undone[0])
    end(model, undone[1])
    assert running(model) == [undone[2]]
    end(model, undone[2])
    assert running(model) == ["undo:first:1"]
    model.finish()
    items = {f"rows[{index}]": S.COMPENSATED for index in range(3)}
    assert statuses(model) == {"first": S.COMPENSATED, "rows": S.COMPENSATED, "last": S.FAILED, **items}
    assert state(model).status is ExecutionState.FAILED


@pytest.mark.parametrize("cut", [None, 1, 2, 3, 4, 5])
def test_a_map_that_fails_undoes_what_its_items_did(cut: int | None) -> None:
    """Items that run are stopped first; the map and the item that failed stay failed."""
    model = begun()
    end(model, "rows[0]")
    run = next(run for run in model.running if run[2] == "rows[1]")
    model.begin(run)
    model.end(run, Outcome.FAILED)
    model.deliver(0, cut=cut)
    model.resume(Recipient.WORKER, "w1")
    model.deliver_all()
    assert state(model).tasks["rows[2]"].is_stopping
    assert running(model) == ["rows[2]"]
    end(model, "rows[2]")
    assert running(model) == ["undo:rows[0]:1", "undo:rows[2]:1"]
    model.finish()
    items = {"rows[0]": S.COMPENSATED, "rows[1]": S.FAILED, "rows[2]": S.COMPENSATED}
    assert statuses(model) == {"first": S.COMPENSATED, "rows": S.FAILED, "last": S.SKIPPED, **items}


def test_a_failure_beside_a_map_waits_for_its_items_to_stop() -> None:
    """Nothing is undone while anything of the group may still act."""
    side = Task("side", AGENT_TYPE, group="g")
    rows = Task("rows", AGENT_TYPE, group="g", map=MapOver([1, 2], max_parallel=1), compensation=UNDO)
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", (side, rows))))
    model.deliver_all()
    end(model, "rows[0]")
    assert running(model) == ["rows[1]", "side"]
    end(model, "side", Outcome.FAILED)
    assert running(model) == ["rows[1]"]
    end(model, "rows[1]")
    assert running(model) == ["undo:rows[0]:1", "undo:rows[1]:1"]
    model.finish()
    assert statuses(model)["rows"] is S.COMPENSATED


def test_an_items_compensation_knows_the_item_and_what_it_returned() -> None:
    """The name of the map means the item's own result there."""
    model = begun({"item": "${item}", "at": "${index}", "done": "${rows.of}"})
    for index in range(3):
        end(model, f"rows[{index}]")
    end(model, "last", Outcome.FAILED)
    start = next(start for run, start in model.starts.items() if run[2] == "undo:rows[1]:1")
    assert start.task.payload == {"item": "b", "at": 1, "done": "${rows[1].of}"}
    assert {text: bytes(raw) for text, raw in start.inputs.items()} == {"rows[1].of": b'"rows[1]"'}
    model.finish()


def test_an_item_that_lacks_what_its_compensation_names_fails_the_map_before_anything_runs() -> None:
    """No effect is made that could not be undone."""
    model = begun({"key": "${item.key}"})
    model.deliver_all()
    record = state(model).tasks["rows"]
    assert (record.status, record.error.code) == (S.FAILED, "unresolved_reference")
    model.finish()


def test_item_names_stay_refused_where_there_is_no_map() -> None:
    """A plain task has no item to undo."""
    task = Task("a", AGENT_TYPE, compensation=Action(AGENT_TYPE, {"key": "${item.key}"}))
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("e", "e", (task,)))
    assert refused.value.code == "bad_compensation"


def test_a_restart_runs_the_whole_group_again_under_new_keys() -> None:
    """The items are made anew from the list, each with the key of another round."""
    model = begun()
    for index in range(3):
        end(model, f"rows[{index}]")
    end(model, "last", Outcome.FAILED)
    model.finish()
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="one"))
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED
    rounds = {id_: record.round for id_, record in state(model).tasks.items() if not record.undoes}
    assert rounds == {"first": 2, "rows": 2, "last": 1, "rows[0]": 2, "rows[1]": 2, "rows[2]": 2}
