"""Schedules of a world, and what must be true of their logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace

from talka_chaos.graphs import random_workflow
from talka_core.starter import STARTER
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.messages import (
    PauseSchedule,
    PutSchedule,
    RemoveSchedule,
    ResumeSchedule,
    RunSchedule,
    StarterMessage,
)
from talka_protocols.schedules import CatchUp, Overlap, Schedule
from talka_protocols.subjects import EXECUTION, LogName

SHARE = 0.25
WISHES_SHARE = 0.5
RESTS_SHARE = 0.3


def drawn_schedules(seed: int) -> list[PutSchedule]:
    """Return the schedules of a seed, which most have none of; no other draw of the seed depends on them."""
    random = Random(f"schedules {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return []
    return [_drawn(random, f"s{number}") for number in range(random.choice((1, 2)))]


def _drawn(random: Random, name: str) -> PutSchedule:
    schedule = Schedule(
        every_seconds=random.choice((1.0, 2.5, 7.0)),
        max_runs=random.choice((1, 3, 5)),
        catch_up=random.choice(list(CatchUp)),
        catch_up_max=random.choice((2, 10)),
        overlap=random.choice(list(Overlap)),
    )
    return PutSchedule(name, schedule, random_workflow(random, name, random.choice((1, 3))))


def drawn_wishes(
    seed: int, schedules: list[PutSchedule], until_s: float
) -> list[tuple[float, StarterMessage]]:
    """Return when people ask what of the schedules; no other draw of the seed depends on it."""
    random = Random(f"wishes {seed}")  # noqa: S311
    if random.random() >= WISHES_SHARE:
        return []
    wishes: list[tuple[float, StarterMessage]] = []
    for put in schedules:
        for number in range(random.choice((1, 3, 6))):
            asked = f"{put.name}-{number}"
            wish: StarterMessage = random.choice(
                (
                    PauseSchedule(put.name, asked),
                    ResumeSchedule(put.name, asked),
                    RemoveSchedule(put.name, asked),
                    RunSchedule(put.name, f"{put.name}-by-hand-{number}", asked),
                    replace(put, request_id=asked),
                )
            )
            wishes.append((random.uniform(1.5, until_s), wish))
    return wishes


def drawn_rests(seed: int, schedules: list[PutSchedule]) -> list[tuple[float, float]]:
    """Return when nobody looks after the schedules, and for how long, so that due times are missed.

    No other draw of the seed depends on it.
    """
    random = Random(f"rests {seed}")  # noqa: S311
    if not schedules or random.random() >= RESTS_SHARE:
        return []
    return [(random.uniform(3.0, 8.0), random.uniform(12.0, 30.0))]


def released(states: dict[str, Any]) -> list[StarterMessage]:
    """Return what lets paused schedules go on, or end if that was refused: nobody else will."""
    asked: list[StarterMessage] = []
    for name, state in states.items():
        if state.is_paused:
            resumed = f"{name}-released"
            is_refused = any(known.startswith(resumed) for known in state.requests)
            ends = RemoveSchedule(name, f"{name}-ended-{state.version}")
            asked.append(ends if is_refused else ResumeSchedule(name, f"{resumed}-{state.version}"))
    return asked


def schedule_unrest(states: dict[str, Any], expected: int) -> str:
    """L3 say which schedule has not come to its end."""
    if len(states) < expected:
        return f"L3 {len(states)} of {expected} schedules were set"
    for name, state in states.items():
        if not STARTER.is_over(state):
            return f"L3 schedule {name} is next due at {state.next_at}, and {sorted(state.alive)} run"
    return ""


def unheard(asked: Sequence[StarterMessage], logs: Mapping[str, Sequence[Commit[Any]]]) -> str:
    """L3 say which schedule that somebody asked for is not on record yet, nor refused."""
    heard = {
        getattr(event, "request_id", "")
        for commits in logs.values()
        for commit in commits
        for _, _, event in commit.events()
    }
    for put in asked:
        if not isinstance(put, PutSchedule) or put.execution_id:
            continue  # The same start may be asked for twice, and is on record once.
        if put.request_id and put.request_id not in heard:
            return f"L3 nobody has heard {put.request_id} yet"
    return ""


def schedule_findings(log: LogName, events: list[Any], executions: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one schedule's log.

    D1 every due time is dealt with once, in order; D2 only the overlap rules that
    say so start an execution beside another; D3 what was started ran, and ended
    as the log says; D4 a request is heard once.
    """
    due, queued, alive, started = 0, 0, dict[str, None](), list[str]()
    schedule, heard = Schedule(), list[str]()
    for event in events:
        heard += [asked] if (asked := getattr(event, "request_id", "")) else []
        match event:
            case e.ScheduleSet():
                schedule, due, queued = event.schedule, event.next_at, 0
            case e.ScheduleResumed():
                due = event.next_at
            case e.ScheduleRemoved():
                due = queued = 0
            case e.ScheduleFired(due_at=0):
                pass  # Somebody asked for it, whatever is due or runs.
            case e.ScheduleFired() | e.ScheduleSkipped() | e.ScheduleQueued() | e.ScheduleMissed():
                now = event.first_at if isinstance(event, e.ScheduleMissed) else event.due_at
                if now not in (due, queued):
                    yield f"D1 {log}: {event} deals with {now}, and {due} was due"
                due = event.next_at
                queued = now if isinstance(event, e.ScheduleQueued) else 0 if now == queued else queued
            case e.RunEnded():
                alive.pop(event.execution_id, None)
                state = executions.get(event.execution_id)
                if state is None or state.status != event.status:
                    yield f"D3 {log}: {event} is not what {EXECUTION}.{event.execution_id} says"
            case _:
                pass
        if isinstance(event, e.ScheduleFired):
            is_single = schedule.at is not None or schedule.quiet_seconds is not None
            is_alone = not is_single and schedule.overlap in (Overlap.SKIP, Overlap.QUEUE)
            if event.due_at and alive and is_alone:
                yield f"D2 {log}: {event.execution_id} was started beside {sorted(alive)}"
            alive[event.execution_id] = None
            started.append(event.execution_id)
    if len(set(started)) != len(started):
        yield f"D1 {log}: an execution was started twice: {started}"
    if len(set(heard)) != len(heard):
        yield f"D4 {log}: a request was heard twice: {heard}"
