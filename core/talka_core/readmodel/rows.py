"""The rows of the read model.

Instants are milliseconds since the epoch, 0 for never. A field that is None
says nothing: it leaves what an earlier fact said, so that facts about one row
can be added up in any number of steps.
"""

from __future__ import annotations

from msgspec import Struct


class ExecutionRow(Struct, frozen=True, gc=False):
    """One execution; ``position`` is the place of its newest commit, ``document`` its status as JSON.

    ``archived`` is the URL of the file in which it lies, if that is so: then it has no rows elsewhere.

    One whose log cannot be folded is ``broken``, and nothing else is known of it.
    """

    execution_id: str
    name: str
    status: str
    accepted_at: int
    started_at: int
    finished_at: int
    total: int
    done: int
    failed: int
    parent_id: str
    schedule: str
    reason: str
    version: int
    position: int
    document: str
    archived: str = ""


class TaskRow(Struct, frozen=True, gc=False):
    """One task of an execution, as it is now; one that leaves the graph leaves the table."""

    execution_id: str
    task_id: str
    agent_type: str
    status: str
    attempt: int
    worker_id: str
    ready_at: int
    started_at: int
    finished_at: int
    error_code: str


class AttemptRow(Struct, frozen=True, gc=False):
    """One attempt of a task, for ever.

    ``outcome`` is how it ended, empty while it has not: ``succeeded``,
    ``failed``, ``timed_out``, ``retried`` (failed, and another follows),
    ``iterated`` (returned, and another round follows), ``fell_back``,
    ``cancelled``, ``lost`` with its worker, ``parked``, or ``withdrawn``.
    """

    execution_id: str
    task_id: str
    attempt: int
    agent_type: str | None = None
    worker_id: str | None = None
    allocation_id: str | None = None
    fence: int | None = None
    ready_at: int | None = None
    queued_at: int | None = None
    scheduled_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    outcome: str | None = None
    error_code: str | None = None
    cpu_ms: int | None = None
    memory_mb: float | None = None


class AllocationRow(Struct, frozen=True, gc=False):
    """One allocation of a pool: queued, granted, handed on, revoked, freed. ``amounts`` is JSON."""

    pool: str
    allocation_id: str
    status: str | None = None
    execution_id: str | None = None
    task_id: str | None = None
    attempt: int | None = None
    client_id: str | None = None
    agent_type: str | None = None
    worker_id: str | None = None
    fence: int | None = None
    queued_at: int | None = None
    granted_at: int | None = None
    freed_at: int | None = None
    amounts: str | None = None


class AnchorRow(Struct, frozen=True, gc=False):
    """One signed commit as it was when it came: its place, its first event, and the SHA-256 of its bytes."""

    log: str
    position: int
    version: int
    digest: str


Row = ExecutionRow | TaskRow | AttemptRow | AllocationRow | AnchorRow

TABLES: dict[str, tuple[type[Row], int]] = {
    "executions": (ExecutionRow, 1),
    "tasks": (TaskRow, 2),
    "attempts": (AttemptRow, 3),
    "allocations": (AllocationRow, 2),
    "anchors": (AnchorRow, 2),
}
"""The tables by name: what a row is, and how many of its first fields are its key."""
