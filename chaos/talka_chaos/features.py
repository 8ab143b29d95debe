"""Which features of the platform a world has shown, told by what is on record of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from talka_chaos.cron import LONGEST_S
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.policies import Join, OnFailure
from talka_protocols.schedules import CatchUp, Overlap, Schedule
from talka_protocols.workflow import Task, Workflow

CHANGED = "cron schedule over a change of the clock"
WORKFLOW = (
    "partial by a number",
    "partial by a share",
    "deadline of an execution",
    "limits of an execution",
    *(f"on_failure {rule.value}" for rule in OnFailure),
)
TASK = (
    "retry rule for errors",
    "pause between attempts",
    "start time-out",
    "run time-out",
    "heartbeat time-out",
    "fallback",
    "condition",
    *(f"join {join.value}" for join in Join),
    "join n of m",
    "map of a list",
    "map of a result",
    "loop",
    "sub-workflow",
    "wait for a time",
    "wait until an instant",
    "signal",
    "question",
    "compensation",
    "irreversible effect",
    "group",
    "gang",
    "concurrency key",
    "rate",
    "labels",
    "reservation",
    "preemptible",
    "artifacts written",
    "checkpoints",
)
SCHEDULE = (
    "cron schedule",
    CHANGED,
    "interval schedule",
    "start at an instant",
    "debounced start",
    *(f"catch-up {rule.value}" for rule in CatchUp),
    *(f"overlap {rule.value}" for rule in Overlap),
)
TRIGGER = ("trigger that starts", "trigger that signals", "filter of events")
FEATURES = frozenset((*WORKFLOW, *TASK, *SCHEDULE, *TRIGGER))
"""All that are told apart; kinds of events come on top of them."""


def shown_in(commits: Iterable[Commit[Any]]) -> Iterator[str]:
    """Yield the features that the commits of one log show."""
    for commit in commits:
        for _, _, event in commit.events():
            match event:
                case e.ExecutionAccepted() if event.workflow is not None:
                    yield from _of_workflow(event.workflow)
                case e.TasksAdded():
                    for task in event.tasks:
                        yield from _of_task(task)
                case e.ScheduleSet():
                    yield from _of_schedule(event.schedule)
                case e.TriggerCreated():
                    yield "trigger that signals" if event.trigger.signal else "trigger that starts"
                    if event.trigger.when:
                        yield "filter of events"
                case _:
                    pass


def _of_workflow(workflow: Workflow) -> Iterator[str]:
    config = workflow.config
    yield f"on_failure {config.on_failure.value}"
    told = {
        "partial by a number": config.tolerated_failures,
        "partial by a share": config.tolerated_failure_share,
        "deadline of an execution": config.deadline,
        "limits of an execution": config.limits,
    }
    yield from (name for name, value in told.items() if value)
    for task in workflow.tasks:
        yield from _of_task(task)


def _of_task(task: Task) -> Iterator[str]:
    if task.agent_type == "wait":
        yield "wait until an instant" if "until" in task.payload else "wait for a time"
    if task.agent_type in ("signal", "approval"):
        yield "signal" if task.agent_type == "signal" else "question"
    if task.map is not None:
        yield "map of a result" if isinstance(task.map.over, str) else "map of a list"
    yield f"join {task.join.value}" if isinstance(task.join, Join) else "join n of m"
    told = {
        "retry rule for errors": task.retry.only or task.retry.never,
        "pause between attempts": task.retries,
        "start time-out": task.start_timeout,
        "run time-out": task.timeout,
        "heartbeat time-out": task.heartbeat_timeout,
        "fallback": task.fallback,
        "condition": task.when,
        "loop": task.loop,
        "sub-workflow": task.workflow,
        "compensation": task.compensation,
        "irreversible effect": task.is_irreversible,
        "group": task.group,
        "gang": task.gang,
        "concurrency key": task.concurrency,
        "rate": task.rate,
        "labels": task.requires or task.prefers,
        "reservation": task.reservation,
        "preemptible": task.is_preemptible,
        "artifacts written": task.payload.get("writes"),
        "checkpoints": task.payload.get("saves"),
    }
    yield from (name for name, value in told.items() if value)


def _of_schedule(schedule: Schedule) -> Iterator[str]:
    told = {
        "cron schedule": schedule.cron,
        "interval schedule": schedule.every_seconds,
        "start at an instant": schedule.at,
        "debounced start": schedule.quiet_seconds,
    }
    yield from (name for name, value in told.items() if value)
    yield f"catch-up {schedule.catch_up.value}"
    yield f"overlap {schedule.overlap.value}"
    if schedule.cron and schedule.ends_at is not None and _changes(schedule, schedule.ends_at):
        yield CHANGED


def _changes(schedule: Schedule, ends_at: float) -> bool:
    """Tell whether the clock of the schedule's place is put forward or back shortly before its end."""
    zone = ZoneInfo(schedule.time_zone)
    now, before = (datetime.fromtimestamp(at, zone) for at in (ends_at, ends_at - LONGEST_S))
    return now.utcoffset() != before.utcoffset()
