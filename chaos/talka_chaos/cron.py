"""Schedules by the clock of a place, also over a change of that clock, and starts at an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from talka_chaos.graphs import random_workflow
from talka_protocols.messages import (
    PauseSchedule,
    PutSchedule,
    RemoveSchedule,
    ResumeSchedule,
    StarterMessage,
)
from talka_protocols.schedules import CatchUp, Overlap, Schedule

Moments = list[tuple[float, StarterMessage]]
"""Requests of people, each with its virtual second."""

SHARE = 0.12
AT_SHARE = 0.08
RESTS_SHARE = 0.5
WISHES_SHARE = 0.3
REPEATED_SHARE = 0.3
LONGEST_S = 45.0
"""How long after the change of a clock something may still be due."""


class Place(Struct, frozen=True):
    """A time zone, the instant of a change of its clock, and lines that are due about then, or just not."""

    zone: str
    changes_at: datetime
    lines: tuple[str, ...]


def _instant(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


PLACES = (
    # 02:00 to 03:00 does not exist.
    Place(
        "Europe/Berlin", _instant(2024, 3, 31, 1), ("30 2 * * *", "0 3 * * *", "0,30 2 * * SUN", "0 2 31 3 *")
    ),
    # 02:00 to 03:00 comes twice.
    Place(
        "Europe/Berlin", _instant(2023, 10, 29, 1), ("59 2 * * *", "0 2 * * *", "0 2,3 * * *", "* 2 * * *")
    ),
    Place("America/New_York", _instant(2024, 3, 10, 7), ("15 2 10 * *", "*/20 2,3 * * *", "0 3 * 3 0")),
    Place("America/New_York", _instant(2023, 11, 5, 6), ("59 1 * * *", "0 1 * * *", "*/5 * * * *")),
    # By half an hour only.
    Place("Australia/Lord_Howe", _instant(2023, 9, 30, 15, 30), ("10 2 * * *", "30 2 * * *", "0 2 1 10 *")),
    Place("Australia/Lord_Howe", _instant(2024, 4, 6, 15), ("59 1 * * *", "30 1 * * *", "30,59 1 * * *")),
    # Nothing changes: the hour is another one than in UTC, and so is the minute.
    Place("Asia/Kolkata", _instant(2023, 11, 14, 18, 30), ("0 0 * * *", "59 23 * * *", "0 0 15 11 WED")),
    Place("UTC", _instant(2024, 2, 29, 0), ("0 0 29 2 *", "* * * * *", "0 0 * * THU")),
)
QUICK = ("*/5 * * * * *", "*/3 * * * * *", "0,20,40 * * * * *", "7-50/10 * * * * *", "*/4 59,0 * * * *")
"""Lines with seconds, which follow the real time through every change."""


class Clockwork(Struct, frozen=True):
    """When a world begins, None for whenever all do, and what is asked of its schedules by the clock."""

    epoch_ms: int | None = None
    requests: tuple[tuple[float, StarterMessage], ...] = ()
    rests: tuple[tuple[float, float], ...] = ()


def drawn_clockwork(seed: int, storm_s: float) -> Clockwork:
    """Return the schedules by the clock of a seed, which most have none of; no other draw depends on them."""
    random = Random(f"cron {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return Clockwork()
    place = random.choice(PLACES)
    changes_s = random.choice((random.uniform(4.0, storm_s), 61.0 + random.uniform(2.0, 8.0)))
    epoch_ms = int((place.changes_at.timestamp() - changes_s) * 1000)
    requests: Moments = []
    for number in range(random.choice((1, 2))):
        ends_at = epoch_ms / 1000 + changes_s + random.uniform(1.0, LONGEST_S)
        put = _drawn(random, f"c{number}", place, ends_at)
        requests += _asked(random, put, storm_s)
    rests: list[tuple[float, float]] = []
    if random.random() < RESTS_SHARE:
        # Most lines are due when the clock changes, or a minute before: that is what nobody sees.
        due_s = changes_s - random.choice((0.0, 60.0))
        rests.append((max(2.0, due_s - random.uniform(0.5, 6.0)), random.uniform(12.0, 45.0)))
    return Clockwork(epoch_ms, tuple(requests), tuple(rests))


def _drawn(random: Random, name: str, place: Place, ends_at: float) -> PutSchedule:
    is_quick = random.random() < 0.5
    schedule = Schedule(
        cron=random.choice(QUICK if is_quick else place.lines),
        time_zone=place.zone,
        ends_at=ends_at,
        max_runs=random.choice((2, 4, 6)) if is_quick else random.choice((None, 1, 2)),
        catch_up=random.choice(list(CatchUp)),
        catch_up_max=random.choice((1, 2, 10)),
        overlap=random.choice(list(Overlap)),
    )
    return PutSchedule(
        name, schedule, random_workflow(random, name, random.choice((1, 2))), request_id=f"{name}-set"
    )


def _asked(random: Random, put: PutSchedule, storm_s: float) -> Moments:
    """Return the request for a schedule, perhaps made twice, and what is wished of it later."""
    asked: Moments = [(random.uniform(0.1, 3.0), put)]
    if random.random() < REPEATED_SHARE:
        asked.append((random.uniform(3.0, storm_s), put))
    if random.random() < WISHES_SHARE:
        at_s = random.uniform(3.0, storm_s)
        asked.append((at_s, PauseSchedule(put.name, f"{put.name}-pause")))
        asked.append((at_s + random.uniform(0.0, 20.0), ResumeSchedule(put.name, f"{put.name}-resume")))
    if random.random() < WISHES_SHARE / 2:
        wish: StarterMessage = random.choice(
            (RemoveSchedule(put.name, f"{put.name}-remove"), replace(put, request_id=f"{put.name}-again"))
        )
        asked.append((random.uniform(3.0, storm_s), wish))
    return asked


def drawn_starts(seed: int, epoch_ms: int, storm_s: float) -> Moments:
    """Return starts at an instant under an id of the caller's; no other draw of the seed depends on them.

    A caller may ask again under another request's id, also for another instant: the first one counts.
    """
    random = Random(f"starts {seed}")  # noqa: S311
    asked: Moments = []
    for number in range(random.choice((1, 2)) if random.random() < AT_SHARE else 0):
        key, at_s = f"later{number}", random.uniform(0.5, storm_s)
        starts_s = at_s + random.uniform(0.1, 12.0)
        workflow = random_workflow(random, key, random.choice((1, 2)))
        for again in range(random.choice((1, 2, 3))):
            schedule = Schedule(at=epoch_ms / 1000 + starts_s + 3.0 * again)
            put = PutSchedule(f"at-{key}", schedule, workflow, None, key, f"{key}-{again}")
            asked.append((at_s + again * random.uniform(0.0, 8.0), put))
    return asked
