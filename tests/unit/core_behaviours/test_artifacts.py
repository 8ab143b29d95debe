"""Goal: what tasks wrote and read is recorded, and two that touch one artifact in no order are found out."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model, Run
from talka_core.status import status_of
from talka_protocols.events import ViolationKind
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck, Dependency, Task, Workflow, WorkflowConfig

CLAIM = ClaimCheck("object", 3, "digest")
READ, RACE = ViolationKind.UNORDERED_READ, ViolationKind.RACING_WRITE


def begun(*edges: tuple[str, str], strict: bool = False, **declared: dict[str, Any]) -> Model:
    """Return a model in which the tasks a, b and c run as soon as the edges allow."""
    tasks = tuple(Task(id_, AGENT_TYPE, **declared.get(id_, {})) for id_ in "abc")
    config = WorkflowConfig(fails_on_violation=strict)
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, tuple(Dependency(*edge) for edge in edges), config))
    deliver_all(model)
    return model


def deliver_all(model: Model) -> None:
    """Let everything that is on its way arrive."""
    model.deliver_all()
    model.now_ms += 10


def running(model: Model, task_id: str) -> Run:
    """Return the attempt of a task that runs."""
    return next(run for run in model.running if run[2] == task_id)


def end(model: Model, task_id: str, **artifacts: ClaimCheck | None) -> None:
    """Let a task succeed that has written artifacts."""
    run = running(model, task_id)
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, artifacts=artifacts)
    deliver_all(model)


def state(model: Model) -> Any:
    """Return the execution's state."""
    return model.players[Recipient.SCHEDULER, "e"].state


def found(model: Model) -> list[tuple[str, str, str, ViolationKind, tuple[str, str]]]:
    """Return what was found out."""
    return [
        (v.task_id, v.artifact, v.other_task, v.kind, (v.proposed.from_task, v.proposed.to_task))
        for v in state(model).violations
    ]


def test_read_of_what_nothing_puts_first() -> None:
    """A task that reads another's product without depending on it gets it, and the edge is proposed."""
    model = begun()
    end(model, "a", book=CLAIM)
    model.read(running(model, "b"), 1, "book")
    deliver_all(model)
    assert model.confirmed[-1].claim == CLAIM
    assert found(model) == [("b", "book", "a", READ, ("a", "b"))]
    (alert,) = model.alerts
    assert alert.startswith("The task 'b' reads the artifact 'book' that 'a' writes")
    assert alert.endswith("Write depends_on: [a] into the task 'b'.")
    assert status_of(state(model)).alerts == tuple(model.alerts)
    model.finish()
    assert state(model).status is ExecutionState.SUCCEEDED


def test_order_by_any_path_is_enough() -> None:
    """A dependency over a third task orders the two, so nothing is found."""
    model = begun(("a", "b"), ("b", "c"))
    end(model, "a", book=CLAIM)
    end(model, "b")
    model.read(running(model, "c"), 1, "book")
    deliver_all(model)
    end(model, "c", book=CLAIM)
    assert state(model).artifacts["book"].task_id == "c"
    assert found(model) == []
    model.finish()


def test_two_writers_in_no_order() -> None:
    """Whoever writes second is told of the first, once, however often the report comes."""
    model = begun()
    end(model, "a", book=CLAIM)
    run = running(model, "b")
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, artifacts={"book": CLAIM})
    model.soup *= 2
    deliver_all(model)
    assert found(model) == [("b", "book", "a", RACE, ("a", "b"))]
    model.finish()


def test_declared_read_of_an_undeclared_write() -> None:
    """A task that declares that it reads what another was only seen to write needs an edge."""
    model = begun(b={"reads": ("out.txt",)})
    end(model, "b")
    end(model, "a", **{"out.txt": None})
    assert found(model) == [("b", "out.txt", "a", READ, ("a", "b"))]
    model.finish()


def test_change_seen_with_two_at_once_is_the_declared_ones() -> None:
    """Two programs that shared a directory both saw the file change; one of them says that it writes it."""
    model = begun(b={"writes": ("out.txt",)})
    for task_id in ("a", "b"):
        model.begin(running(model, task_id))
    model.now_ms += 10
    end(model, "a", **{"out.txt": None})
    end(model, "b", **{"out.txt": None})
    assert found(model) == []
    model.finish()


def test_what_nobody_wrote_cannot_be_read() -> None:
    """A name that no task that succeeded has written is refused, and nothing is recorded."""
    model = begun()
    model.read(running(model, "b"), 1, "book")
    deliver_all(model)
    refusal = model.confirmed[-1].refusal
    assert (refusal and refusal.code, state(model).readers) == ("no_artifact", {})
    model.finish()


@pytest.mark.parametrize("strict", [True, False])
def test_workflow_may_make_it_fail(strict: bool) -> None:
    """Where the workflow wants it, the task at whose end the violation shows fails with the missing edge."""
    model = begun(strict=strict)
    end(model, "a", book=CLAIM)
    end(model, "b", book=CLAIM)
    record = state(model).tasks["b"]
    assert record.status is (TaskStatus.FAILED if strict else TaskStatus.SUCCEEDED)
    if strict:
        assert record.error.code == "dependency_violation"
        assert "depends_on: [a]" in record.error.message
    model.finish()


@pytest.mark.parametrize("cut", [1, 2])
def test_report_cut_short_is_completed(cut: int) -> None:
    """A crash between what was found and the outcome loses neither, nor finds it twice."""
    model = begun()
    end(model, "a", book=CLAIM)
    run = running(model, "b")
    model.begin(run)
    deliver_all(model)
    model.end(run, Outcome.SUCCEEDED, artifacts={"book": CLAIM})
    model.deliver(0, cut=cut)
    model.resume(Recipient.WORKER, run[0])
    deliver_all(model)
    assert found(model) == [("b", "book", "a", RACE, ("a", "b"))]
    assert state(model).artifacts["book"].task_id == "b"
    model.finish()
