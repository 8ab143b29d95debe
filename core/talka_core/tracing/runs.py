"""The runs of tasks: from ready to ended, with a span for each thing that a run waited for or did.

A worker's own instants are taken for true between the commits around them, so
clocks that differ move a boundary and lose no time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talka_core.scheduler.names import UNDO, undone_by
from talka_core.traceparent import attempt_span_id, span_id
from talka_core.tracing.draft import Draft, link_to
from talka_protocols import events as e
from talka_protocols.events import ExecutionEvent
from talka_protocols.tracing import Attribute, Outcome, Service
from talka_protocols.workflow import Task

QUEUE, RESOURCES, DISPATCH, RECORDING = "queue", "resource wait", "dispatch", "recording"
WITHOUT_SPANS = frozenset({QUEUE, DISPATCH, RECORDING})
"""Phases of the scheduler's own that are left out where they took no measurable time."""


Problem = tuple[str, str]
"""What went wrong: its code or kind, and a sentence."""
_WAITS = {"wait": "wait", "workflow": "wait for the sub-workflow"}


class Run:
    """One run of one task: its span, that of the present phase, and those of the phases before."""

    def __init__(self, whole: Draft) -> None:
        self.whole = whole
        self.phases: list[Draft] = []

    @property
    def present(self) -> Draft:
        """Return the present phase."""
        return self.phases[-1]


class Runs:
    """Reads the events of tasks; ``drafts`` are the spans of all runs, each behind its parent."""

    def __init__(self, execution_id: str, tasks: dict[str, Task]) -> None:
        self.drafts: list[Draft] = []
        self._execution_id = execution_id
        self._root = span_id(execution_id)
        self._tasks = tasks
        self._open: dict[str, Run] = {}
        self._counts: dict[str, int] = {}

    def read(self, event: ExecutionEvent, at: int) -> None:
        """Take one event in; those that are not about a task's run make no difference."""
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return
        if isinstance(event, e.TaskReady):
            self._ready(event.task_id, at)
        elif (run := self._open.get(getattr(event, "task_id", ""))) is not None:
            handler(self, run, event, at)

    # --- phases --------------------------------------------------------------------------------

    def _ready(self, task_id: str, at: int) -> None:
        if (run := self._open.get(task_id)) is not None:
            self.turn(run, QUEUE, Service.SCHEDULER, at)
            return
        self._counts[task_id] = number = self._counts.get(task_id, 0) + 1
        identity = span_id(self._execution_id, "run", task_id, number)
        whole = Draft(identity, self._root, _name(task_id), Service.SCHEDULER, at)
        whole.attributes = self._described(task_id)
        run = self._open[task_id] = Run(whole)
        self.drafts.append(whole)
        self.turn(run, QUEUE, Service.SCHEDULER, at)

    def _described(self, task_id: str) -> dict[str, Attribute]:
        described: dict[str, Attribute] = {"talka.task.id": task_id}
        if (task := self._tasks.get(task_id)) is not None:
            described["talka.task.agent_type"] = task.agent_type
            described.update({f"talka.task.{name}": n for name, n in task.resources.amounts().items() if n})
        return described

    def turn(self, run: Run, name: str, service: Service, at: int, identity: str = "") -> Draft:
        """End what a run does now, and begin something else."""
        if run.phases and not run.present.ended_at:
            run.present.end(at)
        if run.phases and run.present.name in WITHOUT_SPANS and run.present.ended_at == run.present.began_at:
            self.drafts.remove(run.phases.pop())
        began = max(at, run.phases[-1].ended_at if run.phases else run.whole.began_at)
        identity = identity or span_id(run.whole.span_id, "phase", len(run.phases))
        phase = Draft(identity, run.whole.span_id, name, service, began)
        run.phases.append(phase)
        self.drafts.append(phase)
        return phase

    def attempt(self, run: Run, event: e.TaskStarted, at: int) -> None:
        """Begin the span of an attempt, which its own spans name as their parent."""
        identity = attempt_span_id(self._execution_id, event.task_id, event.attempt)
        name = f"attempt {event.attempt}"
        where = run.present.attributes if run.present.name == DISPATCH else {}
        phase = self.turn(run, name, Service.WORKER, min(event.started_at, at), identity)
        phase.attributes = {"talka.task.id": event.task_id, "talka.task.attempt": event.attempt, **where}

    def end(self, run: Run, at: int, outcome: Outcome, message: str) -> None:
        """End a run with its present phase."""
        if not run.present.ended_at:
            run.present.end(at)
        run.whole.end(at, outcome, message)
        del self._open[str(run.whole.attributes["talka.task.id"])]


def _name(task_id: str) -> str:
    return f"undo {undone_by(task_id)}" if task_id.startswith(UNDO) else f"task {task_id}"


def _close(run: Run, finished_at: int, at: int, outcome: Outcome, problem: Problem = ("", "")) -> str:
    """End the attempt of a run if it is in one, and return what went wrong in one line."""
    kind, sentence = problem
    message = f"{kind}: {sentence}" if kind else ""
    if run.present.service is Service.WORKER and not run.present.ended_at:
        run.present.end(min(finished_at or at, at), outcome, message)
        if kind:
            described = {"exception.type": kind, "exception.message": sentence}
            run.present.note("exception", run.present.ended_at, **described)
    return message


def _queued(runs: Runs, run: Run, event: e.TaskQueued, at: int) -> None:
    phase = runs.turn(run, RESOURCES, Service.RESOURCE, at)
    phase.attributes = {"talka.task.attempt": event.attempt}


def _scheduled(runs: Runs, run: Run, event: e.TaskScheduled, at: int) -> None:
    phase = runs.turn(run, DISPATCH, Service.SCHEDULER, at)
    phase.attributes = {"talka.worker.id": event.worker_id, "talka.allocation.id": event.allocation_id}


def _waiting(runs: Runs, run: Run, event: e.TaskWaiting, at: int) -> None:
    name = _WAITS.get(event.kind, f"wait for {event.kind}")
    phase = runs.turn(run, name, Service.SCHEDULER, at)
    if event.name:
        phase.attributes = {"talka.wait.name": event.name}


def _retrying(runs: Runs, run: Run, event: e.TaskRetrying, at: int) -> None:
    _close(run, event.finished_at, at, Outcome.ERROR, (event.error.code, event.error.message))
    runs.turn(run, "pause before the next attempt", Service.SCHEDULER, at)


def _iterated(runs: Runs, run: Run, event: e.TaskIterated, at: int) -> None:
    _close(run, event.finished_at, at, Outcome.OK)
    runs.turn(run, "pause before the next round", Service.SCHEDULER, at)


def _parked(runs: Runs, run: Run, event: e.TaskParked, at: int) -> None:
    _close(run, at, at, Outcome.ERROR, ("parked", event.reason))
    runs.turn(run, "parked", Service.SCHEDULER, at)


def _lost(runs: Runs, run: Run, event: e.TaskAttemptLost, at: int) -> None:
    outcome = Outcome.UNSET if event.is_handed_back else Outcome.ERROR
    kind = "handed back" if event.is_handed_back else "worker lost"
    _close(run, at, at, outcome, (kind, event.reason))
    runs.turn(run, QUEUE, Service.SCHEDULER, at)


def _fell_back(runs: Runs, run: Run, event: e.TaskFellBack, at: int) -> None:
    _close(run, event.finished_at, at, Outcome.ERROR, (event.error.code, event.error.message))
    run.whole.note("fallback", at)
    runs.turn(run, QUEUE, Service.SCHEDULER, at)


def _again(runs: Runs, run: Run, _event: e.TaskReleased | e.TaskWithdrawn, at: int) -> None:
    runs.turn(run, QUEUE, Service.SCHEDULER, at)


def _extending(runs: Runs, run: Run, event: e.ExtensionRequested, at: int) -> None:
    _close(run, event.finished_at, at, Outcome.OK)
    runs.turn(run, "wait for the planner", Service.PLANNER, at)


def _succeeded(runs: Runs, run: Run, event: e.TaskSucceeded, at: int) -> None:
    _close(run, event.finished_at, at, Outcome.OK)
    runs.end(run, at, Outcome.OK, "")


def _ended_badly(runs: Runs, run: Run, event: e.TaskFailed | e.TaskTimedOut, at: int) -> None:
    message = _close(run, event.finished_at, at, Outcome.ERROR, (event.error.code, event.error.message))
    runs.end(run, at, Outcome.ERROR, message)


def _cancelled(runs: Runs, run: Run, event: e.TaskCancelled, at: int) -> None:
    _close(run, event.finished_at, at, Outcome.UNSET)
    run.whole.note("cancelled", at)
    runs.end(run, at, Outcome.UNSET, "")


def _skipped(runs: Runs, run: Run, event: e.TaskSkipped, at: int) -> None:
    run.whole.note("skipped", at, because=event.because)
    runs.end(run, at, Outcome.UNSET, "")


def _noted(name: str) -> Callable[[Runs, Run, Any, int], None]:
    """Return a handler that notes that something happened, and what it says of itself."""
    fields = ("name", "choice", "artifact")

    def noted(_runs: Runs, run: Run, event: Any, at: int) -> None:
        named: str = next((value for field in fields if (value := getattr(event, field, ""))), "")
        run.present.note(name, at, **({"talka.name": named} if named else {}))

    return noted


def _linked(_runs: Runs, run: Run, event: e.ChildStarted, _at: int) -> None:
    run.whole.links.append(link_to(event.child_id, "sub-workflow"))


def _nothing(_runs: Runs, _run: Run, _event: Any, _at: int) -> None:
    """Being ready is handled by itself: there may be no run yet."""


_HANDLERS: dict[type, Callable[[Runs, Run, Any, int], None]] = {
    e.TaskReady: _nothing,
    e.TaskQueued: _queued,
    e.TaskScheduled: _scheduled,
    e.TaskStarted: Runs.attempt,
    e.TaskWaiting: _waiting,
    e.TaskRetrying: _retrying,
    e.TaskIterated: _iterated,
    e.TaskParked: _parked,
    e.TaskAttemptLost: _lost,
    e.TaskFellBack: _fell_back,
    e.TaskReleased: _again,
    e.TaskWithdrawn: _again,
    e.ExtensionRequested: _extending,
    e.TaskSucceeded: _succeeded,
    e.TaskFailed: _ended_badly,
    e.TaskTimedOut: _ended_badly,
    e.TaskCancelled: _cancelled,
    e.TaskSkipped: _skipped,
    e.TaskCheckpointed: _noted("checkpoint"),
    e.TaskStepFinished: _noted("step finished"),
    e.TaskCancelRequested: _noted("cancel requested"),
    e.SignalTaken: _noted("signal taken"),
    e.ApprovalAnswered: _noted("answered"),
    e.DependencyViolationDetected: _noted("dependency violation"),
    e.TaskPaused: _noted("paused"),
    e.TaskResumed: _noted("resumed"),
    e.ChildStarted: _linked,
}
