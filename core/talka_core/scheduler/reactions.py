"""What each kind of fact calls for; one that is not listed calls for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from talka_core.behaviour import Alert, Effect, Send
from talka_core.scheduler import arrivals, artifacts, children, letters, preempting, progress, usage
from talka_core.scheduler.decide import RETRY, WAIT
from talka_core.scheduler.state import ExecutionRecord, allocation_id
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols import events as e
from talka_protocols.events import ExecutionEvent
from talka_protocols.messages import Recipient
from talka_protocols.policies import Then


def react(state: ExecutionRecord, event: ExecutionEvent) -> Iterable[Effect]:
    """Return what one new fact calls for."""
    reaction = REACTIONS.get(type(event))
    return reaction(state, event) if reaction is not None else ()


# --- of one task ---------------------------------------------------------------------------------


def _queued(state: ExecutionRecord, event: e.TaskQueued) -> Iterable[Effect]:
    return (letters.request(state, event.task_id, state.tasks[event.task_id]),)


def _scheduled(state: ExecutionRecord, event: e.TaskScheduled) -> Iterable[Effect]:
    return (letters.start(state, event.task_id, state.tasks[event.task_id]),)


def _ended(
    state: ExecutionRecord, event: e.TaskSucceeded | e.TaskFailed | e.TaskTimedOut | e.TaskCancelled
) -> Iterable[Effect]:
    return letters.settle(state, event.task_id, event.attempt)


def _interrupted(
    state: ExecutionRecord, event: e.TaskAttemptLost | e.TaskFellBack | e.TaskParked
) -> Iterator[Effect]:
    yield from letters.settle(state, event.task_id, event.attempt)
    yield from letters.start_timer(state, event.task_id)


def _ready(state: ExecutionRecord, event: e.TaskReady | e.TaskResumed | e.TaskReleased) -> Iterable[Effect]:
    return letters.start_timer(state, event.task_id)


def _retrying(state: ExecutionRecord, event: e.TaskRetrying | e.TaskIterated) -> Iterator[Effect]:
    yield from letters.settle(state, event.task_id, event.attempt)
    yield letters.timer(state, RETRY, event.task_id)


def _waiting(state: ExecutionRecord, event: e.TaskWaiting) -> Iterator[Effect]:
    if event.kind == WORKFLOW:
        yield Send(Recipient.PLANNER, children.submission(state, event.task_id))
    elif event.due_at:
        yield letters.timer(state, WAIT, event.task_id)
    yield from letters.undo_child(state, event.task_id)


def _child_undone(state: ExecutionRecord, event: e.ChildUndone) -> Iterator[Effect]:
    yield letters.settle_child(state, event.task_id, event.child_id)
    yield from letters.undo_child(state, event.task_id)


def _extending(state: ExecutionRecord, event: e.ExtensionRequested) -> Iterator[Effect]:
    yield from letters.settle(state, event.task_id, event.attempt)
    yield letters.ask(state, event.task_id)


def _signalled(_state: ExecutionRecord, event: e.SignalReceived) -> Iterable[Effect]:
    return arrivals.receipt(event)


def _violated(_state: ExecutionRecord, event: e.DependencyViolationDetected) -> Iterable[Effect]:
    return (Alert("dependency.violated", artifacts.sentence(event)),)


def _measured(_state: ExecutionRecord, event: e.TaskUsageMeasured) -> Iterable[Effect]:
    return (Alert("usage.exceeded", usage.overuse_sentence(event)),) if event.overuse else ()


def _progressed(
    state: ExecutionRecord, event: e.TaskCheckpointed | e.TaskStepFinished | e.ArtifactRead
) -> Iterable[Effect]:
    return (progress.confirmed(state, event),)


def _overdue(state: ExecutionRecord, event: e.TaskStartTimeoutReached) -> Iterable[Effect]:
    return (letters.withdraw(state, event.task_id, state.tasks[event.task_id]),)


def _threatened(state: ExecutionRecord, event: e.DeadlineThreatened) -> Iterable[Effect]:
    return (Alert("deadline.threatened", preempting.sentence(state, event)),)


def _stopping(state: ExecutionRecord, event: e.TaskCancelRequested | e.TaskPreempted) -> Iterable[Effect]:
    return (letters.cancel(state, event.task_id, state.tasks[event.task_id]),)


# --- of allocations ------------------------------------------------------------------------------


def _returned(
    state: ExecutionRecord, event: e.AllocationReleased | e.AllocationRequestWithdrawn
) -> Iterator[Effect]:
    if returning := state.returning.get(event.allocation_id):
        yield letters.release(state, event.allocation_id, returning)


def _withdrawn(state: ExecutionRecord, event: e.TaskWithdrawn) -> Iterator[Effect]:
    allocation = allocation_id(state.execution_id, event.task_id, event.attempt)
    yield letters.release(state, allocation, state.returning[allocation])


def _kept(state: ExecutionRecord, event: e.AllocationKept) -> Iterable[Effect]:
    return (letters.kept_timer(state, event.allocation_id, event.until),)


def _handed_on(state: ExecutionRecord, event: e.AllocationHandedOn) -> Iterable[Effect]:
    return (letters.record_hand_on(state, event.allocation_id, state.handing[event.allocation_id]),)


# --- of the whole --------------------------------------------------------------------------------


def _accepted(state: ExecutionRecord, _event: e.ExecutionAccepted) -> Iterable[Effect]:
    return (letters.recorded(state),)


def _rejected(state: ExecutionRecord, _event: e.ExecutionRejected) -> Iterator[Effect]:
    yield letters.recorded(state)
    yield from _over(state, _event)


def _over(state: ExecutionRecord, _event: Any) -> Iterator[Effect]:
    yield from letters.report(state)
    yield from letters.ended(state, state.schedule)


def _rolled_back(state: ExecutionRecord, event: e.ExecutionRolledBack) -> Iterable[Effect]:
    return _resumed(state, event) if event.then is Then.CONTINUE else _over(state, event)


def _timed(state: ExecutionRecord, _event: Any) -> Iterable[Effect]:
    return letters.timeout(state)


def _resumed(state: ExecutionRecord, _event: e.ExecutionResumed | e.ExecutionRolledBack) -> Iterator[Effect]:
    yield from letters.timeout(state)
    for task_id in state.tasks:
        yield from letters.start_timer(state, task_id)


REACTIONS: dict[type, Callable[[ExecutionRecord, Any], Iterable[Effect]]] = {
    e.TaskQueued: _queued,
    e.TaskScheduled: _scheduled,
    **dict.fromkeys((e.TaskSucceeded, e.TaskFailed, e.TaskTimedOut, e.TaskCancelled), _ended),
    **dict.fromkeys((e.TaskAttemptLost, e.TaskFellBack, e.TaskParked), _interrupted),
    **dict.fromkeys((e.TaskReady, e.TaskResumed, e.TaskReleased), _ready),
    **dict.fromkeys((e.TaskRetrying, e.TaskIterated), _retrying),
    e.TaskWaiting: _waiting,
    e.ChildUndone: _child_undone,
    e.ExtensionRequested: _extending,
    e.SignalReceived: _signalled,
    e.DependencyViolationDetected: _violated,
    e.TaskUsageMeasured: _measured,
    **dict.fromkeys((e.TaskCheckpointed, e.TaskStepFinished, e.ArtifactRead), _progressed),
    e.TaskStartTimeoutReached: _overdue,
    **dict.fromkeys((e.TaskCancelRequested, e.TaskPreempted), _stopping),
    e.DeadlineThreatened: _threatened,
    **dict.fromkeys((e.AllocationReleased, e.AllocationRequestWithdrawn), _returned),
    e.TaskWithdrawn: _withdrawn,
    e.AllocationKept: _kept,
    e.AllocationHandedOn: _handed_on,
    e.ExecutionAccepted: _accepted,
    e.ExecutionRejected: _rejected,
    **dict.fromkeys((e.ExecutionStarted, e.ExecutionRestarted, e.TimeLimitResumed), _timed),
    e.ExecutionResumed: _resumed,
    e.ExecutionRolledBack: _rolled_back,
    **dict.fromkeys(
        (
            e.ExecutionSucceeded,
            e.ExecutionPartlySucceeded,
            e.ExecutionFailed,
            e.ExecutionTimedOut,
            e.ExecutionCancelled,
            e.RollbackFailed,
        ),
        _over,
    ),
}
