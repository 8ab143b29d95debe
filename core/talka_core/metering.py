"""What an execution's events say in numbers: how long tasks waited and ran, how they ended.

The shell counts them and puts them into histograms; nothing is decided from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from talka_protocols import events as e
from talka_protocols.enums import quick
from talka_protocols.events import ExecutionEvent


@quick
class Measure(StrEnum):
    """What is measured; what ends in ``seconds`` is a duration, and the rest is counted."""

    QUEUE = "task_queue_seconds"
    SCHEDULING = "task_scheduling_seconds"
    RESOURCE_WAIT = "task_resource_wait_seconds"
    DISPATCH = "task_dispatch_seconds"
    RUN = "task_run_seconds"
    TASK_ENDED = "task_ended"
    TASK_RETRIED = "task_retried"
    ATTEMPT_LOST = "task_attempt_lost"
    DURATION = "execution_seconds"
    EXECUTION_ENDED = "execution_ended"
    ETA_ERROR = "eta_error_seconds"


class Reading(Struct, frozen=True):
    """One value (seconds, or 1) with its labels in the order of ``LABELS``."""

    measure: Measure
    labels: tuple[str, ...]
    value: float = 1.0


LABELS: dict[Measure, tuple[str, ...]] = {
    Measure.QUEUE: ("agent_type",),
    Measure.SCHEDULING: ("agent_type",),
    Measure.RESOURCE_WAIT: ("agent_type",),
    Measure.DISPATCH: ("agent_type",),
    Measure.RUN: ("agent_type", "outcome"),
    Measure.TASK_ENDED: ("agent_type", "status"),
    Measure.TASK_RETRIED: ("agent_type", "code"),
    Measure.ATTEMPT_LOST: ("agent_type",),
    Measure.DURATION: ("status",),
    Measure.EXECUTION_ENDED: ("status",),
    Measure.ETA_ERROR: ("held",),
}
UNKNOWN = "unknown"
_ENDED: dict[type, str] = {
    e.TaskSucceeded: "succeeded",
    e.TaskFailed: "failed",
    e.TaskTimedOut: "timed_out",
    e.TaskCancelled: "cancelled",
    e.TaskSkipped: "skipped",
}
_OVER: dict[type, str] = {
    e.ExecutionSucceeded: "succeeded",
    e.ExecutionPartlySucceeded: "partial",
    e.ExecutionFailed: "failed",
    e.ExecutionTimedOut: "timed_out",
    e.ExecutionCancelled: "cancelled",
    e.ExecutionRejected: "rejected",
}
_BACK = (e.TaskAttemptLost, e.TaskFellBack, e.TaskReleased, e.TaskWithdrawn)


class _Instants(Struct):
    """When a task came to where it is, in Unix milliseconds; 0 where that was not seen."""

    ready: int = 0
    queued: int = 0
    scheduled: int = 0
    started: int = 0


class ExecutionMeter:
    """Reads the events of one execution, from its first or from any other on.

    What began before it was listened to has no duration, and is counted when it ends.
    """

    def __init__(self) -> None:
        self._agent_types: dict[str, str] = {}
        self._tasks: dict[str, _Instants] = {}
        self._started_at = 0

    def read(self, event: ExecutionEvent, at: int) -> Iterator[Reading]:
        """Yield what an event at an instant (Unix milliseconds) says."""
        if isinstance(event, e.ExecutionAccepted) and event.workflow is not None:
            self._agent_types = {task.id: task.agent_type for task in event.workflow.tasks}
        elif isinstance(event, e.TasksAdded):
            self._agent_types.update((task.id, task.agent_type) for task in event.tasks)
        elif isinstance(event, e.ExecutionStarted):
            self._started_at = at
        elif (status := _OVER.get(type(event))) is not None:
            yield from self._over(status, at)
        elif (task_id := getattr(event, "task_id", "")) != "":
            yield from self._of_task(event, task_id, at)

    def _over(self, status: str, at: int) -> Iterator[Reading]:
        yield Reading(Measure.EXECUTION_ENDED, (status,))
        if self._started_at:
            yield Reading(Measure.DURATION, (status,), _seconds(self._started_at, at))
        self._tasks.clear()

    def _of_task(self, event: ExecutionEvent, task_id: str, at: int) -> Iterator[Reading]:
        kind = self._agent_types.get(task_id, UNKNOWN)
        instants = self._tasks.get(task_id)
        if instants is None:
            instants = self._tasks[task_id] = _Instants()
        match event:
            case e.TaskReady():
                self._tasks[task_id] = _Instants(ready=at)
            case e.TaskQueued():
                instants.queued = at
                if instants.ready:
                    yield Reading(Measure.SCHEDULING, (kind,), _seconds(instants.ready, at))
            case e.TaskScheduled():
                yield from _scheduled(instants, kind, at)
            case e.TaskStarted():
                instants.started = event.started_at
                if instants.scheduled:
                    waited = _seconds(instants.scheduled, event.started_at)
                    yield Reading(Measure.DISPATCH, (kind,), waited)
            case e.TaskRetrying():
                yield Reading(Measure.TASK_RETRIED, (kind, event.error.code))
                yield from _ran(instants, kind, "failed", event.finished_at)
                self._tasks[task_id] = _Instants()
            case _ if isinstance(event, _BACK):
                if isinstance(event, e.TaskAttemptLost):
                    yield Reading(Measure.ATTEMPT_LOST, (kind,))
                self._tasks[task_id] = _Instants(ready=at)
            case _ if (status := _ENDED.get(type(event))) is not None:
                yield Reading(Measure.TASK_ENDED, (kind, status))
                yield from _ran(instants, kind, status, getattr(event, "finished_at", 0))
                del self._tasks[task_id]
            case _:
                pass


class Told(Struct, frozen=True):
    """When an execution was said to be over, in half and in nine of ten cases, in Unix milliseconds."""

    p50: int
    p90: int


def eta_error(told: Told, ended: Reading, at: int) -> Iterator[Reading]:
    """Yield how far from the middle of what was told an execution ended, if it came to a regular end.

    ``held`` is whether it was over by the instant told for nine of ten cases.
    """
    if ended.labels[0] in ("succeeded", "partial"):
        held = "yes" if at <= told.p90 else "no"
        yield Reading(Measure.ETA_ERROR, (held,), abs(at - told.p50) / 1000)


def _scheduled(instants: _Instants, kind: str, at: int) -> Iterator[Reading]:
    instants.scheduled = at
    if instants.ready:
        yield Reading(Measure.QUEUE, (kind,), _seconds(instants.ready, at))
    if instants.queued:
        yield Reading(Measure.RESOURCE_WAIT, (kind,), _seconds(instants.queued, at))


def _ran(instants: _Instants, kind: str, outcome: str, finished_at: int) -> Iterator[Reading]:
    if instants.started and finished_at:
        yield Reading(Measure.RUN, (kind, outcome), _seconds(instants.started, finished_at))


def _seconds(since: int, until: int) -> float:
    return max(0, until - since) / 1000
