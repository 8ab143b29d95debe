"""Goal: a task starts when its join says so, and what it no longer needs is cancelled.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.scheduler.inputs import inputs_of
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Join, OnFailure
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Dependency, Task, Workflow, WorkflowConfig

S = TaskStatus


def _model(join: Join | int, config: WorkflowConfig | None = None, **options: Any) -> Model:
    """Return a running execution in which ``end`` needs ``a``, ``b`` and ``c``."""
    tasks = [Task(id_, AGENT_TYPE, **options) for id_ in "abc"]
    tasks.append(Task("end", AGENT_TYPE, join=join))
    edges = tuple(Dependency(id_, "end") for id_ in "abc")
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tuple(tasks), edges, config or WorkflowConfig()))
    model.deliver_all()
    return model


def _end(model: Model, task_id: str, outcome: Outcome) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(b"1"))
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _status(model: Model, task_id: str = "end") -> TaskStatus:
    status: TaskStatus = _state(model).tasks[task_id].status
    return status


@pytest.mark.parametrize(("join", "needed"), [(Join.ANY, 1), (1, 1), (2, 2), (3, 3), (Join.ALL, 3)])
def test_starts_with_the_last_success_that_it_asks_for(join: Join | int, needed: int) -> None:
    """So many successes are enough, and one fewer is not."""
    model = _model(join)
    for count, task_id in enumerate("abc"[:needed], start=1):
        assert _status(model) is S.PENDING
        _end(model, task_id, Outcome.SUCCEEDED)
        assert (_status(model) is not S.PENDING) == (count == needed)
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_what_an_attempt_takes_in_stays_what_it_was() -> None:
    """A result that comes after it began is none of its own, even if it has to be sent once more."""
    edges = tuple(Dependency(id_, "end") for id_ in "ab")
    takes = {"a": "${a}", "b": "${b}"}
    tasks = (*(Task(id_, AGENT_TYPE) for id_ in "ab"), Task("end", AGENT_TYPE, join=Join.ANY, payload=takes))
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, edges))
    model.deliver_all()
    for task_id in "ab":
        _end(model, task_id, Outcome.SUCCEEDED)
    inputs, _ = inputs_of(_state(model), "end")
    assert {text: bytes(value) for text, value in inputs.items()} == {"a": b"1", "b": b"null"}
    model.finish()


def test_is_skipped_as_soon_as_its_join_cannot_be_met() -> None:
    """Two of three are asked for: the second failure decides."""
    model = _model(2)
    _end(model, "a", Outcome.FAILED)
    assert _status(model) is S.PENDING
    _end(model, "b", Outcome.FAILED)
    assert _status(model) is S.SKIPPED
    assert _state(model).tasks["end"].because in {"a", "b"}
    model.finish()
    assert _state(model).status is ExecutionState.FAILED


def test_done_waits_for_every_end_however_it_is() -> None:
    """A task that cleans up runs although all others failed, and the execution still failed."""
    model = _model(Join.DONE)
    for task_id in "abc":
        assert _status(model) is S.PENDING
        _end(model, task_id, Outcome.FAILED)
    model.finish()
    assert _status(model) is S.SUCCEEDED
    assert _state(model).status is ExecutionState.FAILED


def test_first_success_cancels_the_losers_and_what_only_they_need() -> None:
    """The loser that runs is stopped, its pending ancestor's chain too, and nothing of it is a fault."""
    chain = (Dependency("a", "end"), Dependency("root", "b"), Dependency("b", "end"))
    tasks = (*(Task(id_, AGENT_TYPE) for id_ in ("a", "root", "b")), Task("end", AGENT_TYPE, join=Join.FIRST))
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, chain))
    model.deliver_all()
    _end(model, "a", Outcome.SUCCEEDED)
    assert _status(model, "b") is S.CANCELLED
    assert _state(model).tasks["root"].is_stopping
    model.finish()
    assert _status(model, "root") is S.CANCELLED
    assert _status(model) is S.SUCCEEDED
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_first_success_spares_what_others_need() -> None:
    """A loser that somebody else needs as well goes on."""
    tasks = (
        *(Task(id_, AGENT_TYPE) for id_ in ("a", "b", "other")),
        Task("end", AGENT_TYPE, join=Join.FIRST),
    )
    edges = (Dependency("a", "end"), Dependency("b", "end"), Dependency("b", "other"))
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, edges))
    model.deliver_all()
    _end(model, "a", Outcome.SUCCEEDED)
    assert not _state(model).tasks["b"].is_stopping
    model.finish()
    assert _status(model, "other") is S.SUCCEEDED


def test_failure_that_is_continued_counts_as_success_to_others() -> None:
    """With ``on_failure: continue`` everything behind runs, and the execution is partial."""
    model = _model(Join.ALL, on_failure=OnFailure.CONTINUE)
    for task_id in "abc":
        _end(model, task_id, Outcome.FAILED)
    model.finish()
    assert _status(model) is S.SUCCEEDED
    assert _state(model).status is ExecutionState.PARTIAL


@pytest.mark.parametrize(
    ("config", "status"),
    [
        (WorkflowConfig(tolerated_failures=1), ExecutionState.PARTIAL),
        (WorkflowConfig(tolerated_failure_share=0.25), ExecutionState.PARTIAL),
        (WorkflowConfig(tolerated_failure_share=0.24), ExecutionState.FAILED),
        (WorkflowConfig(), ExecutionState.FAILED),
    ],
)
def test_so_many_failures_are_tolerated(config: WorkflowConfig, status: ExecutionState) -> None:
    """One failed task of four makes the execution partial where a quarter or one is tolerated."""
    model = _model(Join.ALL, config)
    _end(model, "a", Outcome.FAILED)
    model.finish()
    assert _status(model) is S.SKIPPED
    assert _state(model).status is status
