"""What must be true of the times in a schedule's log: they are held to due times that are counted apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from talka_chaos.dues import AHEAD_MS, Dues
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.messages import PutSchedule, StarterMessage
from talka_protocols.schedules import CatchUp, Schedule
from talka_protocols.subjects import LogName

ON_TIME_MS = 10_000
"""What is noticed within ten seconds is not missed, says the documentation."""

Dealt = e.ScheduleFired | e.ScheduleSkipped | e.ScheduleQueued | e.ScheduleMissed


def punctuality_findings(
    log: LogName, commits: Sequence[Commit[Any]], asked: Iterable[StarterMessage] = ()
) -> Iterator[str]:
    """Yield what is wrong with the times in one schedule's log.

    D5 what is dealt with is due, and the time named next is the first one that is
    due behind it, so that none is forgotten; D6 nothing starts early; D7 only
    what the catch-up rule says is let go, or started late; D8 no schedule is
    refused for never being due that is due.
    """
    puts = {put.request_id: put for put in asked if isinstance(put, PutSchedule) and put.name == log.key}
    latest = max((commit.at for commit in commits), default=0) + AHEAD_MS
    course = Course(latest)
    for commit in commits:
        for _, _, event in commit.events():
            found = list(course.take(event, commit.at))
            if isinstance(event, e.RequestRefused) and (put := puts.get(event.request_id)) is not None:
                found += _refusal(put.schedule, event, commit.at, latest)
            yield from (f"{sentence}: {event} in {log} at {commit.at}" for sentence in found)


def _refusal(schedule: Schedule, event: e.RequestRefused, at: int, until: int) -> Iterator[str]:
    if event.code != "schedule_never_fires":
        yield "D8 a schedule that can be used was refused"
    elif due := Dues(schedule, at, at, until).next(at):
        yield f"D8 it would be due at {due}"


class Course:
    """One schedule, as its log goes on."""

    def __init__(self, until: int) -> None:
        self._until = until
        self._schedule = Schedule()
        self._dues: Dues | None = None
        self._fired = 0
        self._queued = 0
        self._is_paused = False

    def take(self, event: Any, at: int) -> Iterator[str]:
        """Yield what is wrong with one more event, recorded at an instant."""
        if isinstance(event, e.ScheduleSet):
            yield from self._set(event, at)
        elif isinstance(event, e.ScheduleRemoved):
            self._dues, self._is_paused = None, False
        elif isinstance(event, e.SchedulePaused):
            self._is_paused = True
        if self._dues is None:
            return
        if isinstance(event, e.ScheduleResumed):
            if self._is_paused and event.next_at != (due := self._dues.next(at)):
                yield f"D5 it is next due at {due}"
            self._is_paused = False
        elif isinstance(event, Dealt) and not (isinstance(event, e.ScheduleFired) and not event.due_at):
            yield from self._deal(event, at, self._dues)

    def _set(self, event: e.ScheduleSet, at: int) -> Iterator[str]:
        is_quiet = event.schedule.quiet_seconds is not None
        dues = None if is_quiet else Dues(event.schedule, event.anchor_at, at, self._until)
        self._schedule, self._dues, self._fired, self._queued = event.schedule, dues, 0, 0
        self._is_paused = False
        if event.schedule.starts_at is None and event.anchor_at != at and not is_quiet:
            yield "D5 it counts from another time than when it was set"
        if dues is not None and event.next_at != (due := dues.next(at)):
            yield f"D5 it is first due at {due}"

    def _deal(self, event: Dealt, at: int, dues: Dues) -> Iterator[str]:
        if isinstance(event, e.ScheduleMissed):
            yield from self._let_go(event, at, dues)
            yield from self._follow(event.last_at, event.next_at, dues)
            return
        if event.due_at > at:
            yield "D6 it is not due yet"
        is_from_queue = isinstance(event, e.ScheduleFired) and event.due_at == self._queued
        self._fired += isinstance(event, e.ScheduleFired)
        if is_from_queue:
            self._queued = 0
            return  # The next time was named when it was queued.
        if isinstance(event, e.ScheduleQueued):
            self._queued = event.due_at
        if event.due_at not in dues:
            yield "D5 nothing was due then"
        yield from self._follow(event.due_at, event.next_at, dues)
        yield from self._catch_up(event, at, dues)

    def _follow(self, dealt: int, named: int, dues: Dues) -> Iterator[str]:
        is_last = self._schedule.max_runs is not None and self._fired >= self._schedule.max_runs
        due = 0 if is_last else dues.next(dealt)
        if named != due and not (named == 0 and is_last):
            yield f"D5 it is next due at {due}"

    def _let_go(self, event: e.ScheduleMissed, at: int, dues: Dues) -> Iterator[str]:
        if event.first_at not in dues or event.last_at not in dues:
            yield "D5 nothing was due then"
        if event.last_at >= at - ON_TIME_MS:
            yield "D7 it was let go although it was on time"
        kept, rule = len(dues.between(event.last_at, at)), self._schedule.catch_up
        if rule is CatchUp.LAST and kept < 1:
            yield "D7 the newest time was let go"
        if rule is CatchUp.ALL and kept < self._schedule.catch_up_max:
            yield f"D7 {kept} times were kept of {self._schedule.catch_up_max}"

    def _catch_up(self, event: Dealt, at: int, dues: Dues) -> Iterator[str]:
        assert not isinstance(event, e.ScheduleMissed), "what is let go is looked at elsewhere"
        if event.due_at >= at - ON_TIME_MS:
            return
        newer, on_time = dues.between(event.due_at, at), dues.between(at - ON_TIME_MS - 1, at)
        match self._schedule.catch_up:
            case CatchUp.NONE:
                yield "D7 it was missed, and nothing is to be caught up with"
            case CatchUp.LAST if newer:
                yield f"D7 it was missed, and {newer[-1]} is the newest"
            case CatchUp.ALL if len(newer) >= max(self._schedule.catch_up_max, len(on_time)):
                yield f"D7 it was missed, and {len(newer)} newer ones are to be caught up with"
            case _:
                pass
