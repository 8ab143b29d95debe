"""Goal: an execution goes back to any event: what came after is undone in reverse order, and then it goes on.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.history import FOLDS, apply
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, Then
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig

S = TaskStatus
UNDO = Action(AGENT_TYPE, {"undo": True}, retries=1)


def task(task_id: str, **options: Any) -> Task:
    """Return a task that can be undone unless the options say otherwise."""
    options.setdefault("compensation", UNDO)
    return Task(task_id, AGENT_TYPE, **options)


def begun(*tasks: Task, edges: tuple[tuple[str, str], ...] = (), **config: Any) -> Model:
    """Return a running execution."""
    model = Model({"w1": 8.0})
    dependencies = tuple(Dependency(*edge) for edge in edges)
    model.submit(Workflow("e", "e", tasks, dependencies, WorkflowConfig(**config)))
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


def ask(model: Model, **request: Any) -> list[Any]:
    """Ask for a rollback and return the events of that decision."""
    request.setdefault("request_id", f"r{len(history(model))}")
    before = len(history(model))
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("e", **request))
    decided = history(model)[before:]
    deliver_all(model)
    return decided


def history(model: Model) -> list[Any]:
    """Return all events of the execution."""
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [event for commit in commits for _, _, event in commit.events()]


def state(model: Model) -> Any:
    """Return the execution's state."""
    return model.players[Recipient.SCHEDULER, "e"].state


def statuses(model: Model) -> dict[str, TaskStatus]:
    """Return the statuses of all tasks but compensations."""
    return {id_: record.status for id_, record in state(model).tasks.items() if not record.undoes}


CHAIN = (("a", "b"), ("b", "c"))


def ran_chain(**options: Any) -> Model:
    """Return an execution in which ``a``, ``b`` and ``c`` succeeded one after the other and ``d`` runs."""
    tasks = (task("a"), task("b", **options), task("c"), task("d"))
    model = begun(*tasks, edges=(*CHAIN, ("c", "d")))
    for task_id in "abc":
        end(model, task_id)
    return model


def test_undoes_in_reverse_order_and_runs_again() -> None:
    """What came after ``a`` is undone from its end, what ran is stopped and undone, then all runs again."""
    model = ran_chain()
    ask(model, task_id="a")
    assert state(model).status is ExecutionState.ROLLING_BACK
    assert state(model).tasks["d"].is_stopping
    end(model, "d")
    undone: list[str] = []
    while running := [run[2] for run in model.running]:
        undone += running
        assert statuses(model)[running[0].split(":")[1]] is S.COMPENSATING
        if running == ["undo:b:1"]:
            break
        end(model, running[0])
    assert undone == ["undo:d:1", "undo:c:1", "undo:b:1"]
    end(model, "undo:b:1")
    assert state(model).status is ExecutionState.RUNNING
    assert [run[2] for run in model.running] == ["b"]
    assert [run[3] for run in model.running] == [2]
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED
    assert {id_: state(model).tasks[id_].round for id_ in "abcd"} == {"a": 1, "b": 2, "c": 2, "d": 2}


def test_keys_are_new_after_an_effect_was_undone() -> None:
    """The key of an effect is that of its round, and what undoes it has that key with ``/undo``."""
    model = ran_chain()
    ask(model, task_id="a")
    model.finish()
    keys: dict[str, str] = {}
    for _, message in model.archive:
        if isinstance(message, m.StartTask):
            keys.setdefault(f"{message.task.id} {message.attempt}", message.effect_key)
    assert keys["b 1"] == ""
    assert keys["undo:b:1 1"] == "e/b/undo"
    assert keys["b 2"] == "e/b/2"


def test_state_is_that_of_the_event() -> None:
    """Back at an event, the same tasks are done and the same ones hold something as at that event."""
    model = begun(task("a"), task("b"), task("c"), edges=(("a", "b"),), max_parallel=2)
    end(model, "a")
    to = state(model).version
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    fold = FOLDS[EXECUTION]
    then = apply(fold, fold.initial("e"), commits, to)
    end(model, "b")
    end(model, "c")
    ask(model, to=to)
    while any(run[2].startswith("undo:") for run in model.running):
        end(model, next(run[2] for run in model.running))
    active = {S.QUEUED, S.SCHEDULED, S.RUNNING}
    assert {t for t, s in statuses(model).items() if s in active} == {
        t for t, r in then.tasks.items() if r.status in active
    }
    assert statuses(model)["a"] is S.SUCCEEDED
    model.finish()


def test_stops_where_it_was_asked_to() -> None:
    """With ``stop`` the execution ends there: what was done is undone, and the rest never began."""
    model = ran_chain()
    ask(model, task_id="a", then=Then.STOP)
    model.finish()
    assert state(model).status is ExecutionState.ROLLED_BACK
    assert statuses(model) == {"a": S.SUCCEEDED, "b": S.COMPENSATED, "c": S.COMPENSATED, "d": S.COMPENSATED}
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="again"))
    model.finish()
    assert set(statuses(model).values()) == {S.SUCCEEDED}
    assert state(model).status is ExecutionState.SUCCEEDED


def test_stopped_execution_goes_back_further() -> None:
    """What never began when it stopped runs again as well when it goes back once more."""
    model = ran_chain()
    ask(model, task_id="b", then=Then.STOP)
    model.finish()
    ask(model, to=1)
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED
    assert set(statuses(model).values()) == {S.SUCCEEDED}


def test_finished_execution_goes_back_too() -> None:
    """One that is over opens again."""
    model = ran_chain()
    model.finish()
    ask(model, task_id="b")
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED
    assert [state(model).tasks[id_].attempt for id_ in "abcd"] == [1, 1, 2, 2]


def test_irreversible_effect_is_asked_about_and_keeps_its_key() -> None:
    """Going back across what cannot be undone is refused, unless it is accepted that it stays."""
    model = ran_chain(compensation=None, is_irreversible=True)
    [refused] = ask(model, task_id="a")
    assert (refused.code, "'b'" in refused.message) == ("irreversible", True)
    ask(model, task_id="a", accepts_irreversible=True)
    model.finish()
    assert state(model).tasks["b"].round == 1
    assert state(model).tasks["b"].attempt == 2
    assert state(model).tasks["c"].round == 2


def test_compensation_that_fails_stands_still_until_it_is_asked_for_again() -> None:
    """The rollback fails with a reason and keeps everything; a restart takes it up where it stood."""
    model = ran_chain()
    ask(model, task_id="a")
    end(model, "d")
    end(model, "undo:d:1")
    for _ in range(2):
        end(model, "undo:c:1", Outcome.FAILED)
        for timer in [timer for timer in model.timers if timer[2].startswith("retry/")]:
            model.fire(timer)
        deliver_all(model)
    assert state(model).status is ExecutionState.FAILED
    assert "'c'" in state(model).reason
    assert statuses(model) == {"a": S.SUCCEEDED, "b": S.SUCCEEDED, "c": S.FAILED, "d": S.COMPENSATED}
    assert state(model).tasks["c"].error.code == "compensation_failed"
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="again"))
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED
    assert state(model).tasks["undo:c:1"].attempt == 3
    assert state(model).tasks["undo:d:1"].attempt == 1


def test_result_is_null_to_the_compensation_of_what_returned_nothing() -> None:
    """A compensation may refer to the result of its task, and gets null where the task was stopped before."""
    undo = Action(AGENT_TYPE, {"id": "${b.id}", "of": "${a}"})
    model = begun(task("a"), task("b", compensation=undo), edges=(("a", "b"),))
    end(model, "a")
    ask(model, task_id="a")
    model.finish()
    starts = [x for _, x in model.archive if isinstance(x, m.StartTask) and x.task.id == "undo:b:1"]
    assert {text: bytes(raw) for text, raw in starts[0].inputs.items()} == {"b.id": b"null", "a": b"null"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"to": 999}, "unknown_event"),
        ({"to": 0}, "unknown_event"),
        ({"task_id": "nobody"}, "unknown_task"),
        ({"task_id": "undo:a:1"}, "unknown_task"),
        ({"task_id": "d"}, "not_ended"),
    ],
)
def test_refusals(request_: dict[str, Any], code: str) -> None:
    """What cannot be done is refused with a reason, as an event, and changes nothing else."""
    model = ran_chain()
    [refused] = ask(model, **request_)
    assert isinstance(refused, e.RequestRefused)
    assert refused.code == code
    assert statuses(model)["d"] in {S.SCHEDULED, S.RUNNING}


def test_requests_that_conflict_or_repeat() -> None:
    """Whatever else is asked for meanwhile is refused; the same request again changes nothing."""
    model = ran_chain()
    ask(model, task_id="a", request_id="one")
    assert ask(model, task_id="a", request_id="one") == []
    assert ask(model, task_id="b")[0].code == "rolling_back"
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="x"))
    model.tell(Recipient.SCHEDULER, m.CancelExecution("e"))
    assert [event.code for event in history(model)[-2:]] == ["rolling_back", "rolling_back"]
    model.finish()
    assert ask(model, task_id="a", request_id="one") == []


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"from_task": "d"}, "still_running"),
        ({"from_task": "nobody"}, "unknown_task"),
        ({"from_event": 999}, "unknown_event"),
    ],
)
def test_restarts_that_cannot_be_done_are_refused(request_: dict[str, Any], code: str) -> None:
    """Each is an event with a reason, and what runs goes on."""
    model = ran_chain()
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="one", **request_))
    assert history(model)[-1].code == code
    assert statuses(model)["d"] in {S.SCHEDULED, S.RUNNING}
    model.finish()


@pytest.mark.parametrize("is_restart_first", [False, True])
def test_a_cancel_and_a_restart_at_once(is_restart_first: bool) -> None:
    """Each counts in the order in which they came, and what came too early may be asked again."""
    model = ran_chain()
    requests = [m.CancelExecution("e", "asked to"), m.RestartExecution("e", request_id="again")]
    model.tell_together(Recipient.SCHEDULER, requests[::-1] if is_restart_first else requests)
    model.deliver_all()
    refusals = [event.code for event in history(model) if isinstance(event, e.RequestRefused)]
    assert refusals == ["nothing_to_restart" if is_restart_first else "not_at_rest"]
    model.finish()
    assert state(model).status is ExecutionState.CANCELLED
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", request_id="once more"))
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED


def test_event_whose_state_is_gone_is_refused() -> None:
    """Events between the target of a rollback and its end cannot be gone back to; those before it can."""
    model = ran_chain()
    early, middle = state(model).tasks["a"].ended_version, state(model).tasks["b"].ended_version
    ask(model, task_id="a")
    model.finish()
    [refused] = ask(model, to=middle)
    assert refused.code == "lost_event"
    ask(model, to=early)
    model.finish()
    assert state(model).tasks["b"].round == 3


def test_takeover_in_the_middle_goes_on() -> None:
    """Wherever the scheduler dies while it goes back, the next one goes on to the same end."""
    for cut in range(12):
        model = ran_chain()
        message = m.RollBackExecution("e", task_id="a", request_id="one")
        model.tell(Recipient.SCHEDULER, message, cut=cut)
        model.tell(Recipient.SCHEDULER, message)
        model.crash(Recipient.SCHEDULER, "e")
        model.finish()
        assert state(model).status is ExecutionState.SUCCEEDED
        assert state(model).tasks["b"].round == 2


@pytest.mark.parametrize("is_undoing", [False, True])
def test_restart_ends_a_pause_also_for_what_waits(is_undoing: bool) -> None:
    """What became ready during the pause begins to wait, and is never asked of the pool."""
    again = task("again", compensation=UNDO if is_undoing else None)
    wait = Task("wait", "wait", payload={"seconds": 1})
    model = begun(again, task("first"), wait, edges=(("first", "wait"),))
    end(model, "again")
    model.tell(Recipient.SCHEDULER, m.PauseExecution("e", "pause"))
    end(model, "first")
    assert statuses(model)["wait"] is S.READY
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", "again", request_id="again"))
    deliver_all(model)
    if is_undoing:
        assert state(model).is_rolling_back
        assert statuses(model)["wait"] is S.READY
        end(model, "undo:again:1")
    assert statuses(model)["wait"] is S.WAITING
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED
