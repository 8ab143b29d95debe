"""Why a task does not run, as data; instants are Unix seconds, None where there is none."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


@quick
class CauseKind(StrEnum):
    """What keeps a task from running, or what has become of it."""

    START_TIME = "start_time"
    SCHEDULE_PAUSED = "schedule_paused"
    NOT_PLANNED = "not_planned"
    NOT_RECORDED = "not_recorded"
    REJECTED = "rejected"
    EXECUTION_PAUSED = "execution_paused"
    EXECUTION_STOPPING = "execution_stopping"
    EXECUTION_OVER = "execution_over"
    ROLLING_BACK = "rolling_back"
    ROLLBACK_FAILED = "rollback_failed"
    TASK_PAUSED = "task_paused"
    PARKED = "parked"
    DEPENDENCY = "dependency"
    CONDITION = "condition"
    JOIN = "join"
    COMPENSATION = "compensation"
    NOT_DECIDED = "not_decided"
    PARALLEL_LIMIT = "parallel_limit"
    MAP_LIMIT = "map_limit"
    MAP_ITEMS = "map_items"
    TIMER = "timer"
    SIGNAL = "signal"
    APPROVAL = "approval"
    SUB_WORKFLOW = "sub_workflow"
    EXTENSION = "extension"
    RETRY = "retry"
    LOOP = "loop"
    NOT_REQUESTED = "not_requested"
    NEVER_FITS = "never_fits"
    KEY_LIMIT = "key_limit"
    RATE_LIMIT = "rate_limit"
    POOL_WIDE = "pool_wide"
    NO_WORKER = "no_worker"
    TOO_LARGE = "too_large"
    DRAINING = "draining"
    SLOTS = "slots"
    RESOURCE = "resource"
    RESERVATION = "reservation"
    QUEUE = "queue"
    BREAKER = "breaker"
    QUOTA = "quota"
    EXECUTION_LIMIT = "execution_limit"
    FAIRNESS = "fairness"
    HELD = "held"
    PREEMPTED = "preempted"
    DEADLINE = "deadline"
    GANG = "gang"
    BASELINE = "baseline"
    NOT_DISPATCHED = "not_dispatched"
    NOT_STARTED = "not_started"
    WORKER_LOST = "worker_lost"
    STOPPING = "stopping"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    CONDITION_FALSE = "condition_false"
    DEPENDENCY_FAILED = "dependency_failed"
    COMPENSATED = "compensated"


class Holding(Struct, frozen=True, omit_defaults=True):
    """Who has what is missing: an attempt of a task, a client, a reservation, or what was lost.

    ``amount`` is how much of it, ``since`` when it was given, and ``until`` when
    it comes back by itself at the latest.
    """

    amount: float
    execution_id: str = ""
    task_id: str = ""
    attempt: int = 0
    client_id: str = ""
    reservation_id: str = ""
    worker_id: str = ""
    since: float | None = None
    until: float | None = None


class Cause(Struct, frozen=True, omit_defaults=True):
    """One thing that keeps a task from running.

    ``remedy`` is what would change it. ``execution_id`` and ``task_id`` name
    the task that it is about, which may be one that the task waits for.
    ``chain`` leads from the task through those it waits for to the one that is
    really in the way. ``short`` is how much of ``resource`` is missing.
    ``since`` is when it began, and ``until`` when it ends by itself.
    """

    kind: CauseKind
    sentence: str
    remedy: str = ""
    execution_id: str = ""
    task_id: str = ""
    chain: tuple[str, ...] = ()
    resource: str = ""
    short: float = 0.0
    worker_id: str = ""
    holders: tuple[Holding, ...] = ()
    since: float | None = None
    until: float | None = None


class Explanation(Struct, frozen=True):
    """Why a task does not run, the first cause first, as of an execution's event ``version``.

    ``starts_at`` is when it is expected to run, None where nobody can tell, and
    ``expectation`` says what that rests on.
    """

    execution_id: str
    task_id: str
    status: str
    version: int
    causes: tuple[Cause, ...]
    starts_at: float | None = None
    expectation: str = ""
