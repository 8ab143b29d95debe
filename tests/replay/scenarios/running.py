"""What the scenarios have in common."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols import messages as m
from talka_protocols.events import TaskFailure
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import (
    Dependency,
    ResourceRequirements,
    Task,
    Workflow,
    WorkflowConfig,
)

CORE = ResourceRequirements(cpu_cores=1.0)
DIAMOND = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))


def workflow_of(*edges: tuple[str, str], retries: int = 0, config: WorkflowConfig | None = None) -> Workflow:
    """Return the workflow of four tasks that the plain histories share."""
    tasks = tuple(Task(id_, AGENT_TYPE, resources=CORE, retries=retries) for id_ in "abcd")
    dependencies = tuple(Dependency(*edge) for edge in edges)
    return Workflow("golden", "golden", tasks, dependencies, config or WorkflowConfig(max_parallel=2))


def begun(workflow: Workflow, workers: dict[str, float] | None = None) -> Model:
    """Return a model in which the workflow is under way."""
    model = Model(workers or {"w1": 2.0})
    model.submit(workflow)
    deliver_all(model)
    return model


def deliver_all(model: Model) -> None:
    """Deliver every message, in order."""
    model.deliver_all()
    model.now_ms += 7


def end(model: Model, task_id: str, outcome: Outcome, result: bytes = b"null", **more: Any) -> None:
    """Let the attempt of a task begin and end; ``more`` are further fields of its report."""
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(result), **more)
    deliver_all(model)


def fail(model: Model, task_id: str, error: TaskFailure) -> None:
    """Let a task fail with an error of the worker's."""
    run = next(run for run in model.running if run[2] == task_id)
    del model.running[run]
    worker_id, execution_id, _, attempt = run
    now = model.now_ms
    report = m.AttemptFinished(
        execution_id, task_id, attempt, worker_id, now, now, Outcome.FAILED, error=error
    )
    model.tell(Recipient.WORKER, m.AttemptEnded(worker_id, report))
    deliver_all(model)
