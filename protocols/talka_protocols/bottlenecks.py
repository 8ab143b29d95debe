"""Where the time of an execution went, and what would have saved some of it; durations are milliseconds."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick


@quick
class Spent(StrEnum):
    """What a stretch of time on the critical path went on.

    ``compute`` is the attempt that counted, and ``retry`` those that did not, with
    the pauses behind them. ``queue`` is the wait for a turn under the workflow's own
    limits, ``resource`` that for the pool, ``transfer`` that from a grant to the begin on a
    worker. ``wait`` holds nothing: time, signals, people, sub-workflows. ``overhead``
    is between a report and the decision that follows, ``paused`` what people held
    back, and ``undone`` what went on rollbacks and between two runs of an execution.
    """

    COMPUTE = "compute"
    QUEUE = "queue"
    RESOURCE = "resource"
    RETRY = "retry"
    TRANSFER = "transfer"
    WAIT = "wait"
    OVERHEAD = "overhead"
    PAUSED = "paused"
    UNDONE = "undone"


class Segment(Struct, frozen=True):
    """A stretch of the critical path; ``began_ms`` counts from the start of the execution.

    ``task_id`` is empty where it belongs to no task.
    """

    task_id: str
    spent_on: Spent
    began_ms: int
    took_ms: int


class Alternative(Struct, frozen=True):
    """How long the execution would have taken with one thing other than it was, by simulation.

    ``saves_ms`` is against the simulation without the change.
    """

    change: str
    makespan_ms: int
    saves_ms: int


class Bottlenecks(Struct, frozen=True):
    """The critical path as it really went, in order; its segments add up to ``makespan_ms`` exactly.

    Of an execution that still runs it leads to what is waited for longest, until now.
    ``simulated_ms`` is what the simulation with measured run times takes that the
    alternatives are compared with, None where nothing was simulated; ``note`` says why.
    """

    execution_id: str
    status: str
    version: int
    makespan_ms: int
    segments: tuple[Segment, ...]
    totals_ms: dict[Spent, int]
    simulated_ms: int | None = None
    alternatives: tuple[Alternative, ...] = ()
    note: str = ""
