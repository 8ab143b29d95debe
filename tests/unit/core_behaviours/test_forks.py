"""Goal: a fork begins with what had ended at an event of its origin, never runs that, and runs the rest anew.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec import Raw

from talka_chaos.branches import with_control_flow
from talka_chaos.graphs import AGENT_TYPE, random_workflow, with_children
from talka_chaos.model import Model
from talka_core.history import FOLDS, apply
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.forking import origin_of
from talka_core.status import task_result
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver, OnFailure, Then
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import ClaimCheck, Dependency, Extension, Task, Workflow, WorkflowConfig

S = TaskStatus


def task(task_id: str, **options: Any) -> Task:
    """Return a task that a worker runs."""
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


def end(
    model: Model, task_id: str, outcome: Outcome = Outcome.SUCCEEDED, result: bytes = b"null", **more: Any
) -> None:
    """Let the running attempt of a task end."""
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(result), **more)
    deliver_all(model)


def at(model: Model, event: int | None = None) -> ExecutionRecord:
    """Return the origin's state at an event, folded from its log, or at its end."""
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    state: ExecutionRecord = apply(FOLDS[EXECUTION], FOLDS[EXECUTION].initial("e"), commits, event)
    return state


def fork(model: Model, state: ExecutionRecord, *, cut: int | None = None) -> ExecutionRecord:
    """Fork the origin as it was in a state, and return the new execution's live state."""
    assert state.workflow is not None
    message = m.SubmitWorkflow("f", state.workflow, origin=origin_of(state))
    if cut is None:
        model.tell(Recipient.PLANNER, message)
        deliver_all(model)
    else:
        start = m.StartExecution("f", state.workflow, origin=message.origin)
        model.tell(Recipient.SCHEDULER, start, cut)
        model.crash(Recipient.SCHEDULER, "f")
        deliver_all(model)
    live: ExecutionRecord = model.players[Recipient.SCHEDULER, "f"].state
    return live


def launched(model: Model) -> list[str]:
    """Return the tasks of the fork that a worker was ever told to run."""
    return sorted(run[2] for run in model.starts if run[1] == "f")


def assert_adopted(forked: ExecutionRecord, origin: ExecutionRecord) -> None:
    """Hold what is kept to what it was in the origin."""
    kept = [t.task_id for t in origin_of(origin).tasks]
    for task_id in kept:
        mine, theirs = forked.tasks[task_id], origin.tasks[task_id]
        assert task_result(task_id, mine) == task_result(task_id, theirs)
        assert (mine.claim, mine.extracts) == (theirs.claim, theirs.extracts)


CHAIN = (("a", "b"), ("b", "c"))


def test_kept_tasks_keep_their_results_and_never_run() -> None:
    """What had ended is taken over with its result; what needs it gets that, and alone is run."""
    model = begun(task("a"), task("b", payload={"x": "${a}"}), task("c"), edges=CHAIN)
    end(model, "a", result=b'{"n":7}')
    origin = at(model)
    end(model, "b")
    forked = fork(model, origin)
    assert forked.tasks["a"].status is S.SUCCEEDED
    assert forked.origin is not None
    assert (forked.origin.execution_id, forked.origin.version) == ("e", origin.version)
    assert launched(model) == ["b"]
    start = next(s for run, s in model.starts.items() if run[1:3] == ("f", "b"))
    assert [bytes(value) for value in start.inputs.values()] == [b'{"n":7}']
    model.finish()
    assert forked.status is ExecutionState.SUCCEEDED
    assert launched(model) == ["b", "c"]


def test_a_fork_before_anything_ended_runs_everything() -> None:
    """Nothing is kept at the first event, and that is fine."""
    model = begun(task("a"), task("b"), edges=(("a", "b"),))
    end(model, "a")
    forked = fork(model, at(model, 1))
    model.finish()
    assert (forked.status, launched(model)) == (ExecutionState.SUCCEEDED, ["a", "b"])


def test_a_fork_of_the_last_event_ends_at_once() -> None:
    """Where everything had ended, the fork is over as soon as it has begun, with the same results."""
    model = begun(task("a"), task("b"))
    end(model, "a", result=b"1")
    end(model, "b", result=b"2")
    forked = fork(model, at(model))
    assert (forked.status, launched(model)) == (ExecutionState.SUCCEEDED, [])


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_commit_that_was_cut_short_is_completed(cut: int) -> None:
    """Wherever the fork's first commit is cut, whoever folds it takes over the rest and goes on."""
    model = begun(task("a"), task("b"), task("c"), task("d"), edges=(("a", "d"), ("b", "d"), ("c", "d")))
    for task_id in "abc":
        end(model, task_id, result=task_id.encode().join((b'"', b'"')))
    origin = at(model)
    forked = fork(model, origin, cut=cut)
    model.finish()
    assert_adopted(forked, origin)
    assert (launched(model), forked.adopting) == (["d"], {})


def test_failures_are_kept_as_they_were_and_skip_what_needs_them() -> None:
    """A task that had failed for good has failed in the fork too."""
    model = begun(task("a"), task("b"), task("c"), edges=(("a", "b"),))
    end(model, "a", Outcome.FAILED)
    origin = at(model)
    forked = fork(model, origin)
    assert_adopted(forked, origin)
    model.finish()
    assert (forked.status, forked.failed, launched(model)) == (ExecutionState.FAILED, ["a"], ["c"])


def test_tolerated_failures_let_others_run() -> None:
    """A failure that lets others go on does so in the fork."""
    model = begun(task("a", on_failure=OnFailure.CONTINUE), task("b"), edges=(("a", "b"),))
    end(model, "a", Outcome.FAILED)
    forked = fork(model, at(model))
    model.finish()
    assert (forked.tasks["b"].status, launched(model)) == (S.SUCCEEDED, ["b"])


def test_what_was_stopped_with_the_execution_runs_anew() -> None:
    """A task that ended only because everything was cancelled has come to nothing, so it is not kept."""
    model = begun(task("a"), task("b"), edges=(("a", "b"),))
    end(model, "a")
    model.tell(Recipient.SCHEDULER, m.CancelExecution("e"))
    model.finish()
    forked = fork(model, at(model))
    model.finish()
    assert (forked.status, launched(model)) == (ExecutionState.SUCCEEDED, ["b"])


def test_artifacts_and_large_results_are_still_there() -> None:
    """Claim checks, extracts and artifacts of kept tasks are the origin's."""
    model = begun(task("a", writes=("report",)), task("b", reads=("report",)), edges=(("a", "b"),))
    claim = ClaimCheck("object", 3, "0" * 64)
    end(model, "a", claim=claim, artifacts={"report": claim})
    origin = at(model)
    forked = fork(model, origin)
    assert_adopted(forked, origin)
    assert forked.artifacts["report"].claim == claim
    model.finish()


def test_a_later_restart_gives_a_kept_task_a_key_of_the_fork() -> None:
    """A kept task that is run again runs for the fork: under its id, and as one more attempt."""
    model = begun(task("a"), task("b"), edges=(("a", "b"),))
    end(model, "a")
    forked = fork(model, at(model))
    model.finish()
    model.ask(m.RestartExecution("f", "a", request_id="r"))
    model.finish()
    assert forked.status is ExecutionState.SUCCEEDED
    runs = [(run[3], s.effect_key) for run, s in model.starts.items() if run[1:3] == ("f", "a")]
    assert runs == [(2, "f/a/2")]


def test_what_the_origin_did_is_never_undone_by_the_fork() -> None:
    """A rollback of the fork runs no compensation for what it took over."""
    undo = Action(AGENT_TYPE, {"undo": True})
    model = begun(task("a", compensation=undo), task("b", compensation=undo), edges=(("a", "b"),))
    end(model, "a")
    forked = fork(model, at(model))
    model.finish()
    model.ask(m.RollBackExecution("f", 1, request_id="r"))
    model.finish()
    assert forked.status is ExecutionState.SUCCEEDED
    assert [name for name in forked.tasks if name.startswith("undo:")] == ["undo:b:1"]


def mapped() -> Model:
    """Return an execution in which a map over a result has ended the second of its three items."""
    model = begun(task("list"), task("each", map=MapOver("${list}")), edges=(("list", "each"),))
    end(model, "list", result=b"[1,2,3]", extracts={"list": Raw(b"[1,2,3]")})
    end(model, "each[1]", result=b'"kept"')
    return model


@pytest.mark.parametrize("cut", [None, *range(1, 6)])
def test_items_of_maps_that_had_ended_are_kept(cut: int | None) -> None:
    """The map begins anew over the same list, and lacks the item that is there already."""
    model = mapped()
    origin = at(model)
    forked = fork(model, origin, cut=cut)
    assert_adopted(forked, origin)
    model.finish()
    assert launched(model) == ["each[0]", "each[2]"]
    assert bytes(forked.tasks["each"].result) == b'[null,"kept",null]'
    assert forked.status is ExecutionState.SUCCEEDED


def test_a_map_that_had_ended_is_kept_with_its_items() -> None:
    """Nothing of it runs, and what needs it gets its result; restarted, it runs as a whole."""
    model = mapped()
    model.finish()
    origin = at(model)
    forked = fork(model, origin)
    assert forked.status is ExecutionState.SUCCEEDED
    assert launched(model) == []
    assert [task_result(t, r) for t, r in forked.tasks.items()] == [
        task_result(t, r) for t, r in origin.tasks.items()
    ]
    model.ask(m.RestartExecution("f", "each", request_id="r"))
    model.finish()
    assert launched(model) == ["each[0]", "each[1]", "each[2]"]


def grown() -> Model:
    """Return an execution whose first task added two in front of its last, one of which has ended."""
    model = begun(task("a"), task("z"), edges=(("a", "z"),))
    more = Extension((task("x"), task("y")), (Dependency("x", "y"), Dependency("y", "z")))
    end(model, "a", extension=more)
    end(model, "x", result=b'"kept"')
    return model


@pytest.mark.parametrize("cut", [None, *range(1, 6)])
def test_what_kept_tasks_added_is_there_from_the_beginning(cut: int | None) -> None:
    """Added tasks that had ended are kept, others run, and what was to wait for them does."""
    model = grown()
    origin = at(model)
    forked = fork(model, origin, cut=cut)
    assert_adopted(forked, origin)
    assert forked.index.predecessors["z"] == ["a", "y"]
    model.finish()
    assert launched(model) == ["y", "z"]
    assert forked.status is ExecutionState.SUCCEEDED


def test_what_others_added_comes_anew() -> None:
    """The task that added to the graph had not ended, so it runs again and may add something else."""
    model = grown()
    first = next(v for v in range(1, at(model).version + 1) if at(model, v).added)
    forked = fork(model, at(model, first))
    assert "x" not in forked.tasks
    model.finish()
    assert launched(model) == ["a", "z"]


def test_what_a_rollback_undid_runs_anew() -> None:
    """Compensations stay behind, and their tasks had come to nothing."""
    undo = Action(AGENT_TYPE, {"undo": True})
    model = begun(task("a", compensation=undo), task("b", compensation=undo), edges=(("a", "b"),))
    model.finish()
    model.ask(m.RollBackExecution("e", task_id="a", then=Then.STOP, request_id="r"))
    model.finish()
    forked = fork(model, at(model))
    model.finish()
    assert launched(model) == ["b"]
    assert list(forked.tasks) == ["a", "b"]


def test_a_group_that_was_undone_stays_so() -> None:
    """Its members had come to an end, none of them by success."""
    undo = Action(AGENT_TYPE, {"undo": True})
    model = begun(task("a", group="g", compensation=undo), task("b", group="g"), task("c"))
    end(model, "a")
    end(model, "b", Outcome.FAILED)
    end(model, "undo:a:1")
    origin = at(model)
    forked = fork(model, origin)
    assert_adopted(forked, origin)
    assert forked.tasks["a"].status is S.COMPENSATED
    assert forked.broken == origin.broken
    model.finish()
    assert launched(model) == ["c"]
    assert forked.status is ExecutionState.FAILED


def test_what_cannot_be_forked_is_refused() -> None:
    """Where it was going back, or never began, the refusal says why and what to do."""
    model = begun(task("a"), task("b"), edges=(("a", "b"),))
    end(model, "a")
    model.tell(Recipient.SCHEDULER, m.RollBackExecution("e", 1, request_id="r"))
    with pytest.raises(RequestRefusedError) as going:
        origin_of(at(model))
    assert going.value.code == "rolling_back"
    with pytest.raises(RequestRefusedError) as unbegun:
        origin_of(ExecutionRecord("x"))
    assert unbegun.value.code == "not_begun"


@pytest.mark.parametrize(
    "added",
    [
        (e.TasksAdded((task("a"),), by="a"),),
        (e.TasksAdded((task("x"),), (Dependency("x", "z"),), "a"),),
        (e.TasksAdded((task("x"),), (Dependency("x", "a"), Dependency("a", "x")), "a"),),
    ],
)
def test_additions_that_do_not_fit_are_rejected(added: tuple[e.TasksAdded, ...]) -> None:
    """A cycle, a task that is there already and an unknown end are refused by the planner."""
    model = Model({"w1": 1.0})
    origin = e.Origin("e", 3, added=added)
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("f", Workflow("w", "w", (task("a"),)), origin=origin))
    deliver_all(model)
    assert model.players[Recipient.SCHEDULER, "f"].state.status is ExecutionState.REJECTED


@pytest.mark.parametrize(
    "adopted",
    [
        (e.TaskAdopted("z", S.SUCCEEDED),),
        (e.TaskAdopted("a", S.RUNNING),),
        (e.TaskAdopted("a", S.SUCCEEDED), e.TaskAdopted("a", S.FAILED)),
    ],
)
def test_an_origin_that_does_not_fit_is_rejected(adopted: tuple[e.TaskAdopted, ...]) -> None:
    """Unknown, unfinished and repeated tasks are refused by the planner, as an event."""
    model = Model({"w1": 1.0})
    origin = e.Origin("e", 3, adopted)
    model.tell(Recipient.PLANNER, m.SubmitWorkflow("f", Workflow("w", "w", (task("a"),)), origin=origin))
    deliver_all(model)
    assert model.players[Recipient.SCHEDULER, "f"].state.status is ExecutionState.REJECTED


def test_every_event_of_random_executions_can_be_forked() -> None:
    """At any event the fork begins with exactly what had ended there, or is refused; none of it runs."""
    forks = 0
    for seed in range(12):
        rng = Random(seed)
        model = Model({"w1": 8.0, "w2": 8.0})
        workflow = random_workflow(rng, "e", 6)
        grown = (with_control_flow, with_children, None)[seed % 3]
        workflow = check(grown(rng, workflow)) if grown else workflow
        model.submit(workflow)
        model.finish()
        version = at(model).version
        for event in sorted(rng.sample(range(1, version + 1), min(4, version))):
            origin = at(model, event)
            try:
                origin_of(origin)
            except RequestRefusedError:
                continue
            again = Model({"w1": 8.0, "w2": 8.0})
            forked = fork(again, origin)
            assert_adopted(forked, origin)
            kept = {adopted.task_id for adopted in origin_of(origin).tasks}
            assert all(origin.tasks[task_id].status in FINAL_TASK_STATUSES for task_id in kept)
            again.finish()
            assert kept.isdisjoint(launched(again))
            forks += 1
    assert forks > 30
