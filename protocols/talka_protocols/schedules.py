"""When work starts by itself, as data.

Durations and instants are seconds (float; instants since the epoch) because people write them.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from talka_protocols.enums import quick

CATCH_UP_MAX = 100


@quick
class CatchUp(StrEnum):
    """What becomes of the times that passed while nobody could start anything.

    ``none`` lets them go; ``last`` starts one execution for the newest of them;
    ``all`` starts one for each, up to ``catch_up_max``.
    """

    NONE = "none"
    LAST = "last"
    ALL = "all"


@quick
class Overlap(StrEnum):
    """What happens at a due time while an execution that the schedule started still runs.

    ``allow`` starts another one beside it; ``skip`` lets the time go; ``queue``
    starts one, at most, as soon as nothing runs; ``cancel`` cancels what runs.
    """

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel"


class Schedule(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When a workflow starts: exactly one of ``cron``, ``every_seconds``, ``at`` and ``quiet_seconds``.

    ``cron`` has five fields, or six with seconds first, and means the clock of
    ``time_zone`` (an IANA name). ``every_seconds`` counts from ``starts_at``, or
    from when the schedule was set. ``at`` is one instant. ``quiet_seconds`` is
    one start, so long after the schedule was last set, but not more than
    ``max_wait_seconds`` after it was first set.

    Nothing is due before ``starts_at`` or after ``ends_at``, nor once
    ``max_runs`` executions were started.
    """

    cron: str = ""
    time_zone: str = "UTC"
    every_seconds: float | None = None
    at: float | None = None
    quiet_seconds: float | None = None
    max_wait_seconds: float | None = None
    starts_at: float | None = None
    ends_at: float | None = None
    max_runs: int | None = None
    catch_up: CatchUp = CatchUp.LAST
    catch_up_max: int = CATCH_UP_MAX
    overlap: Overlap = Overlap.SKIP


@quick
class ScheduleState(StrEnum):
    """Where a schedule stands; ``finished`` means that nothing is due any more."""

    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"
    REMOVED = "removed"


class ScheduleStatus(Struct, frozen=True):
    """Where a schedule stands; instants are Unix seconds, None for never.

    ``started`` counts the due times that it started an execution for since it
    was set; ``queued_at`` is one that waits for the end of what runs.
    """

    name: str
    state: ScheduleState
    version: int
    schedule: Schedule | None = None
    workflow: str = ""
    execution_id: str = ""
    next_at: float | None = None
    last_at: float | None = None
    queued_at: float | None = None
    started: int = 0
    running: tuple[str, ...] = ()
