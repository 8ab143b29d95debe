"""States of tasks and executions, and the transitions between them, as data.

The tables are the truth: the docs draw them, the property tests hold every
generated history against them, and ``replay --verify`` checks recorded logs.
"""

from __future__ import annotations

from enum import StrEnum

from talka_protocols.enums import quick


@quick
class TaskStatus(StrEnum):
    """Where one task of an execution stands."""

    PENDING = "pending"
    READY = "ready"
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"


@quick
class ExecutionState(StrEnum):
    """Where a whole execution stands."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


@quick
class Health(StrEnum):
    """What the end of an attempt says of its agent type, for circuit breakers; mostly nothing."""

    UNKNOWN = ""
    GOOD = "good"
    BAD = "bad"


_T = TaskStatus
_X = ExecutionState

FINAL_TASK_STATUSES = frozenset(
    {_T.SUCCEEDED, _T.FAILED, _T.TIMED_OUT, _T.CANCELLED, _T.SKIPPED, _T.COMPENSATED}
)
ACTIVE_TASK_STATUSES = frozenset({_T.QUEUED, _T.SCHEDULED, _T.RUNNING})
"""Those that count against ``max_parallel``."""

FINAL_EXECUTION_STATES = frozenset(
    {_X.REJECTED, _X.SUCCEEDED, _X.PARTIAL, _X.FAILED, _X.TIMED_OUT, _X.CANCELLED, _X.ROLLED_BACK}
)

TASK_TRANSITIONS: dict[TaskStatus, frozenset[TaskStatus]] = {
    _T.PENDING: frozenset(
        {_T.READY, _T.SUCCEEDED, _T.FAILED, _T.TIMED_OUT, _T.SKIPPED, _T.CANCELLED, _T.COMPENSATED}
    ),
    _T.READY: frozenset(
        {_T.QUEUED, _T.SCHEDULED, _T.WAITING, _T.SKIPPED, _T.CANCELLED, _T.FAILED, _T.TIMED_OUT}
    ),
    _T.QUEUED: frozenset({_T.SCHEDULED, _T.READY, _T.WAITING, _T.FAILED, _T.CANCELLED}),
    _T.SCHEDULED: frozenset({_T.RUNNING, _T.READY, _T.WAITING, _T.CANCELLED, _T.TIMED_OUT, _T.RETRYING}),
    _T.RUNNING: frozenset(
        {_T.SUCCEEDED, _T.FAILED, _T.TIMED_OUT, _T.RETRYING, _T.READY, _T.WAITING, _T.CANCELLED}
    ),
    _T.WAITING: frozenset({_T.READY, _T.SUCCEEDED, _T.FAILED, _T.TIMED_OUT, _T.RETRYING, _T.CANCELLED}),
    _T.RETRYING: frozenset({_T.READY, _T.CANCELLED}),
    _T.COMPENSATING: frozenset({_T.COMPENSATED, _T.FAILED}),
    _T.SUCCEEDED: frozenset({_T.COMPENSATING, _T.COMPENSATED, _T.PENDING, _T.WAITING, _T.CANCELLED}),
    _T.FAILED: frozenset({_T.COMPENSATING, _T.COMPENSATED, _T.PENDING, _T.WAITING, _T.CANCELLED}),
    _T.TIMED_OUT: frozenset({_T.COMPENSATING, _T.COMPENSATED, _T.PENDING, _T.CANCELLED}),
    _T.CANCELLED: frozenset({_T.COMPENSATING, _T.COMPENSATED, _T.PENDING, _T.WAITING}),
    _T.SKIPPED: frozenset({_T.PENDING, _T.CANCELLED}),
    _T.COMPENSATED: frozenset({_T.PENDING, _T.WAITING}),
}
"""Which status may follow which.

READY to SCHEDULED is a hand-on: a finished task's allocation goes straight to
its successor. QUEUED, SCHEDULED or RUNNING to READY is a lost attempt; a queued
one is lost when its worker is gone before the grant arrived. PENDING to FAILED
is a condition that could not be evaluated. SCHEDULED to TIMED_OUT or RETRYING is an
attempt that its worker did not start in time. PENDING to anything final is also
what a fork takes over from its origin. WAITING holds nothing: the task
waits for time, for a person, for the outside or for tasks of its own. RUNNING
to WAITING is a task that returned and has asked to add to the graph, or one that
is parked, as from QUEUED or SCHEDULED; WAITING to READY is one that is released.
What has ended becomes something else only by a rollback, a restart, a broken
group, or the resume of an execution that its time limit had stopped:
COMPENSATING while it is undone, PENDING when it is to run again, or WAITING if it
is a map some of whose items are kept.
"""

EXECUTION_TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    _X.ACCEPTED: frozenset({_X.RUNNING}),
    _X.RUNNING: frozenset(
        {
            _X.PAUSED,
            _X.SUCCEEDED,
            _X.PARTIAL,
            _X.FAILED,
            _X.TIMED_OUT,
            _X.CANCELLED,
            _X.ROLLING_BACK,
        }
    ),
    _X.PAUSED: frozenset(
        {
            _X.RUNNING,
            _X.SUCCEEDED,
            _X.PARTIAL,
            _X.FAILED,
            _X.TIMED_OUT,
            _X.CANCELLED,
            _X.ROLLING_BACK,
        }
    ),
    _X.ROLLING_BACK: frozenset({_X.RUNNING, _X.ROLLED_BACK, _X.FAILED}),
    **{
        ended: frozenset({_X.RUNNING, _X.ROLLING_BACK})
        for ended in (_X.SUCCEEDED, _X.PARTIAL, _X.FAILED, _X.TIMED_OUT, _X.CANCELLED, _X.ROLLED_BACK)
    },
}
"""PAUSED ends by itself when what still ran was all that was left."""
