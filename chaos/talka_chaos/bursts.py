"""Starts that are put off while more of them come, and what must be true of their logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from talka_chaos.cron import Moments
from talka_chaos.graphs import random_workflow
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.messages import (
    PauseSchedule,
    PutSchedule,
    RemoveSchedule,
    ResumeSchedule,
    StarterMessage,
)
from talka_protocols.schedules import Schedule
from talka_protocols.subjects import LogName

SHARE = 0.12
REPEATED_SHARE = 0.3
WISHES_SHARE = 0.25


def drawn_bursts(seed: int, storm_s: float) -> Moments:
    """Return calls for starts that wait for quiet, some of them made twice.

    Most seeds have none; no other draw of the seed depends on them.
    """
    random = Random(f"bursts {seed}")  # noqa: S311  (the same for the same seed is the point)
    asked: Moments = []
    for number in range(random.choice((1, 2)) if random.random() < SHARE else 0):
        asked += _burst(random, f"debounce-{number}", storm_s)
    return asked


def _burst(random: Random, name: str, storm_s: float) -> Moments:
    quiet_s, most_s = random.choice((0.4, 2.0, 5.0)), random.choice((None, None, 3.0, 8.0))
    schedule = Schedule(quiet_seconds=quiet_s, max_wait_seconds=most_s)
    asked: Moments = []
    for call in range(random.choice((1, 4, 10))):
        at_s = random.uniform(0.5, storm_s)
        workflow = replace(random_workflow(random, name, random.choice((1, 2))), inputs={"call": call})
        put = PutSchedule(name, schedule, workflow, request_id=f"{name}-{call}")
        asked.append((at_s, put))
        if random.random() < REPEATED_SHARE:
            asked.append((at_s + random.uniform(0.1, 10.0), put))
    if random.random() < WISHES_SHARE:
        at_s = random.uniform(1.0, storm_s)
        if random.random() < 0.3:
            return [*asked, (at_s, RemoveSchedule(name, f"{name}-remove"))]
        asked.append((at_s, PauseSchedule(name, f"{name}-pause")))
        asked.append((at_s + random.uniform(0.0, 10.0), ResumeSchedule(name, f"{name}-resume")))
    return asked


def bursts_of(asked: Sequence[StarterMessage]) -> set[str]:
    """Return the names under which starts wait for quiet."""
    return {
        put.name for put in asked if isinstance(put, PutSchedule) and put.schedule.quiet_seconds is not None
    }


class Burst(Struct):
    """Calls that wait for the same start."""

    execution_id: str
    since: int
    due: int = 0
    inputs: Any = None


def burst_findings(
    log: LogName, commits: Sequence[Commit[Any]], asked: Sequence[StarterMessage], executions: dict[str, Any]
) -> Iterator[str]:
    """Yield what is wrong with one log of starts that wait for quiet.

    B1 every call is on record, once; B2 calls wait for the same start until it
    comes, so long after the last of them but not longer than they may after the
    first; B3 they start one execution, when it is due, with what the last one
    asked for; B4 nothing else starts.
    """
    calls = [call.request_id for call in asked if isinstance(call, PutSchedule) and call.name == log.key]
    quiet = Quiet(log)
    for commit in commits:
        for _, _, event in commit.events():
            yield from quiet.take(event, commit.at)
    if lost := set(calls) - set(quiet.heard):
        yield f"B1 {log}: the calls {sorted(lost)} were lost"
    if len(set(quiet.heard)) != len(quiet.heard):
        yield f"B1 {log}: a call was recorded twice: {quiet.heard}"
    if quiet.burst is not None:
        yield f"B3 {log}: {quiet.burst} never started"
    found = {key for key in executions if key.startswith(f"{log.key}-")}
    if found != quiet.started.keys():
        yield f"B4 {log}: {sorted(found)} exist, and {sorted(quiet.started)} were started"
    for execution_id in found & quiet.started.keys():
        workflow = executions[execution_id].workflow  # None for what the planner rejected.
        if workflow is not None and workflow.inputs != quiet.started[execution_id]:
            yield f"B3 {log}: {execution_id} has {workflow.inputs}, and not {quiet.started[execution_id]}"


class Quiet:
    """What waits for quiet, as one log goes on, and what was started."""

    def __init__(self, log: LogName) -> None:
        self.burst: Burst | None = None
        self.heard: list[str] = []
        self.started: dict[str, Any] = {}
        self._log = log

    def take(self, event: Any, at: int) -> Iterator[str]:
        """Yield what is wrong with one more event."""
        match event:
            case e.ScheduleSet():
                self.heard.append(event.request_id)
                yield from self._call(event, at)
            case e.ScheduleRemoved():
                self.burst = None
            case e.ScheduleFired():
                yield from self._start(event, at)
            case e.RequestRefused(request="PutSchedule"):
                yield f"B1 {self._log}: {event}"
            case _:
                pass

    def _call(self, event: e.ScheduleSet, at: int) -> Iterator[str]:
        burst = self.burst = self.burst or Burst(event.execution_id, at)
        if event.execution_id != burst.execution_id or event.execution_id in self.started:
            yield f"B2 {self._log}: a call was promised {event.execution_id}, and those before it {burst}"
        schedule = event.schedule
        assert schedule.quiet_seconds is not None, "only such logs are looked at"
        burst.due = at + round(schedule.quiet_seconds * 1000)
        if schedule.max_wait_seconds is not None:
            burst.due = min(burst.due, burst.since + round(schedule.max_wait_seconds * 1000))
        burst.inputs = event.workflow.inputs if event.workflow is not None else None
        if event.next_at != burst.due:
            yield f"B2 {self._log}: {burst} is due at {event.next_at}"

    def _start(self, event: e.ScheduleFired, at: int) -> Iterator[str]:
        burst, self.burst = self.burst, None
        if burst is None or event.execution_id != burst.execution_id:
            yield f"B3 {self._log}: {event} was started for {burst}"
            return
        if event.due_at != burst.due or at < burst.due or event.next_at:
            yield f"B3 {self._log}: {event} was started at {at} for {burst}"
        self.started[event.execution_id] = burst.inputs
