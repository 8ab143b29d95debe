"""What users get back: results of tasks and workflows, and the status of an execution.

Times are Unix seconds; None where something never happened.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from talka_protocols.events import Parent, TaskFailure, Usage
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus


class Awaited(Struct, frozen=True):
    """What a task waits for, and until when (None: without end); ``data`` is what it shows or asks."""

    kind: str
    name: str = ""
    until: float | None = None
    data: Any = None


class TaskResult(Struct, frozen=True):
    """How one task ended. ``result`` is its value, or a ``ClaimCheck`` where it was not loaded.

    ``waiting`` is None unless the task waits now, and ``usage`` where nothing was measured.
    """

    task_id: str
    status: TaskStatus
    attempts: int = 0
    result: Any = None
    error: TaskFailure | None = None
    started_at: float | None = None
    finished_at: float | None = None
    worker: str | None = None
    waiting: Awaited | None = None
    usage: Usage | None = None

    @property
    def is_success(self) -> bool:
        """Tell whether the task succeeded."""
        return self.status is TaskStatus.SUCCEEDED


class WorkflowResult(Struct, frozen=True):
    """How an execution ended; ``makespan_s`` is from its start to its end.

    ``alerts`` are sentences about what nobody asked for, such as a dependency that is missing.
    """

    execution_id: str
    name: str
    status: ExecutionState
    tasks: dict[str, TaskResult] = field(default_factory=dict[str, TaskResult])
    makespan_s: float | None = None
    reason: str = ""
    alerts: tuple[str, ...] = ()

    @property
    def is_success(self) -> bool:
        """Tell whether every task succeeded."""
        return self.status is ExecutionState.SUCCEEDED


class ExecutionStatus(Struct, frozen=True):
    """Where an execution stands at event ``version``; ``parent`` is the task whose sub-workflow it is.

    ``paused`` are the tasks that are, each by itself; ``parked`` are those that
    somebody must decide about. ``archived`` is the URL of the file in which it lies, if that is so.
    """

    execution_id: str
    name: str
    status: ExecutionState
    version: int
    total: int
    counts: dict[TaskStatus, int]
    running: tuple[str, ...] = ()
    started_at: float | None = None
    finished_at: float | None = None
    reason: str = ""
    waiting: tuple[str, ...] = ()
    parent: Parent | None = None
    paused: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    archived: str = ""

    @property
    def is_final(self) -> bool:
        """Tell whether the execution is over."""
        return self.status in FINAL_EXECUTION_STATES

    @property
    def done(self) -> int:
        """Return how many tasks have ended, however they did."""
        ended = (
            TaskStatus.SUCCEEDED,
            TaskStatus.FAILED,
            TaskStatus.TIMED_OUT,
            TaskStatus.CANCELLED,
            TaskStatus.SKIPPED,
        )
        return sum(self.counts.get(status, 0) for status in ended)


class RollbackPlan(Struct, frozen=True):
    """What going back to event ``to`` does, by task id.

    ``cancelled`` are active now; ``compensated`` are undone, in this order;
    ``kept`` stay as they are with their results; ``again`` run again when the
    execution continues; ``removed`` were added to the graph since; ``irreversible``
    did what stays, or may have where ``TASK/TASK`` names one of a sub-workflow.
    ``children`` are the sub-workflows that are undone; ``resumed`` are maps among ``again`` that keep items,
    and ``paused`` are those that were paused then and stay so until somebody resumes them.
    """

    to: int
    cancelled: tuple[str, ...] = ()
    compensated: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    irreversible: tuple[str, ...] = ()
    children: tuple[ChildPlan, ...] = ()
    resumed: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()


class ChildPlan(Struct, frozen=True):
    """What a sub-workflow of a task undoes with it; no ``plan`` where its history is not at hand."""

    task_id: str
    execution_id: str
    plan: RollbackPlan | None = None
