"""When a schedule is due: pure arithmetic on instants in milliseconds since the epoch.

Cron lines follow Debian's cron where a zone's clock changes: a time that is
skipped is due right after the gap, and one that comes twice is due once; lines
with ``*`` or ``*/n`` hours follow the real time. Whatever the machine's zone
database says is recorded with the decision, so replaying never asks it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from math import isfinite
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from talka_protocols.errors import ScheduleInvalidError
from talka_protocols.schedules import Schedule

HOUR_MS = 3_600_000
SHORTEST_S = 1.0
LATEST_S = 253_000_000_000.0
CATCH_UP_LIMIT = 1_000
NEVER_FIRES = "schedule_never_fires"


def milliseconds(seconds: float) -> int:
    """Return seconds as whole milliseconds."""
    return round(seconds * 1000)


def stamp(at: int) -> str:
    """Return an instant as a part of an id, to the second where that says all: ``20300101T080000Z``."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    fraction = f"{at % 1000:03}" if at % 1000 else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"


def check_schedule(schedule: Schedule) -> None:
    """Refuse a schedule that makes no sense by itself, whatever the time.

    Raises:
        ScheduleInvalidError: with what is wrong, and what to write instead.
    """
    kinds = (schedule.every_seconds, schedule.at, schedule.quiet_seconds)
    if sum(kind is not None for kind in kinds) + bool(schedule.cron) != 1:
        raise _bad(
            "A schedule needs exactly one of a cron line, an interval and an instant.",
            "For example --cron '0 6 * * MON-FRI', --every 15m or --at 2030-01-01T09:00:00+01:00.",
        )
    for name, at_least in (("every_seconds", SHORTEST_S), ("quiet_seconds", 0.0), ("max_wait_seconds", 0.0)):
        _check_number(schedule, name, at_least)
    for name in ("at", "starts_at", "ends_at"):
        _check_number(schedule, name, 0.0)
    if schedule.max_runs is not None and schedule.max_runs < 1:
        raise _bad(f"max_runs is {schedule.max_runs}.", "Give a whole number from 1.")
    if not 1 <= schedule.catch_up_max <= CATCH_UP_LIMIT:
        raise _bad(f"catch_up_max is {schedule.catch_up_max}.", f"Give a number from 1 to {CATCH_UP_LIMIT}.")
    zone = zone_of(schedule)
    if schedule.cron:
        _check_cron(schedule, zone)


def _check_number(schedule: Schedule, name: str, at_least: float) -> None:
    number: float | None = getattr(schedule, name)
    if number is not None and not (isfinite(number) and at_least <= number <= LATEST_S):
        raise _bad(f"{name} is {number}.", f"Give a number of seconds from {at_least:g}.")


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Return the time zone of a schedule.

    Raises:
        ScheduleInvalidError: there is none of that name.
    """
    try:
        return ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleInvalidError(
            f"There is no time zone {schedule.time_zone!r}.",
            code="unknown_time_zone",
            hint="Give an IANA name, such as Europe/Berlin or UTC.",
        ) from None


def _check_cron(schedule: Schedule, zone: ZoneInfo) -> None:
    try:
        CronSim(schedule.cron, datetime(2000, 1, 1, tzinfo=zone))
    except CronSimError as error:
        raise ScheduleInvalidError(
            f"The cron line {schedule.cron!r} cannot be used: {error}.",
            code="bad_cron",
            hint="Write minute, hour, day of month, month and day of week, such as '30 6 * * MON-FRI'; "
            "seconds may stand in front. Check that the day exists in the month.",
        ) from None


def never_fires(schedule: Schedule, *, is_used_up: bool = False) -> ScheduleInvalidError:
    """Return the refusal of a schedule that has no due time, or has started all that it may."""
    reason = "Its instant has passed." if schedule.at is not None else "No time matches it."
    reason = "It has started as many executions as it may." if is_used_up else reason
    return ScheduleInvalidError(
        f"The schedule would never start anything. {reason}",
        code=NEVER_FIRES,
        hint="Give an instant in the future, a date that exists, or a later end.",
    )


def _bad(message: str, hint: str) -> ScheduleInvalidError:
    return ScheduleInvalidError(message, code="bad_schedule", hint=hint)


def next_due(schedule: Schedule, anchor_at: int, after: int) -> int:
    """Return the first due time strictly behind ``after``, or 0 if there is none."""
    return next(_dues(schedule, anchor_at, after), 0)


def newest_dues(schedule: Schedule, anchor_at: int, since: int, until: int, most: int) -> list[int]:
    """Return the newest due times from ``since`` to ``until``, both included, oldest first.

    An outage may have lasted for millions of them, so it looks back step by step.
    """
    span = HOUR_MS
    while True:
        start = max(since, until - span)
        newest: deque[int] = deque(maxlen=most)
        for due in _dues(schedule, anchor_at, start - 1):
            if due > until:
                break
            newest.append(due)
        if len(newest) == most or start == since:
            return list(newest)
        span *= 4


def _dues(schedule: Schedule, anchor_at: int, after: int) -> Iterator[int]:
    """Yield due times behind ``after`` in order, within the schedule's own bounds."""
    if schedule.starts_at is not None:
        after = max(after, milliseconds(schedule.starts_at) - 1)
    ends_at = None if schedule.ends_at is None else milliseconds(schedule.ends_at)
    for due in _unbounded(schedule, anchor_at, after):
        if ends_at is not None and due > ends_at:
            return
        if due > after:
            yield due


def _unbounded(schedule: Schedule, anchor_at: int, after: int) -> Iterator[int]:
    if schedule.at is not None:
        yield milliseconds(schedule.at)
    elif schedule.every_seconds is not None:
        step = milliseconds(schedule.every_seconds)
        yield from count(anchor_at + max(0, (after - anchor_at) // step + 1) * step, step)
    elif schedule.cron:
        for moment in CronSim(schedule.cron, datetime.fromtimestamp(after / 1000, zone_of(schedule))):
            yield milliseconds(moment.timestamp())
