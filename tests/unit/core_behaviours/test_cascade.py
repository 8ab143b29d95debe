"""Goal: a rollback undoes what sub-workflows did too: all of it, in reverse order, once, whatever is lost.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.plans import planned, planned_for_parent
from talka_core.scheduler.waiting import child_id
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver, OnFailure, Then
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Task, Workflow

S, X = TaskStatus, ExecutionState
UNDO = Action(AGENT_TYPE, {"undo": True}, retries=1)
CHILD = child_id("e", "sub", 1)


def task(task_id: str, *needs: str, **options: Any) -> Task:
    """Return a task that can be undone unless the options say otherwise."""
    options.setdefault("compensation", UNDO)
    return Task(task_id, AGENT_TYPE, dependencies=needs, **options)


def sub(*needs: str, inner: tuple[Task, ...] = (), **options: Any) -> Task:
    """Return a task with a sub-workflow of two tasks in a row, or of others."""
    child = Workflow("child", "child", inner or (task("one"), task("two", "one")))
    return Task("sub", "workflow", workflow=child, dependencies=needs, **options)


def begun(*tasks: Task) -> Model:
    """Return a running execution."""
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", tasks)))
    deliver_all(model)
    return model


def deliver_all(model: Model) -> None:
    """Deliver until nothing is on its way."""
    model.deliver_all()


def end(model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Let the running attempt of a task end."""
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome)
    deliver_all(model)


def ask(model: Model, **request: Any) -> None:
    """Ask for a rollback of the parent."""
    request.setdefault("request_id", "r")
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("e", **request))
    deliver_all(model)


def restart(model: Model, execution_id: str = "e", request_id: str = "again") -> None:
    """Ask for a restart of what did not succeed."""
    model.tell(Recipient.SCHEDULER, m.RestartExecution(execution_id, request_id=request_id))
    deliver_all(model)


def state(model: Model, execution_id: str = "e") -> Any:
    """Return an execution's state."""
    return model.players[Recipient.SCHEDULER, execution_id].state


def history(model: Model, execution_id: str = "e") -> list[Any]:
    """Return an execution's events."""
    return model.players[Recipient.SCHEDULER, execution_id].events()


def running(model: Model) -> list[str]:
    """Return what runs, by task id."""
    return [run[2] for run in model.running]


def ran(*more: Task, **options: Any) -> Model:
    """Return an execution in which ``first``, the sub-workflow and ``last`` succeeded, and ``open`` runs."""
    model = begun(task("first"), sub("first", **options), task("last", "sub"), task("open", "last"), *more)
    for task_id in ("first", "one", "two", "last"):
        end(model, task_id)
    return model


def test_undoes_the_sub_workflow_between_what_needed_it_and_what_it_needed() -> None:
    """Effects of all three levels are undone in reverse order, and then a new sub-workflow runs."""
    model = ran()
    ask(model, to=1)
    end(model, "open")
    undone: list[str] = []
    while not undone or undone[-1] != "undo:first:1":
        undone += running(model)
        assert len(running(model)) == 1
        end(model, undone[-1])
    assert undone == ["undo:open:1", "undo:last:1", "undo:two:1", "undo:one:1", "undo:first:1"]
    assert state(model, CHILD).status is X.ROLLED_BACK
    assert state(model, CHILD).is_parent_informed
    assert {r.status for r in state(model, CHILD).tasks.values() if not r.undoes} == {S.COMPENSATED}
    assert [type(f).__name__ for f in history(model)].count("ChildUndone") == 1
    model.finish()
    again = state(model).tasks["sub"]
    assert again.children == [child_id("e", "sub", again.attempt)] != [CHILD]
    assert state(model).status is X.SUCCEEDED
    assert state(model, CHILD).status is X.ROLLED_BACK


def test_what_had_ended_by_then_keeps_its_sub_workflow() -> None:
    """Going back to the end of the task leaves its sub-workflow alone."""
    model = ran()
    ask(model, task_id="sub", then=Then.STOP)
    model.finish()
    assert state(model).status is X.ROLLED_BACK
    assert state(model).tasks["sub"].status is S.SUCCEEDED
    assert state(model, CHILD).status is X.SUCCEEDED


def test_stopping_there_leaves_the_task_compensated() -> None:
    """What a sub-workflow did is undone like the task's own effect."""
    model = ran()
    ask(model, task_id="first", then=Then.STOP)
    model.finish()
    assert state(model).tasks["sub"].status is S.COMPENSATED
    assert state(model, CHILD).status is X.ROLLED_BACK


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SUCCEEDED])
def test_undoes_the_sub_workflows_of_all_attempts_newest_first(outcome: Outcome) -> None:
    """A sub-workflow that failed has done a part of its work, and that is undone as well."""
    model = begun(sub(retries=1), task("open", "sub", on_failure=OnFailure.CONTINUE))
    end(model, "one")
    end(model, "two", Outcome.FAILED)
    model.fire(next(timer for timer in model.timers if "retry" in timer[2]))
    deliver_all(model)
    second = child_id("e", "sub", 2)
    assert state(model).tasks["sub"].children == [CHILD, second]
    end(model, "one")
    end(model, "two", outcome)
    ask(model, to=1, then=Then.STOP)
    model.finish()
    undone = [fact.child_id for fact in history(model) if isinstance(fact, e.ChildUndone)]
    assert undone == [second, CHILD]
    assert state(model, CHILD).status is state(model, second).status is X.ROLLED_BACK
    assert state(model, CHILD).tasks["one"].status is S.COMPENSATED


def test_open_sub_workflow_is_stopped_and_then_undone() -> None:
    """What it had done before it was cancelled is undone."""
    model = begun(task("first"), sub("first"))
    end(model, "first")
    end(model, "one")
    ask(model, task_id="first", then=Then.STOP)
    assert state(model, CHILD).is_cancelling
    model.finish()
    assert state(model, CHILD).tasks["one"].status is S.COMPENSATED
    assert state(model).status is X.ROLLED_BACK


def test_reaches_grandchildren() -> None:
    """A sub-workflow that is undone undoes its own sub-workflows in turn."""
    inner = Task("sub", "workflow", workflow=Workflow("g", "g", (task("deep"),)))
    model = begun(sub(inner=(task("one"), inner)), task("after", "sub"))
    end(model, "one")
    end(model, "deep")
    ask(model, to=1)
    end(model, "after")
    model.finish()
    grandchild = child_id(CHILD, "sub", 1)
    assert state(model, grandchild).status is X.ROLLED_BACK
    assert state(model, grandchild).tasks["deep"].status is S.COMPENSATED
    assert state(model).status is X.SUCCEEDED


def test_failure_to_undo_stands_still_until_it_is_asked_for_again() -> None:
    """The error names the execution and its task; a restart of the parent asks the sub-workflow anew."""
    model = ran()
    ask(model, to=1)
    for task_id in ("open", "undo:open:1", "undo:last:1", "undo:two:1"):
        end(model, task_id)
    for _ in range(2):
        end(model, "undo:one:1", Outcome.FAILED)
        for timer in [timer for timer in model.timers if "retry" in timer[2]]:
            model.fire(timer)
        deliver_all(model)
    assert state(model, CHILD).status is state(model).status is X.FAILED
    assert CHILD in state(model).reason
    assert "'one'" in state(model).reason
    assert state(model).tasks["first"].status is S.SUCCEEDED
    assert state(model, CHILD).is_parent_informed
    restart(model, CHILD)
    assert history(model, CHILD)[-1].code == "undone_by_parent"
    restart(model)
    assert running(model) == ["undo:one:1"]
    model.finish()
    assert state(model, CHILD).status is X.ROLLED_BACK
    assert state(model).status is X.SUCCEEDED


def test_refused_sub_workflow_has_nothing_to_undo() -> None:
    """What the planner refused never began, and says so."""
    inner = Task("inner", "wait", payload={"seconds": "${input.s}"})
    child = Workflow("child", "child", (inner,), inputs={"s": 1})
    model = begun(Task("sub", "workflow", workflow=child, payload={"inputs": {"s": -5}}), task("open"))
    assert state(model, CHILD).status is X.REJECTED
    ask(model, to=1, then=Then.STOP)
    model.finish()
    assert state(model).status is X.ROLLED_BACK
    assert state(model, CHILD).status is X.REJECTED


def test_repeated_and_stale_messages_change_nothing() -> None:
    """Whoever says again what is recorded is answered; nothing is undone twice."""
    model = ran()
    ask(model, to=1, then=Then.STOP)
    model.finish()
    before = {key: len(player.events()) for key, player in model.players.items()}
    for to, message in list(model.archive):
        if isinstance(message, m.RollBackChild | m.ChildRolledBack | m.ChildFinished | m.SettleChild):
            model.tell(to, message)
    model.tell(Recipient.SCHEDULER, m.RollBackChild(CHILD, e.Parent("e", "undo:sub:1", 99)))
    assert any(isinstance(message, m.ChildRolledBack) and message.attempt == 99 for _, message in model.soup)
    deliver_all(model)
    assert {key: len(player.events()) for key, player in model.players.items()} == before


@pytest.mark.parametrize("then", [Then.CONTINUE, Then.STOP])
def test_sub_workflow_that_somebody_rolls_back_is_asked_again(then: Then) -> None:
    """The parent asks until its request can be followed, whatever else goes on in the sub-workflow."""
    model = ran()
    model.tell(Recipient.SCHEDULER, m.RollBackExecution(CHILD, task_id="one", then=then, request_id="mine"))
    ask(model, to=1, then=Then.STOP)
    assert state(model, CHILD).undone_for is None
    model.finish()
    assert state(model, CHILD).undone_for is not None
    assert state(model, CHILD).status is state(model).status is X.ROLLED_BACK
    assert state(model, CHILD).tasks["one"].status is S.COMPENSATED


def test_undone_sub_workflow_cannot_run_again() -> None:
    """Its parent takes it for undone, so nothing brings its effects back."""
    model = ran()
    ask(model, to=1, then=Then.STOP)
    model.finish()
    restart(model, CHILD)
    assert history(model, CHILD)[-1].code == "undone_by_parent"
    assert state(model, CHILD).status is X.ROLLED_BACK


def test_group_undoes_the_sub_workflows_of_its_members() -> None:
    """A sub-workflow that failed in a group has its finished part undone, like that of every member."""
    model = begun(sub(group="g"), task("other", group="g"), task("beside"))
    end(model, "one")
    end(model, "other")
    end(model, "two", Outcome.FAILED)
    model.finish()
    assert state(model, CHILD).status is X.ROLLED_BACK
    assert state(model, CHILD).tasks["one"].status is S.COMPENSATED
    assert state(model).tasks["other"].status is state(model).tasks["sub"].status is S.COMPENSATED
    assert state(model).tasks["beside"].status is S.SUCCEEDED
    assert state(model).status is X.FAILED


def test_items_of_a_map_undo_their_sub_workflows() -> None:
    """Each item has a sub-workflow of its own."""
    model = begun(task("first"), sub("first", map=MapOver([1, 2]), inner=(task("one"),)))
    for task_id in ("first", "one", "one"):
        end(model, task_id)
    ask(model, task_id="first", then=Then.STOP)
    model.finish()
    for item in ("sub[0]", "sub[1]"):
        assert state(model, child_id("e", item, 1)).status is X.ROLLED_BACK


def test_own_compensation_stands_for_the_sub_workflow() -> None:
    """Who says how to undo the whole is not asked to undo its parts."""
    model = ran(compensation=UNDO)
    ask(model, task_id="first", then=Then.STOP)
    for task_id in ("open", "undo:open:1", "undo:last:1"):
        end(model, task_id)
    assert running(model) == ["undo:sub:1"]
    model.finish()
    assert state(model, CHILD).status is X.SUCCEEDED
    assert state(model).tasks["sub"].status is S.COMPENSATED


def test_irreversible_parts_are_named_before_anything_is_undone() -> None:
    """Only the sub-workflow knows whether they acted, so the parent asks for consent; its plan tells more."""
    inner = (task("one"), task("two", "one", compensation=None, is_irreversible=True))
    model = ran(inner=inner)
    with pytest.raises(RequestRefusedError) as caught:
        planned(state(model), m.RollBackExecution("e", 1))
    assert caught.value.code == "irreversible"
    assert "'sub/two'" in str(caught.value)
    plan = planned(state(model), m.RollBackExecution("e", 1, accepts_irreversible=True))
    assert plan.irreversible == ("sub/two",)
    assert "sub" in plan.compensated
    assert planned_for_parent(state(model, CHILD)).irreversible == ("two",)
    assert planned_for_parent(state(model, CHILD)).compensated == ("one",)
    ask(model, to=1, then=Then.STOP, accepts_irreversible=True)
    model.finish()
    assert state(model).status is X.ROLLED_BACK
    assert planned_for_parent(state(model, CHILD)).compensated == ()


def test_crashes_at_any_event_of_the_conversation_are_survived() -> None:
    """Every decision may be cut short after any of its events, on both sides."""
    for cut in range(4):
        model = ran()
        ask(model, to=1, then=Then.STOP)
        for _ in range(300):
            if not model.soup and model.running:
                run = next(iter(model.running))
                model.begin(run)
                model.end(run, Outcome.SUCCEEDED)
            elif model.soup:
                model.deliver(0, cut=cut)
            else:
                break
        model.finish()
        assert state(model, CHILD).status is state(model).status is X.ROLLED_BACK
        assert [type(fact).__name__ for fact in history(model)].count("ChildUndone") == 1
