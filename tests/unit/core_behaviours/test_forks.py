"""Goal: a fork begins with what had ended at an event of its origin, never runs that, and runs the rest anew.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE, random_workflow
from talka_chaos.model import Model
from talka_core.history import FOLDS, apply
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.forking import origin_of
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, MapOver, OnFailure
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import ClaimCheck, Dependency, Task, Workflow, WorkflowConfig

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
    while model.soup:
        model.deliver(0)


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
        assert (mine.status, mine.attempt, mine.error) == (theirs.status, theirs.attempt, theirs.error)
        assert bytes(mine.result) == bytes(theirs.result)
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


def test_added_tasks_and_rollbacks_are_refused() -> None:
    """Where the graph had grown, or was going back, the refusal says why and what to do."""
    model = begun(task("list"), task("each", map=MapOver("${list}")), edges=(("list", "each"),))
    end(model, "list", result=b"[1,2]")
    with pytest.raises(RequestRefusedError, match="added to the graph by 'each'") as refusal:
        origin_of(at(model))
    assert refusal.value.code == "has_added_tasks"
    before = next(event for event in range(1, at(model).version + 1) if at(model, event).added)
    forked = fork(model, at(model, before - 1))
    model.finish()
    assert (forked.status, "list" in launched(model)) == (ExecutionState.SUCCEEDED, False)
    with pytest.raises(RequestRefusedError) as unbegun:
        origin_of(ExecutionRecord("x"))
    assert unbegun.value.code == "not_begun"


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
            assert kept.isdisjoint(launched(again))
            forks += 1
    assert forks > 20
