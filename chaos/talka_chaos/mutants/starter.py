"""Planted bugs of the starter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from cronsim import CronSim
from msgspec.structs import replace

from talka_chaos.mutants.planting import Mutant, behaving
from talka_core.behaviour import Effect, Send
from talka_core.starter import STARTER, ScheduleRecord, timing
from talka_protocols.events import ScheduleEvent, ScheduleSet, ScheduleSkipped
from talka_protocols.messages import Recipient, ReportEnd
from talka_protocols.schedules import CatchUp, Schedule

decide: ModuleType = import_module("talka_core.starter.decide")
"""The package has a function of the module's name."""


def end_not_asked() -> AbstractContextManager[Any]:
    """The starter waits to be told of an end, and never asks."""

    def deaf(effects: Iterable[Effect]) -> Iterator[Effect]:
        return (x for x in effects if not (isinstance(x, Send) and isinstance(x.message, ReportEnd)))

    def react(state: ScheduleRecord, event: ScheduleEvent) -> Iterator[Effect]:
        return deaf(STARTER.react(state, event))

    def resume(state: ScheduleRecord) -> Iterator[Effect]:
        return deaf(STARTER.resume(state))

    return behaving(Recipient.STARTER, react=react, resume=resume)


def due_time_repeated() -> AbstractContextManager[Any]:
    """The next due time is counted from the one that was dealt with last, and may be that one again."""

    def following(state: ScheduleRecord, _schedule: Any, after: int, _now_ms: int) -> int:
        return after if len(state.alive) % 2 else after + 1_000

    return patch.object(decide, "_following", following)


def request_forgotten() -> AbstractContextManager[Any]:
    """The starter does not remember which requests it has heard."""

    def evolve(state: ScheduleRecord, event: ScheduleEvent, at: int) -> None:
        STARTER.evolve(state, event, at)
        state.requests = []

    return behaving(Recipient.STARTER, evolve=evolve)


def zone_ignored() -> AbstractContextManager[Any]:
    """A cron line means the clock of Greenwich, whatever place it was written for."""

    def zone_of(_schedule: Schedule) -> ZoneInfo:
        return ZoneInfo("UTC")

    return patch.object(timing, "zone_of", zone_of)


def changes_of_clocks_ignored() -> AbstractContextManager[Any]:
    """A time of the day that a clock skips is not due, and one that comes twice is due twice."""

    def with_seconds(line: str, at: datetime) -> Iterator[datetime]:
        return iter(CronSim(line if len(line.split()) == 6 else f"0 {line}", at))

    return patch.object(timing, "CronSim", with_seconds)


def missed_time_dropped() -> AbstractContextManager[Any]:
    """After an outage the newest time that was missed is let go with the others."""
    real: Any = vars(decide)["_chosen"]

    def chosen(state: ScheduleRecord, schedule: Schedule, now_ms: int) -> tuple[list[int], int]:
        is_last = schedule.catch_up is CatchUp.LAST
        found: tuple[list[int], int] = real(
            state, replace(schedule, catch_up=CatchUp.NONE) if is_last else schedule, now_ms
        )
        return found

    return patch.object(decide, "_chosen", chosen)


def burst_not_put_off() -> AbstractContextManager[Any]:
    """A start that waits for quiet counts from the first call, and not from the last."""
    real = decide.first_due

    def first_due(schedule: Schedule, now_ms: int, anchor_at: int = 0) -> int:
        is_later = schedule.quiet_seconds is not None and anchor_at
        due: int = real(schedule, anchor_at if is_later else now_ms, anchor_at)
        return due

    return patch.object(decide, "first_due", first_due)


def first_call_wins() -> AbstractContextManager[Any]:
    """What starts when it is quiet is what the first call of a burst asked for."""

    def evolve(state: ScheduleRecord, event: ScheduleEvent, at: int) -> None:
        known, before = state.execution_id, state.workflow
        STARTER.evolve(state, event, at)
        if isinstance(event, ScheduleSet) and known and event.execution_id == known:
            state.workflow = before

    return behaving(Recipient.STARTER, evolve=evolve)


def burst_let_go() -> AbstractContextManager[Any]:
    """What was put off is let go if the execution of the burst before still runs."""
    real: Any = vars(decide)["_start"]

    def start(state: ScheduleRecord, schedule: Schedule, due: int, next_at: int) -> Iterator[ScheduleEvent]:
        running = next(iter(state.alive), "")
        is_let_go = running and schedule.quiet_seconds is not None
        yield from (
            [ScheduleSkipped(due, next_at, running)] if is_let_go else real(state, schedule, due, next_at)
        )

    return patch.object(decide, "_start", start)


STARTER_MUTANTS: tuple[Mutant, ...] = (
    end_not_asked,
    due_time_repeated,
    request_forgotten,
    zone_ignored,
    changes_of_clocks_ignored,
    missed_time_dropped,
    burst_not_put_off,
    first_call_wins,
    burst_let_go,
)
