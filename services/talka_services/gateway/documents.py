"""What operations answer with; the same fields as the command line prints with ``--json``."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from talka_core.planner import PlanRecord
from talka_core.scheduler import ExecutionRecord
from talka_core.status import status_of, task_result
from talka_protocols.events import Parent
from talka_protocols.results import Awaited, ExecutionStatus, TaskResult
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck


class ExecutionDocument(Struct, frozen=True):
    """Where an execution stands at event ``version``; instants are Unix seconds, null for never.

    ``archived`` is the URL of the file in which it lies, if that is so.
    """

    execution_id: str
    name: str
    status: ExecutionState
    version: int
    done: int
    total: int
    counts: dict[TaskStatus, int]
    running: tuple[str, ...]
    waiting: tuple[str, ...]
    started_at: float | None
    finished_at: float | None
    reason: str
    parent: Parent | None
    paused: tuple[str, ...]
    parked: tuple[str, ...]
    alerts: tuple[str, ...]
    accepted_at: float | None = None
    pool: str = "default"
    archived: str | None = None


class Fault(Struct, frozen=True):
    """Why a task failed."""

    code: str
    message: str
    detail: str = ""


class UsageDocument(Struct, frozen=True, omit_defaults=True):
    """What a task was measured to use."""

    wall_s: float
    cpu_s: float | None
    memory_mb: float | None
    gpus: int | None = None
    gpu_memory_mb: float | None = None


class LargeValue(Struct, frozen=True):
    """A result that is kept aside; the task's ``result`` gives it."""

    ref: str
    bytes: int
    sha256: str


class TaskDocument(Struct, frozen=True):
    """One task: it has ``waiting`` while it waits, ``error`` if it failed, and else ``result``.

    A result over 64 KiB is a ``LargeValue``.
    """

    task_id: str
    status: TaskStatus
    attempts: int
    started_at: float | None
    finished_at: float | None
    worker: str | None
    result: Any = UNSET
    error: Fault | UnsetType = UNSET
    waiting: Awaited | UnsetType = UNSET
    usage: UsageDocument | UnsetType = UNSET


class EventDocument(Struct, frozen=True):
    """One event, with fields of its own beside these: what it says is described in the guide.

    ``at`` is Unix seconds, ``seq`` the place of its commit in the stream, ``cause`` the message that
    led to it, and ``asked_by`` who sent that, if somebody did.
    """

    seq: int
    version: int
    at: float
    type: str
    id: str
    cause: str
    execution_id: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    pool: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    asked_by: str | UnsetType = UNSET


def execution_document(
    status: ExecutionStatus, accepted_at: float | None = None, pool: str = "default"
) -> ExecutionDocument:
    """Return a status as a document."""
    return ExecutionDocument(
        status.execution_id,
        status.name,
        status.status,
        status.version,
        status.done,
        status.total,
        status.counts,
        status.running,
        status.waiting,
        status.started_at,
        status.finished_at,
        status.reason,
        status.parent,
        status.paused,
        status.parked,
        status.alerts,
        accepted_at,
        pool,
        status.archived or None,
    )


def on_file(plan: PlanRecord) -> ExecutionDocument:
    """Return where an execution stands that no scheduler has begun, by what the planner knows of it."""
    workflow = plan.workflow
    return execution_document(
        ExecutionStatus(
            plan.execution_id,
            plan.name,
            ExecutionState.ACCEPTED,
            version=0,
            total=len(workflow.tasks) if workflow is not None else 0,
            counts={},
            parent=plan.parent,
        ),
        pool=workflow.config.pool if workflow is not None else "default",
    )


def document_of(state: ExecutionRecord) -> ExecutionDocument:
    """Return where an execution's state says it stands."""
    accepted_at = (state.accepted_at or state.started_at) / 1000
    return execution_document(status_of(state), accepted_at or None, state.pool)


def large_value(claim: ClaimCheck) -> LargeValue:
    """Return what stands for a stored value."""
    return LargeValue(claim.ref, claim.bytes, claim.sha256)


def task_document(task: TaskResult) -> TaskDocument:
    """Return how one task stands as a document."""
    result: Any = task.result
    error: Fault | UnsetType = UNSET
    waiting: Awaited | UnsetType = UNSET
    if task.waiting is not None:
        result, waiting = UNSET, task.waiting
    elif task.error is not None:
        result, error = UNSET, Fault(task.error.code, task.error.message, task.error.detail)
    elif isinstance(result, ClaimCheck):
        result = large_value(result)
    used = task.usage
    usage: UsageDocument | UnsetType = UNSET
    if used is not None:
        cpu_s = None if used.cpu_ms is None else used.cpu_ms / 1000
        usage = UsageDocument(used.wall_ms / 1000, cpu_s, used.memory_mb, used.gpus, used.gpu_memory_mb)
    return TaskDocument(
        task.task_id,
        task.status,
        task.attempts,
        task.started_at,
        task.finished_at,
        task.worker,
        result,
        error,
        waiting,
        usage,
    )


def task_documents(state: ExecutionRecord) -> list[TaskDocument]:
    """Return every task of an execution, in the order of its definition."""
    return [
        task_document(task_result(task_id, record, state.usage.get(task_id)))
        for task_id, record in state.tasks.items()
    ]
