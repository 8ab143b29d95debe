"""Goal: what an attempt saves is recorded once, and the next one is given it, whatever happens in between."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model, Run
from talka_core.history import FOLDS, apply
from talka_core.scheduler.plans import saved_progress
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, Loop
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Dependency, Task, Workflow


def deliver_all(model: Model) -> None:
    """Let everything that is on its way arrive."""
    model.deliver_all()


@pytest.fixture
def model() -> Model:
    """Return one task, with two retries, that runs on one of two workers."""
    model = Model({"w1": 8.0, "w2": 8.0})
    model.submit(Workflow("e", "e", (Task("a", AGENT_TYPE, retries=2),)))
    deliver_all(model)
    return model


def running(model: Model) -> Run:
    """Return the attempt that runs."""
    return next(iter(model.running))


def state(model: Model) -> Any:
    """Return the execution's state."""
    return model.players[Recipient.SCHEDULER, "e"].state


def recorded(model: Model, kind: type) -> list[Any]:
    """Return the events of one kind in the execution's log."""
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [event for commit in commits for _, _, event in commit.events() if isinstance(event, kind)]


def begin_again(model: Model) -> m.StartTask:
    """Let the running attempt fail, and return what the next one is started with."""
    model.end(running(model), Outcome.FAILED)
    deliver_all(model)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    return model.starts[running(model)]


def test_next_attempt_starts_from_the_newest_checkpoint(model: Model) -> None:
    """A failed attempt's last checkpoint and all its steps are part of the next start."""
    run = running(model)
    model.save(run, 1, {"page": 1})
    model.save(run, 2, {"page": 2})
    model.save(run, 3, "uploaded", step="upload")
    deliver_all(model)
    assert [c.sequence for c in model.confirmed if c.refusal is None] == [1, 2, 3]
    start = begin_again(model)
    assert start.checkpoint is not None
    assert msgspec.json.decode(start.checkpoint.data) == {"page": 2}
    assert {name: bytes(saved.data) for name, saved in start.steps.items()} == {"upload": b'"uploaded"'}
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED


def test_lost_worker_loses_nothing_that_was_confirmed(model: Model) -> None:
    """The worker dies after its confirmation; the attempt elsewhere has the checkpoint."""
    run = running(model)
    model.save(run, 1, 41)
    deliver_all(model)
    model.crash_worker(run[0])
    deliver_all(model)
    start = model.starts[running(model)]
    assert start.attempt == 2
    assert start.checkpoint is not None
    assert bytes(start.checkpoint.data) == b"41"
    model.finish()


def test_repeats_and_late_arrivals_record_nothing_twice(model: Model) -> None:
    """A checkpoint that arrives again, or after a newer one, is confirmed and not recorded."""
    run = running(model)
    model.save(run, 1, "old")
    model.save(run, 2, "new")
    first, second = [item for item in model.soup if isinstance(item[1], m.RecordProgress)]
    model.soup = [second, first, second, first]
    deliver_all(model)
    assert [event.sequence for event in recorded(model, e.TaskCheckpointed)] == [2]
    assert sorted(c.sequence for c in model.confirmed) == [1, 2]
    model.finish()


def test_confirmation_that_is_lost_is_asked_for_again(model: Model) -> None:
    """What the worker saved is sent again until it is confirmed, also over a takeover of the scheduler."""
    run = running(model)
    model.save(run, 1, "x", step="one")
    model.deliver(0)
    model.soup.clear()
    model.crash(Recipient.SCHEDULER, "e")
    model.resume(Recipient.WORKER, run[0])
    deliver_all(model)
    assert [c.refusal for c in model.confirmed] == [None]
    assert len(recorded(model, e.TaskStepFinished)) == 1
    model.finish()


def test_stale_attempt_is_refused_and_stopped(model: Model) -> None:
    """An attempt that was taken for lost cannot record anything any more, and is told so."""
    run = running(model)
    model.save(run, 1, "of the living")
    deliver_all(model)
    pool = model.players[Recipient.RESOURCE, "default"].state
    allocation = next(iter(pool.grants))
    model.tell(Recipient.SCHEDULER, m.RevokeAllocation("e", allocation, "taken for lost"))
    model.save(run, 2, "of the dead")
    deliver_all(model)
    last = model.confirmed[-1]
    assert (last.sequence, last.refusal and last.refusal.code) == (2, m.STALE_CODE)
    assert model.running.get(run, True), "the stale attempt is being stopped"
    assert bytes(state(model).tasks["a"].checkpoint.saved.data) == b'"of the living"'
    model.finish()


def test_checkpoint_may_overtake_the_report_of_the_start(model: Model) -> None:
    """A checkpoint of an attempt that is not known to run says that it does."""
    assert state(model).tasks["a"].status is TaskStatus.SCHEDULED
    model.save(running(model), 1, None)
    deliver_all(model)
    assert state(model).tasks["a"].status is TaskStatus.RUNNING
    assert len(recorded(model, e.TaskStarted)) == 1
    model.finish()


def test_nothing_is_owed_for_an_attempt_that_has_ended(model: Model) -> None:
    """A report makes what was still unconfirmed of its attempt unimportant."""
    run = running(model)
    model.save(run, 1, "never recorded")
    model.soup.clear()
    model.end(run, Outcome.SUCCEEDED)
    model.finish()
    assert recorded(model, e.TaskCheckpointed) == []
    assert state(model).status is ExecutionState.SUCCEEDED


def test_every_round_of_a_loop_begins_anew() -> None:
    """What one round saved is not the next one's: its steps are to be run again."""
    model = Model({"w1": 8.0})
    task = Task("a", AGENT_TYPE, loop=Loop("result.ok"))
    model.submit(Workflow("e", "e", (task,)))
    deliver_all(model)
    model.save(running(model), 1, "of the first round")
    model.save(running(model), 2, "done", step="one")
    deliver_all(model)
    model.end(running(model), Outcome.SUCCEEDED, Raw(b'{"ok": false}'))
    deliver_all(model)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    deliver_all(model)
    start = model.starts[running(model)]
    assert (start.attempt, start.checkpoint, start.steps) == (2, None, {})


@pytest.mark.parametrize("from_task", ["", "a"])
def test_restart_goes_on_from_the_checkpoint_of_what_failed(model: Model, from_task: str) -> None:
    """Whether it is named or not, with its steps; a restart of what succeeded begins anew."""
    for number in (1, 2, 3):
        model.save(running(model), number, {"page": number})
        model.save(running(model), number + 10, "uploaded", step=f"upload {number}")
        deliver_all(model)
        if number < 3:
            begin_again(model)
    model.end(running(model), Outcome.FAILED)
    deliver_all(model)
    assert state(model).status is ExecutionState.FAILED
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", from_task, request_id="one"))
    deliver_all(model)
    start = model.starts[running(model)]
    assert start.checkpoint is not None
    assert (start.attempt, msgspec.json.decode(start.checkpoint.data)) == (4, {"page": 3})
    assert list(start.steps) == ["upload 1", "upload 2", "upload 3"]

    model.end(running(model), Outcome.SUCCEEDED)
    deliver_all(model)
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", "a", request_id="two"))
    deliver_all(model)
    start = model.starts[running(model)]
    assert (start.attempt, start.checkpoint, start.steps) == (5, None, {})
    model.finish()


def saved_pages(model: Model, pages: int) -> list[int]:
    """Let the running attempt save pages and steps, and return the versions at which each page was saved."""
    for page in range(1, pages + 1):
        model.save(running(model), 2 * page - 1, page, step=f"upload {page}")
        model.save(running(model), 2 * page, {"page": page})
        deliver_all(model)
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    events = [(version, event) for commit in commits for version, _, event in commit.events()]
    return [version for version, event in events if isinstance(event, e.TaskCheckpointed)]


def progress_at(model: Model, version: int) -> e.Progress:
    """Return what the task had saved by a version."""
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return saved_progress(apply(FOLDS[EXECUTION], FOLDS[EXECUTION].initial("e"), commits, version), "a")


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_restart_goes_on_from_the_checkpoint_that_was_chosen(model: Model, outcome: Outcome) -> None:
    """Not from the newest, however the task ended; only the steps that it had finished by then are known."""
    versions = saved_pages(model, 3)
    model.end(running(model), outcome)
    deliver_all(model)
    while outcome is Outcome.FAILED and state(model).status is ExecutionState.RUNNING:
        model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
        deliver_all(model)
        model.end(running(model), outcome)
        deliver_all(model)
    asked = m.RestartExecution("e", "a", request_id="one", progress=progress_at(model, versions[1]))
    model.tell(Recipient.SCHEDULER, asked)
    deliver_all(model)
    start = model.starts[running(model)]
    assert start.checkpoint is not None
    assert msgspec.json.decode(start.checkpoint.data) == {"page": 2}
    assert list(start.steps) == ["upload 1", "upload 2"]
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED


def test_chosen_checkpoint_survives_the_undoing_of_what_came_after() -> None:
    """What is behind the task is undone first; then the task goes on from the checkpoint."""
    model = Model({"w1": 8.0})
    behind = Task("b", AGENT_TYPE, compensation=Action(AGENT_TYPE))
    model.submit(Workflow("e", "e", (Task("a", AGENT_TYPE), behind), (Dependency("a", "b"),)))
    deliver_all(model)
    versions = saved_pages(model, 2)
    for _ in range(2):
        model.end(running(model), Outcome.SUCCEEDED)
        deliver_all(model)
    asked = m.RestartExecution("e", "a", request_id="one", progress=progress_at(model, versions[0]))
    model.tell(Recipient.SCHEDULER, asked)
    deliver_all(model)
    assert [event.tasks for event in recorded(model, e.RollbackStarted)] == [("a", "b")]
    model.end(running(model), Outcome.SUCCEEDED)
    deliver_all(model)
    start = model.starts[running(model)]
    assert (start.task.id, start.checkpoint and bytes(start.checkpoint.data)) == ("a", b'{"page":1}')


@pytest.mark.parametrize(
    ("task", "of", "why"),
    [
        (Task("a", AGENT_TYPE, compensation=Action(AGENT_TYPE)), "a", "undone first"),
        (Task("a", AGENT_TYPE, loop=Loop("true", 3)), "a", "one iteration"),
        (Task("a", AGENT_TYPE), "b", "of task 'b'"),
    ],
)
def test_checkpoints_that_nothing_can_go_on_from_are_refused(task: Task, of: str, why: str) -> None:
    """The refusal says why, and nothing runs again."""
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", (task,)))
    deliver_all(model)
    versions = saved_pages(model, 1)
    model.end(running(model), Outcome.SUCCEEDED)
    deliver_all(model)
    progress = replace(progress_at(model, versions[0]), task_id=of)
    model.tell(Recipient.SCHEDULER, m.RestartExecution("e", "a", request_id="one", progress=progress))
    deliver_all(model)
    (refused,) = recorded(model, e.RequestRefused)
    assert refused.code == "checkpoint_unusable"
    assert why in refused.message
    assert not model.running


def test_no_checkpoint_to_go_on_from_is_refused(model: Model) -> None:
    """Before the task saved anything there is nothing to choose."""
    versions = saved_pages(model, 1)
    with pytest.raises(RequestRefusedError, match=f"no checkpoint by event {versions[0] - 1}"):
        progress_at(model, versions[0] - 1)
