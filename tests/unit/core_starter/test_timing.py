"""When a schedule is due: cron lines in time zones, intervals, instants, and what can never be."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.starter.timing import check_schedule, newest_dues, next_due, stamp
from talka_protocols.errors import ScheduleInvalidError
from talka_protocols.schedules import Schedule

BERLIN = "Europe/Berlin"


def ms(text: str, zone: str = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def dues(schedule: Schedule, after: int, count: int, anchor_at: int = 0) -> list[str]:
    """Return the next due times, as the clock of the schedule's zone shows them."""
    found: list[str] = []
    for _ in range(count):
        after = next_due(schedule, anchor_at, after)
        moment = datetime.fromtimestamp(after / 1000, ZoneInfo(schedule.time_zone))
        found.append(f"{moment:%m-%d %H:%M:%S %z}")
    return found


def test_a_time_that_the_clock_skips_is_due_right_after_the_gap() -> None:
    """At half past two on the night of the change to summer time it is due at three, once."""
    schedule = Schedule(cron="30 2 * * *", time_zone=BERLIN)
    assert dues(schedule, ms("2026-03-28T03:00"), 2) == ["03-29 03:00:00 +0200", "03-30 02:30:00 +0200"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    """In the hour that the change to winter time repeats, a daily line is due the first time only."""
    schedule = Schedule(cron="30 2 * * *", time_zone=BERLIN)
    assert dues(schedule, ms("2026-10-24T03:00"), 2) == ["10-25 02:30:00 +0200", "10-26 02:30:00 +0100"]


def test_an_hour_that_comes_twice_has_all_its_half_hours() -> None:
    """A line that is due every half hour follows the real time through the repeated hour."""
    schedule = Schedule(cron="*/30 * * * *", time_zone=BERLIN)
    shown = dues(schedule, ms("2026-10-25T01:59"), 5)
    assert [text[6:11] + text[-5:] for text in shown] == [
        "02:00+0200",
        "02:30+0200",
        "02:00+0100",
        "02:30+0100",
        "03:00+0100",
    ]


def test_six_fields_begin_with_seconds() -> None:
    """A sixth field in front means seconds, and an instant between two seconds is no obstacle."""
    schedule = Schedule(cron="*/20 * * * * *")
    assert [text[6:14] for text in dues(schedule, ms("2026-01-01T00:00", "UTC") + 400, 3)] == [
        "00:00:20",
        "00:00:40",
        "00:01:00",
    ]


def test_intervals_count_from_their_anchor() -> None:
    """An interval is due at whole multiples behind its anchor, and never at or before the instant given."""
    schedule = Schedule(every_seconds=1.5)
    assert next_due(schedule, 10_000, 10_000) == 11_500
    assert next_due(schedule, 10_000, 11_499) == 11_500
    assert next_due(schedule, 10_000, 11_500) == 13_000
    assert next_due(schedule, 10_000, 0) == 10_000


def test_bounds_are_kept() -> None:
    """Nothing is due before the start or behind the end, and what is on them counts."""
    schedule = Schedule(every_seconds=10.0, starts_at=100.0, ends_at=120.0)
    assert next_due(schedule, 100_000, 0) == 100_000
    assert next_due(schedule, 100_000, 110_000) == 120_000
    assert next_due(schedule, 100_000, 120_000) == 0


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        (Schedule(), "bad_schedule"),
        (Schedule(cron="* * * * *", every_seconds=5.0), "bad_schedule"),
        (Schedule(every_seconds=0.2), "bad_schedule"),
        (Schedule(every_seconds=float("nan")), "bad_schedule"),
        (Schedule(every_seconds=60.0, max_runs=0), "bad_schedule"),
        (Schedule(every_seconds=60.0, catch_up_max=0), "bad_schedule"),
        (Schedule(at=-1.0), "bad_schedule"),
        (Schedule(cron="0 0 30 2 *"), "bad_cron"),
        (Schedule(cron="every day"), "bad_cron"),
        (Schedule(cron="0 25 * * *"), "bad_cron"),
        (Schedule(cron="0 6 * * *", time_zone="Europe/Nowhere"), "unknown_time_zone"),
        (Schedule(cron="0 6 * * *", time_zone="../etc/passwd"), "unknown_time_zone"),
    ],
)
def test_what_makes_no_sense_is_refused(schedule: Schedule, code: str) -> None:
    """A schedule that cannot be meant is refused with a code of its own and a hint."""
    with pytest.raises(ScheduleInvalidError) as refused:
        check_schedule(schedule)
    assert refused.value.code == code
    assert refused.value.hint


def test_what_never_comes_has_no_due_time() -> None:
    """An instant that has passed and a date that no year has are never due."""
    assert next_due(Schedule(at=5.0), 0, 5_000) == 0
    assert next_due(Schedule(cron="* * */20 * 1L"), 0, ms("2026-01-01T00:00", "UTC")) == 0


def test_the_newest_of_millions_are_found_at_once() -> None:
    """After years of seconds the newest due times are found without counting the others."""
    schedule = Schedule(cron="* * * * * *")
    until = ms("2026-06-01T00:00:00", "UTC")
    assert newest_dues(schedule, 0, 1_000, until, 3) == [until - 2_000, until - 1_000, until]


@settings(max_examples=20, deadline=None)
@given(
    cron=st.sampled_from(["*/7 * * * *", "30 2 * * *", "15 3 29 2 *", "0 12 * * MON#2", "*/30 1-3 * 3,10 *"]),
    zone=st.sampled_from([BERLIN, "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    start=st.integers(min_value=1_700_000_000_000, max_value=1_900_000_000_000),
)
def test_due_times_grow_and_the_newest_are_the_last_of_all(cron: str, zone: str, start: int) -> None:
    """Due times strictly grow in every zone, and looking back finds the very same ones."""
    schedule = Schedule(cron=cron, time_zone=zone)
    found = [start]
    for _ in range(6):
        found.append(next_due(schedule, 0, found[-1]))
    assert found == sorted(set(found))
    assert newest_dues(schedule, 0, found[1], found[-1], 3) == found[-3:]


def test_a_stamp_tells_instants_apart() -> None:
    """Ids made of instants are as short as they can be, and differ down to the millisecond."""
    second = round(datetime(2030, 1, 1, 8, tzinfo=UTC).timestamp() * 1000)
    assert (stamp(second), stamp(second + 7)) == ("20300101T080000Z", "20300101T080000007Z")
