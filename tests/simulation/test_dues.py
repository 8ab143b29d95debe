"""Goal: the due times to which the simulation holds schedules are counted apart from the code, and right."""

from __future__ import annotations

import pytest

from talka_chaos.cron import PLACES, QUICK, Place
from talka_chaos.dues import Dues
from talka_core.starter.timing import next_due
from talka_protocols.schedules import Schedule

HOUR_MS = 3_600_000


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.zone} {place.changes_at:%Y-%m-%d}")
def test_both_ways_of_counting_agree_over_a_change_of_the_clock(place: Place) -> None:
    """Counted second by second or in the library's leaps, each line is due at the same instants."""
    changes = int(place.changes_at.timestamp() * 1000)
    since, until = changes - 75 * 60_000, changes + 75 * 60_000
    for cron in (*place.lines, *QUICK[2:]):
        schedule = Schedule(cron=cron, time_zone=place.zone)
        reckoned, after = list[int](), since
        while (after := next_due(schedule, 0, after)) and after <= until:
            reckoned.append(after)
        assert Dues(schedule, 0, since, until).between(since, until) == reckoned, cron


def test_skipped_and_repeated_times_are_due_once() -> None:
    """What the documentation says about clocks that change, in figures."""
    spring, autumn = PLACES[0], PLACES[1]
    gap, again = (int(place.changes_at.timestamp() * 1000) for place in (spring, autumn))
    skipped = Schedule(cron="0,30 2 * * *", time_zone=spring.zone)
    assert Dues(skipped, 0, gap - HOUR_MS, gap + HOUR_MS).between(0, gap + HOUR_MS) == [gap]
    twice = Schedule(cron="0 2 * * *", time_zone=autumn.zone)
    hours = Dues(twice, 0, again - 2 * HOUR_MS, again + 2 * HOUR_MS)
    assert hours.between(0, again + 2 * HOUR_MS) == [again - HOUR_MS]
