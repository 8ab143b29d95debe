"""The trace of an execution, made from its log: no actor spends time on it."""

from __future__ import annotations

from collections.abc import Iterable

from talka_core.scheduler import ExecutionRecord
from talka_core.traceparent import span_id, trace_id
from talka_core.tracing.draft import Draft, link_to
from talka_core.tracing.runs import Runs
from talka_protocols import events as e
from talka_protocols.events import ExecutionEvent, PlanEvent
from talka_protocols.tracing import Outcome, Service, Trace

_ENDS: dict[type, Outcome] = {
    e.ExecutionSucceeded: Outcome.OK,
    e.ExecutionPartlySucceeded: Outcome.OK,
    e.ExecutionFailed: Outcome.ERROR,
    e.ExecutionTimedOut: Outcome.ERROR,
    e.ExecutionCancelled: Outcome.UNSET,
    e.ExecutionRejected: Outcome.ERROR,
}
_HOLDS: dict[type, str] = {e.ExecutionPaused: "paused", e.RollbackStarted: "rollback"}
_RELEASES = (e.ExecutionResumed, e.ExecutionRolledBack, e.RollbackFailed)


def trace_of(
    state: ExecutionRecord,
    history: Iterable[tuple[int, ExecutionEvent]],
    until: int,
    plan: Iterable[tuple[int, PlanEvent]] = (),
) -> Trace:
    """Return the trace of an execution as its log tells it.

    Args:
        state: The execution's, now.
        history: All of its events with their instants (Unix milliseconds), in order.
        until: The end of what still runs.
        plan: The events of its plan, likewise.
    """
    reader = _Reader(state)
    for at, decided in plan:
        reader.plan(decided, at)
    for at, event in history:
        reader.read(event, at)
    drafts = [reader.root, *reader.held, *reader.runs.drafts]
    spans = tuple(draft.drawn(until) for draft in drafts)
    return Trace(trace_id(state.execution_id), state.execution_id, spans)


class _Reader:
    """Reads one event after the other; ``held`` are the spans of what concerns all tasks."""

    def __init__(self, state: ExecutionRecord) -> None:
        execution_id, name = state.execution_id, state.name or state.execution_id
        self.root = Draft(span_id(execution_id), "", f"execution {name}", Service.SCHEDULER, 0)
        self.root.attributes = {"talka.execution.id": execution_id, "talka.pool": state.pool}
        self.held: list[Draft] = []
        tasks = {task.id: task for task in state.workflow.tasks} if state.workflow else {}
        tasks.update({task.id: task for added in state.added for task in added.tasks})
        self.runs = Runs(execution_id, tasks)
        self._execution_id = execution_id

    def plan(self, event: PlanEvent, at: int) -> None:
        """Show what the planner did: its verdict, on its way until the scheduler records it."""
        self._begin(at)
        if isinstance(event, e.PlanAccepted | e.PlanRejected):
            draft = self._hold("plan", Service.PLANNER, at)
            if isinstance(event, e.PlanAccepted):
                draft.attributes = {
                    "talka.plan.stages": event.stages,
                    "talka.plan.bound_s": event.lower_bound,
                }
            else:
                draft.note("rejected", at, code=event.code)

    def read(self, event: ExecutionEvent, at: int) -> None:
        """Take one event of the execution in."""
        self._begin(at)
        self._frame(event, at)
        self.runs.read(event, at)
        if (outcome := _ENDS.get(type(event))) is not None:
            self._release(at)
            message = event.message if isinstance(event, e.ExecutionRejected) else ""
            self.root.end(at, outcome, message)
        elif isinstance(event, e.ExecutionRestarted | e.RollbackStarted):
            self.root.ended_at, self.root.outcome = 0, Outcome.UNSET

    def _frame(self, event: ExecutionEvent, at: int) -> None:
        """Take in what concerns the execution as a whole."""
        if isinstance(event, e.ExecutionAccepted):
            self._release(at)
            if event.parent is not None:
                self.root.links.append(link_to(event.parent.execution_id, "parent"))
            if event.origin is not None:
                self.root.links.append(link_to(event.origin.execution_id, "origin"))
        elif isinstance(event, _RELEASES):
            self._release(at)
            if isinstance(event, e.RollbackFailed):
                self.held[-1].outcome, self.held[-1].message = Outcome.ERROR, event.reason
        elif (name := _HOLDS.get(type(event))) is not None:
            self._release(at)
            self._hold(name, Service.SCHEDULER, at)
        elif isinstance(event, e.ExecutionRestarted | e.ExecutionCancelRequested | e.ExecutionTimeoutReached):
            self.root.note(_NOTES[type(event)], at)

    def _begin(self, at: int) -> None:
        self.root.began_at = min(self.root.began_at or at, at)

    def _hold(self, name: str, service: Service, at: int) -> Draft:
        identity = span_id(self._execution_id, "held", len(self.held))
        draft = Draft(identity, self.root.span_id, name, service, at)
        self.held.append(draft)
        return draft

    def _release(self, at: int) -> None:
        if self.held and not self.held[-1].ended_at:
            self.held[-1].end(at)


_NOTES: dict[type, str] = {
    e.ExecutionRestarted: "restarted",
    e.ExecutionCancelRequested: "cancel requested",
    e.ExecutionTimeoutReached: "time limit reached",
}

__all__ = ["trace_of"]
