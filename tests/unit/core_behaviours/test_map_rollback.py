"""Goal: a map that is rolled back or restarted keeps the items that had ended, and runs the others again.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.names import effect_key
from talka_core.scheduler.plans import planned
from talka_core.validation import check
from talka_protocols import messages as m
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver, Then
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Task, Workflow

S, X = TaskStatus, ExecutionState
UNDO = Action(AGENT_TYPE, {"undo": True}, retries=1)


def begun(*more: Task, **rule: Any) -> Model:
    """Return an execution in which a map over five items runs."""
    model = Model({"w1": 16.0})
    rows = Task("rows", AGENT_TYPE, map=MapOver([0, 1, 2, 3, 4], **rule), compensation=UNDO)
    model.submit(check(Workflow("e", "e", (rows, *more))))
    deliver_all(model)
    return model


def deliver_all(model: Model) -> None:
    """Deliver until nothing is on its way."""
    model.deliver_all()


def end(model: Model, index: int, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Let an item end; its result tells which attempt it was."""
    run = next(run for run in model.running if run[2] == f"rows[{index}]")
    model.begin(run)
    model.end(run, outcome, Raw(msgspec.json.encode([index, run[3]])))
    deliver_all(model)


def end_all(model: Model) -> None:
    """Let items end with their results until none runs."""
    while items := [run for run in model.running if run[2].startswith("rows[")]:
        end(model, int(items[0][2][5:-1]))


def state(model: Model) -> Any:
    """Return the execution's state."""
    return model.players[Recipient.SCHEDULER, "e"].state


def running(model: Model) -> list[str]:
    """Return what runs, by task id."""
    return sorted(run[2] for run in model.running)


def back(model: Model, to: int, then: Then = Then.CONTINUE) -> None:
    """Go back and let all that is undone be undone, but nothing that runs again."""
    request = m.RollBackExecution("e", to, then=then, request_id=f"r{state(model).version}")
    model.tell(Recipient.SCHEDULER, request)
    deliver_all(model)
    while state(model).is_rolling_back:
        run = next(iter(model.running))
        model.begin(run)
        model.end(run, Outcome.SUCCEEDED)
        deliver_all(model)


def result(model: Model) -> Any:
    """Return the map's result: item and attempt of each."""
    return msgspec.json.decode(state(model).tasks["rows"].result)


@pytest.mark.parametrize("is_over", [False, True])
def test_keeps_items_that_had_ended(is_over: bool) -> None:
    """Items 1 and 3 had succeeded at the event, so the others alone run again, under other keys."""
    model = begun()
    end(model, 1)
    end(model, 3)
    to = state(model).version
    end(model, 0)
    if is_over:
        end_all(model)
    plan = planned(state(model), m.RollBackExecution("e", to))
    assert plan.kept == ("rows[1]", "rows[3]")
    assert plan.resumed == ("rows",)
    assert set(plan.again) == {"rows", "rows[0]", "rows[2]", "rows[4]"}
    back(model, to)
    assert running(model) == ["rows[0]", "rows[2]", "rows[4]"]
    assert state(model).tasks["rows"].status is S.WAITING
    assert effect_key(state(model), "rows[0]") == "e/rows[0]/2"
    assert effect_key(state(model), "rows[1]") == ""
    end_all(model)
    assert [item[0] for item in result(model)] == [0, 1, 2, 3, 4]
    assert [item[1] for item in result(model)] == [2, 1, 2, 1, 2]
    model.finish()
    assert state(model).status is X.SUCCEEDED


def test_limit_holds_and_what_ran_at_the_event_runs_first() -> None:
    """The items that ran at the event are the first to run again, never more of them than may."""
    model = begun(max_parallel=2)
    end(model, 1)
    assert running(model) == ["rows[0]", "rows[2]"]
    to = state(model).version
    end(model, 0)
    end(model, 2)
    assert running(model) == ["rows[3]", "rows[4]"]
    back(model, to)
    assert running(model) == ["rows[0]", "rows[2]"]
    end_all(model)
    assert [item[0] for item in result(model)] == [0, 1, 2, 3, 4]


def test_before_the_first_item_ended_it_runs_again_as_a_whole() -> None:
    """Nothing is kept, so the map begins anew with the list as it then is."""
    model = begun()
    to = state(model).version
    end(model, 0)
    back(model, to)
    assert state(model).tasks["rows"].attempt == 2
    assert state(model).tasks["rows[4]"].status is not S.PENDING
    assert running(model) == ["rows[0]", "rows[1]", "rows[2]", "rows[3]"]
    model.finish()


def test_item_that_had_failed_has_failed() -> None:
    """What had ended keeps its end, and counts among the failures that are tolerated."""
    model = begun(tolerated_failures=1)
    end(model, 0, Outcome.FAILED)
    to = state(model).version
    end(model, 1)
    back(model, to)
    assert running(model) == ["rows[1]", "rows[2]", "rows[3]", "rows[4]"]
    end(model, 1, Outcome.FAILED)
    model.finish()
    assert state(model).tasks["rows"].error.code == "map_failed"


def test_stopped_there_and_restarted_keeps_them_too() -> None:
    """A restart of what did not succeed takes the map up where it stands."""
    model = begun()
    end(model, 1)
    to = state(model).version
    end(model, 0)
    back(model, to, Then.STOP)
    assert state(model).tasks["rows"].status is S.COMPENSATED
    assert state(model).tasks["rows[1]"].status is S.SUCCEEDED
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="again"))
    deliver_all(model)
    assert running(model) == ["rows[0]", "rows[2]", "rows[3]", "rows[4]"]
    end_all(model)
    assert [item[1] for item in result(model)] == [2, 1, 2, 2, 2]


def test_restart_of_a_failed_map_keeps_what_succeeded() -> None:
    """Only the items that failed or were cancelled run again."""
    model = begun()
    end(model, 1)
    end(model, 0, Outcome.FAILED)
    model.finish()
    assert state(model).status is X.FAILED
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="again"))
    deliver_all(model)
    while undoing := [run for run in model.running if run[2].startswith("undo:")]:
        model.begin(undoing[0])
        model.end(undoing[0], Outcome.SUCCEEDED)
        deliver_all(model)
    assert "rows[1]" not in running(model)
    end_all(model)
    assert [item[0] for item in result(model)] == [0, 1, 2, 3, 4]
    assert result(model)[1] == [1, 1]
    assert state(model).status is X.SUCCEEDED


def test_restart_from_the_map_runs_all_of_it() -> None:
    """Who names the map wants the whole of it again."""
    model = begun()
    end_all(model)
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", "rows", request_id="again"))
    model.finish()
    assert {r.round for t, r in state(model).tasks.items() if t.startswith("rows[")} == {2}


def test_restart_behind_what_runs_again_keeps_nothing() -> None:
    """The list may be another one then."""
    model = Model({"w1": 16.0})
    source = Task("source", AGENT_TYPE)
    rows = Task("rows", AGENT_TYPE, map=MapOver("${source.list}"))
    model.submit(check(Workflow("e", "e", (source, rows))))
    for numbers in ([1, 2, 3], [1, 2]):
        deliver_all(model)
        run = next(run for run in model.running if run[2] == "source")
        model.begin(run)
        extracts = {"source.list": Raw(msgspec.json.encode(numbers))}
        model.end(run, Outcome.SUCCEEDED, Raw(msgspec.json.encode({"list": numbers})), extracts=extracts)
        deliver_all(model)
        end_all(model)
        assert len(result(model)) == len(numbers)
        model.tell(Recipient.SCHEDULER, m.RestartExecution("e", "source", request_id=f"{len(numbers)}"))


def test_second_rollback_to_the_same_event() -> None:
    """What was kept once is kept again."""
    model = begun()
    end(model, 2)
    to = state(model).version
    for _ in range(2):
        end(model, 0)
        back(model, to)
        assert running(model) == ["rows[0]", "rows[1]", "rows[3]", "rows[4]"]
        assert f"undo:rows:{state(model).tasks['rows'].round - 1}" in state(model).tasks
    model.finish()
    assert state(model).tasks["rows[2]"].attempt == 1
    assert state(model).tasks["rows[0]"].round == 3


def test_items_are_undone_between_what_needed_the_map_and_what_that_needed() -> None:
    """All items go after what came behind the map, and before what it needed."""
    model = Model({"w1": 16.0})
    rows = Task("rows", AGENT_TYPE, map=MapOver([0, 1]), compensation=UNDO, dependencies=("before",))
    before = Task("before", AGENT_TYPE, compensation=UNDO)
    behind = Task("behind", AGENT_TYPE, compensation=UNDO, dependencies=("rows",))
    model.submit(check(Workflow("e", "e", (before, rows, behind))))
    model.finish()
    assert planned(state(model), m.RollBackExecution("e", 1)).compensated == (
        "behind",
        "rows[0]",
        "rows[1]",
        "before",
    )
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("e", 1, then=Then.STOP, request_id="r"))
    deliver_all(model)
    for expected in (["undo:behind:1"], ["undo:rows[0]:1", "undo:rows[1]:1"], ["undo:before:1"]):
        assert running(model) == expected
        for run in list(model.running):
            model.begin(run)
            model.end(run, Outcome.SUCCEEDED)
            deliver_all(model)
    assert state(model).status is X.ROLLED_BACK
    assert state(model).tasks["rows"].status is S.COMPENSATED


def test_paused_item_comes_back_unpaused() -> None:
    """An item that leaves the graph and comes back is a new task, which the plan does not hide."""
    model = begun(max_parallel=2)
    end(model, 1)
    model.tell(Recipient.SCHEDULER, m.PauseExecution("e", "p", "rows[0]"))
    to = state(model).version
    end(model, 2)
    plan = planned(state(model), m.RollBackExecution("e", to))
    assert (plan.resumed, plan.paused, plan.removed) == (("rows",), (), ("rows[3]",))
    back(model, to)
    assert running(model) == ["rows[0]", "rows[2]"]
    assert not state(model).tasks["rows[0]"].is_paused
    end_all(model)
    model.finish()
    assert state(model).status is X.SUCCEEDED


def test_what_a_task_added_leaves_the_graph_when_it_runs_again() -> None:
    """Also what was there at the event: whether the map finds the same items again, nobody knows yet."""
    model = begun()
    to = state(model).version
    end(model, 0)
    plan = planned(state(model), m.RollBackExecution("e", to))
    assert (plan.kept, plan.again) == ((), ("rows",))
    assert plan.removed == tuple(f"rows[{index}]" for index in range(5))
    back(model, to)
    model.finish()
    assert state(model).tasks.keys() >= {*plan.removed}
