"""When schedules are due, counted second by second: the code under test reckons in another way."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from talka_protocols.schedules import Schedule

SPANS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
DAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
AHEAD_MS = 400_000
"""How far behind its beginning a schedule without an end is looked at."""


class Dues:
    """The due times of a schedule from when it was set until its end, in milliseconds since the epoch."""

    def __init__(self, schedule: Schedule, anchor_at: int, since: int, until: int) -> None:
        ends_at = until if schedule.ends_at is None else min(until, round(schedule.ends_at * 1000))
        self._all = list(_dues(schedule, anchor_at, since, ends_at))

    def next(self, after: int) -> int:
        """Return the first due time behind an instant; 0 for none."""
        place = bisect_right(self._all, after)
        return self._all[place] if place < len(self._all) else 0

    def between(self, after: int, until: int) -> list[int]:
        """Return the due times behind ``after`` up to ``until``."""
        return self._all[bisect_right(self._all, after) : bisect_right(self._all, until)]

    def __contains__(self, due: int) -> bool:
        place = bisect_left(self._all, due)
        return place < len(self._all) and self._all[place] == due


def _dues(schedule: Schedule, anchor_at: int, since: int, until: int) -> list[int]:
    if schedule.at is not None:
        at = round(schedule.at * 1000)
        return [at] if since < at <= until else []
    if schedule.every_seconds is not None:
        step = round(schedule.every_seconds * 1000)
        return [due for due in range(anchor_at + step, until + 1, step) if due > since]
    zone, line = ZoneInfo(schedule.time_zone), Line(schedule.cron)
    seconds = range(since // 1000 + 1, until // 1000 + 1)
    return [second * 1000 for second in seconds if _is_due(line, zone, second)]


def _is_due(line: Line, zone: ZoneInfo, second: int) -> bool:
    local = datetime.fromtimestamp(second, zone)
    if not line.is_fixed:
        return line.matches(local)
    if local.fold:
        return False  # It came before, and was due then.
    return line.matches(local) or any(line.matches(skipped) for skipped in _skipped(zone, second, local))


def _skipped(zone: ZoneInfo, second: int, local: datetime) -> list[datetime]:
    """Return what a clock that is put forward at this second leaves out, by the minute."""
    before = datetime.fromtimestamp(second - 1, zone).replace(tzinfo=None) + timedelta(seconds=1)
    naive = local.replace(tzinfo=None)
    return [before + timedelta(minutes=n) for n in range(max(0, (naive - before) // timedelta(minutes=1)))]


class Line:
    """A cron line, by the words of its documentation alone.

    It is ``is_fixed`` when it has no seconds, and neither minutes nor hours begin
    with a star: then it is about times of the day, which come once.
    """

    def __init__(self, text: str) -> None:
        words = text.split()
        self.is_fixed = len(words) == 5 and not any(word.startswith("*") for word in words[:2])
        words = words if len(words) == 6 else ["0", *words]
        self._fields = [_values(word, *span) for word, span in zip(words, SPANS, strict=True)]
        self._is_both = words[3].startswith("*") or words[5].startswith("*")

    def matches(self, at: datetime) -> bool:
        """Tell whether a clock that shows this is what the line is about."""
        clock, days, weekdays = (at.second, at.minute, at.hour), self._fields[3], self._fields[5]
        is_now = all(shown in field for shown, field in zip(clock, self._fields[:3], strict=True))
        if not is_now or at.month not in self._fields[4]:
            return False
        is_date, is_weekday = at.day in days, bool({at.isoweekday(), at.isoweekday() % 7} & weekdays)
        return (is_date and is_weekday) if self._is_both else (is_date or is_weekday)


def _values(word: str, least: int, most: int) -> set[int]:
    values = set[int]()
    for part in word.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = least if first == "*" else DAYS.get(first) if first in DAYS else int(first)
        assert low is not None
        high = int(last) if last else most if first == "*" or step else low
        values |= set(range(low, high + 1, int(step or 1)))
    return values
