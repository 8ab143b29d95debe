"""What each task's time went on, read off the events of an execution.

A worker's own instants are taken for true between the commits around them, so
clocks that differ move a boundary and lose no time.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from talka_protocols import events as e
from talka_protocols.bottlenecks import Spent
from talka_protocols.events import ExecutionEvent


class Phase(Struct):
    """What a task's time went on from ``begin`` to ``end`` (milliseconds since the epoch)."""

    spent_on: Spent
    begin: int
    end: int


class Run(Struct):
    """A task from being ready to its end, without gaps; ``ended_at`` is 0 while it goes on."""

    task_id: str
    ready_at: int
    phases: list[Phase] = field(default_factory=list[Phase])
    ended_at: int = 0


class Timelines(Struct):
    """The runs of all tasks in order, and when people and rollbacks held everything, or one task, back."""

    runs: dict[str, list[Run]] = field(default_factory=dict[str, list[Run]])
    held: list[tuple[str, Phase]] = field(default_factory=list[tuple[str, Phase]])


_ENDS = (e.TaskSucceeded, e.TaskFailed, e.TaskTimedOut, e.TaskCancelled, e.TaskSkipped)
_BACK_TO_READY = (e.TaskAttemptLost, e.TaskFellBack, e.TaskReleased, e.TaskWithdrawn)
_HOLDS: dict[type, Spent] = {
    e.ExecutionPaused: Spent.PAUSED,
    e.TaskPaused: Spent.PAUSED,
    e.RollbackStarted: Spent.UNDONE,
    **dict.fromkeys(
        (
            e.ExecutionSucceeded,
            e.ExecutionPartlySucceeded,
            e.ExecutionFailed,
            e.ExecutionTimedOut,
            e.ExecutionCancelled,
        ),
        Spent.UNDONE,
    ),
}
_RELEASES = (e.ExecutionResumed, e.TaskResumed, e.ExecutionRolledBack, e.RollbackFailed, e.ExecutionRestarted)


def timelines(history: Iterable[tuple[int, ExecutionEvent]], until: int) -> Timelines:
    """Return what the tasks' time went on.

    Args:
        history: The execution's events with their instants, in order.
        until: When what is open counts as ended, in milliseconds since the epoch.
    """
    reader = _Reader()
    for at, event in history:
        reader.read(event, at)
    return reader.closed(until)


class _Reader:
    """Reads one event after the other; ``open`` is what each task does now, and since when."""

    def __init__(self) -> None:
        self._found = Timelines()
        self._open: dict[str, Phase] = {}
        self._holds: dict[str, Phase] = {}

    def read(self, event: ExecutionEvent, at: int) -> None:
        """Take one event in."""
        self._hold(event, at)
        match event:
            case e.TaskReady():
                self._ready(event.task_id, at)
            case e.TaskQueued():
                self._turn(event.task_id, Spent.RESOURCE, at)
            case e.TaskScheduled():
                self._turn(event.task_id, Spent.TRANSFER, at)
            case e.TaskStarted():
                self._turn(event.task_id, Spent.COMPUTE, min(event.started_at, at))
            case e.TaskWaiting():
                self._turn(event.task_id, Spent.WAIT, at)
            case e.TaskRetrying() | e.TaskParked():
                self._was_in_vain(event.task_id)
                parked = isinstance(event, e.TaskParked)
                self._turn(event.task_id, Spent.WAIT if parked else Spent.RETRY, at)
            case e.TaskIterated():
                self._report(event.task_id, event.finished_at, at)
                self._turn(event.task_id, Spent.WAIT, at)
            case e.ExtensionRequested():
                self._report(event.task_id, event.finished_at, at)
            case _ if isinstance(event, _BACK_TO_READY):
                self._was_in_vain(event.task_id)
                self._turn(event.task_id, Spent.QUEUE, at)
            case _ if isinstance(event, _ENDS):
                self._end(event.task_id, getattr(event, "finished_at", at), at)
            case _:
                pass

    def closed(self, until: int) -> Timelines:
        """Return everything, what is open counted until an instant."""
        for task_id in list(self._open):
            self._turn(task_id, Spent.OVERHEAD, until)
        for key, phase in self._holds.items():
            self._found.held.append((key, Phase(phase.spent_on, phase.begin, until)))
        return self._found

    def _hold(self, event: ExecutionEvent, at: int) -> None:
        key = getattr(event, "task_id", "") if isinstance(event, e.TaskPaused | e.TaskResumed) else ""
        is_release = isinstance(event, _RELEASES)
        if (is_release or type(event) in _HOLDS) and (phase := self._holds.pop(key, None)):
            self._found.held.append((key, Phase(phase.spent_on, phase.begin, at)))
        if (spent_on := _HOLDS.get(type(event))) is not None:
            self._holds[key] = Phase(spent_on, at, at)

    def _ready(self, task_id: str, at: int) -> None:
        phase = self._open.get(task_id)
        if phase is not None:
            self._turn(task_id, Spent.QUEUE, at)
            return
        self._found.runs.setdefault(task_id, []).append(Run(task_id, at))
        self._open[task_id] = Phase(Spent.QUEUE, at, at)

    def _turn(self, task_id: str, spent_on: Spent, at: int) -> None:
        """End what a task does now, and begin something else."""
        phase = self._open.get(task_id)
        if phase is None:
            return
        at = max(at, phase.begin)
        if at > phase.begin:
            self._found.runs[task_id][-1].phases.append(Phase(phase.spent_on, phase.begin, at))
        self._open[task_id] = Phase(spent_on, at, at)

    def _was_in_vain(self, task_id: str) -> None:
        if (phase := self._open.get(task_id)) and phase.spent_on is Spent.COMPUTE:
            phase.spent_on = Spent.RETRY

    def _report(self, task_id: str, finished_at: int, at: int) -> None:
        """End an attempt when its worker says that it ended."""
        if (phase := self._open.get(task_id)) and phase.spent_on is Spent.COMPUTE:
            self._turn(task_id, Spent.OVERHEAD, min(finished_at, at))

    def _end(self, task_id: str, finished_at: int, at: int) -> None:
        self._report(task_id, finished_at, at)
        self._turn(task_id, Spent.OVERHEAD, at)
        if self._open.pop(task_id, None) is not None:
            self._found.runs[task_id][-1].ended_at = at
