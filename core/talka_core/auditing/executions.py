"""What an execution's events do to the book, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from talka_core.auditing.book import Book, Execution, Held
from talka_core.auditing.patience import loosen, settle
from talka_core.auditing.violations import Finding, Kind, Where
from talka_protocols import events as e
from talka_protocols.events import ExecutionEvent

Taken = Callable[[Book, str, Execution, Any, Where], Iterator[Finding]]

_ENDS = (
    e.ExecutionSucceeded,
    e.ExecutionPartlySucceeded,
    e.ExecutionFailed,
    e.ExecutionTimedOut,
    e.ExecutionCancelled,
    e.ExecutionRejected,
    e.RollbackFailed,
)
_REOPENS = (e.ExecutionResumed, e.ExecutionRestarted, e.RollbackStarted)


def take(
    book: Book, name: str, execution: Execution, event: ExecutionEvent, where: Where
) -> Iterator[Finding]:
    """Enter one event of an execution's log, and yield what is wrong with it."""
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        yield from handler(book, name, execution, event, where)


def is_over(execution: Execution) -> bool:
    """Tell whether nothing more is to be said about an execution."""
    return execution.is_ended and not execution.returning and not execution.held and not execution.wanted


def may_begin(event: ExecutionEvent) -> bool:
    """Tell whether an execution that was over goes on with an event."""
    return type(event) in _REOPENS or type(event) in (e.TaskQueued, e.TaskScheduled)


def _queued(
    _book: Book, name: str, execution: Execution, event: e.TaskQueued, _where: Where
) -> Iterator[Finding]:
    yield from _while_ended(execution, f"Attempt {event.attempt} of {event.task_id} asks for resources")
    execution.wanted[f"{name}/{event.task_id}/{event.attempt}"] = (event.task_id, event.attempt)
    execution.attempts[event.task_id] = event.attempt


def _scheduled(
    book: Book, _name: str, execution: Execution, event: e.TaskScheduled, _where: Where
) -> Iterator[Finding]:
    allocation_id, subject = event.allocation_id, f"Attempt {event.attempt} of {event.task_id}"
    book.counts["attempts"] += 1
    yield from _while_ended(execution, f"{subject} is scheduled")
    if (other := execution.running.get(event.task_id)) is not None:
        yield Kind.HELD_TWICE, f"{subject} is scheduled while another attempt of it runs on {other}."
    yield from _fence(execution, event, subject)
    wanted = execution.wanted.pop(allocation_id, None)
    held = execution.held.get(allocation_id)
    if held is not None and (
        held.is_running or (held.task_id, held.attempt) != (event.task_id, event.attempt)
    ):
        yield (
            Kind.HELD_TWICE,
            f"{subject} gets {allocation_id}, which attempt {held.attempt} of {held.task_id} holds.",
        )
    elif held is not None and held.fence != event.fence:
        yield (
            Kind.FENCE_REUSED,
            f"{subject} runs under fence {event.fence}, and was handed {allocation_id} under {held.fence}.",
        )
    execution.held[allocation_id] = Held(
        event.task_id,
        event.attempt,
        event.fence,
        is_running=True,
        is_withdrawn=bool(held and held.is_withdrawn),
    )
    execution.running[event.task_id] = allocation_id
    execution.attempts[event.task_id] = event.attempt
    settle(book, Kind.NOT_RETURNED, allocation_id)
    if execution.is_native:
        yield from _granted(book, event, subject, is_first=wanted is not None)
    else:
        book.counts["imported"] += 1


def _fence(execution: Execution, event: e.TaskScheduled, subject: str) -> Iterator[Finding]:
    newest = execution.fences.get(event.task_id, 0)
    if event.fence <= newest:
        yield Kind.FENCE_REUSED, f"{subject} runs under fence {event.fence} after one under {newest}."
    execution.fences[event.task_id] = max(newest, event.fence)


def _granted(book: Book, event: e.TaskScheduled, subject: str, *, is_first: bool) -> Iterator[Finding]:
    allocation = book.allocations.get(event.allocation_id)
    if allocation is None:
        yield (
            Kind.USED_UNGRANTED,
            f"{subject} is scheduled on {event.allocation_id}, which no pool has granted.",
        )
        return
    worker_id, incarnation = allocation.worker
    if event.worker_id != worker_id or event.incarnation not in (0, incarnation):
        there = f"incarnation {event.incarnation} of worker {event.worker_id}"
        granted = f"incarnation {incarnation} of worker {worker_id}"
        sentence = f"{subject} runs on {there}, and {event.allocation_id} was granted on {granted}."
        yield Kind.USED_UNGRANTED, sentence
    if is_first and event.fence != allocation.fence:
        yield (
            Kind.FENCE_REUSED,
            f"{subject} runs under fence {event.fence}, and was granted {allocation.fence}.",
        )


def _handed_on(
    book: Book, _name: str, execution: Execution, event: e.AllocationHandedOn, where: Where
) -> Iterator[Finding]:
    allocation_id, subject = event.allocation_id, f"{event.allocation_id} is handed on to {event.to_task}"
    yield from _while_ended(execution, subject)
    held = execution.held.get(allocation_id)
    if held is None or held.task_id != event.from_task:
        yield Kind.HAND_ON_BEYOND_GRANT, f"{subject} by {event.from_task}, which does not hold it."
    else:
        if held.is_running:
            yield Kind.HELD_TWICE, f"{subject} while {event.from_task} runs on it."
        if held.is_withdrawn:
            yield Kind.HAND_ON_BEYOND_GRANT, f"{subject} after its permit was withdrawn."
        if event.fence <= held.fence:
            yield Kind.FENCE_REUSED, f"{subject} under fence {event.fence}, and {held.fence} was used."
    allocation = book.allocations.get(allocation_id)
    if allocation is not None and execution.is_native:
        if event.fence > allocation.last:
            yield (
                Kind.HAND_ON_BEYOND_GRANT,
                f"{subject} under fence {event.fence}, and its grant ends at {allocation.last}.",
            )
        if where.at >= allocation.hands_until:
            late_ms = where.at - allocation.hands_until
            yield Kind.HAND_ON_BEYOND_GRANT, f"{subject} {late_ms} ms after it might be."
    execution.held[allocation_id] = Held(event.to_task, event.attempt, event.fence)
    _loosen(
        book, allocation_id, f"{allocation_id} was handed on to {event.to_task}, which never got it", where
    )


def _kept(
    book: Book, _name: str, execution: Execution, event: e.AllocationKept, _where: Where
) -> Iterator[Finding]:
    held = execution.held.get(event.allocation_id)
    if held is None or held.is_running:
        yield (
            Kind.HELD_TWICE,
            f"{event.allocation_id} is kept for {event.task_id}, which has not ended on it.",
        )
        return
    held.is_kept = True
    settle(book, Kind.NOT_RETURNED, event.allocation_id)


def _ended_attempt(
    book: Book, name: str, execution: Execution, event: Any, where: Where
) -> Iterator[Finding]:
    allocation_id = execution.running.pop(event.task_id, None)
    if allocation_id is None:
        # What never ran may only have been asked for.
        asked = f"{name}/{event.task_id}/{getattr(event, 'attempt', 0)}"
        if execution.wanted.pop(asked, None) is not None:
            execution.returning.setdefault(asked, (where.position, where.version, where.at))
            _loosen(book, asked, f"{asked} is not wanted any more", where)
        return
    held = execution.held.get(allocation_id)
    if held is None or held.task_id != event.task_id:
        return
    held.is_running = False
    sentence = f"{allocation_id} was held by {event.task_id}, whose attempt has ended"
    _loosen(book, allocation_id, sentence, where)
    yield from ()


def _released(book: Book, name: str, execution: Execution, event: Any, where: Where) -> Iterator[Finding]:
    allocation_id = (
        f"{name}/{event.task_id}/{event.attempt}"
        if isinstance(event, e.TaskWithdrawn)
        else event.allocation_id
    )
    held = execution.held.pop(allocation_id, None)
    execution.wanted.pop(allocation_id, None)
    if held is not None and held.is_running:
        yield Kind.FREED_IN_USE, f"{allocation_id} is given back while {held.task_id} runs on it."
        execution.running.pop(held.task_id, None)
    execution.returning.setdefault(allocation_id, (where.position, where.version, where.at))
    _loosen(book, allocation_id, f"{allocation_id} was given back by {name}", where)


def _settled(
    book: Book, name: str, execution: Execution, event: e.AllocationSettled, _where: Where
) -> Iterator[Finding]:
    allocation_id = event.allocation_id
    since = execution.returning.pop(allocation_id, None)
    if since is None:
        if execution.is_whole:
            yield (
                Kind.SETTLED_UNRECORDED,
                f"The return of {allocation_id} is settled, and {name} never gave it back.",
            )
        return
    allocation = book.allocations.get(allocation_id)
    # What is granted later than that was granted again, to a request that arrived twice.
    if allocation is not None and execution.is_native and allocation.position < since[0]:
        yield (
            Kind.SETTLED_UNRECORDED,
            f"The return of {allocation_id} is settled, and its pool has never freed it.",
        )
        settle(book, Kind.NOT_RETURNED, allocation_id)


def _hand_on_settled(
    book: Book, _name: str, execution: Execution, event: e.HandOnSettled, _where: Where
) -> Iterator[Finding]:
    allocation = book.allocations.get(event.allocation_id)
    if allocation is not None and execution.is_native and allocation.fence < event.fence:
        subject = f"The hand-on of {event.allocation_id} under fence {event.fence}"
        yield Kind.SETTLED_UNRECORDED, f"{subject} is settled, and its pool knows {allocation.fence}."


def _withdrawn(
    _book: Book, _name: str, execution: Execution, event: e.PermitWithdrawn, _where: Where
) -> Iterator[Finding]:
    held = execution.held.get(event.allocation_id)
    if held is not None:
        held.is_withdrawn = True
    yield from ()


def _ended(_book: Book, name: str, execution: Execution, event: Any, _where: Where) -> Iterator[Finding]:
    for allocation_id, held in execution.held.items():
        yield (
            Kind.HELD_AFTER_END,
            f"{name} has ended ({type(event).__name__}), and {held.task_id} still holds {allocation_id}.",
        )
    for allocation_id, (task_id, _) in execution.wanted.items():
        yield (
            Kind.HELD_AFTER_END,
            f"{name} has ended ({type(event).__name__}), and {task_id} still asks for {allocation_id}.",
        )
    execution.is_ended = True
    execution.held.clear()
    execution.wanted.clear()
    execution.running.clear()


def _rolled_back(
    book: Book, name: str, execution: Execution, event: e.ExecutionRolledBack, where: Where
) -> Iterator[Finding]:
    if event.then is not e.ExecutionRolledBack.__struct_defaults__[0]:
        yield from _ended(book, name, execution, event, where)


def _reopened(_book: Book, _name: str, execution: Execution, _event: Any, _where: Where) -> Iterator[Finding]:
    execution.is_ended = False
    yield from ()


def _while_ended(execution: Execution, subject: str) -> Iterator[Finding]:
    if execution.is_ended:
        yield Kind.HELD_AFTER_END, f"{subject} although the execution has ended."


def _loosen(book: Book, allocation_id: str, sentence: str, where: Where) -> None:
    if allocation_id in book.allocations:
        loosen(book, Kind.NOT_RETURNED, allocation_id, sentence, where)


_HANDLERS: dict[type, Taken] = {
    e.TaskQueued: _queued,
    e.TaskScheduled: _scheduled,
    e.AllocationHandedOn: _handed_on,
    e.AllocationKept: _kept,
    e.AllocationReleased: _released,
    e.AllocationRequestWithdrawn: _released,
    e.TaskWithdrawn: _released,
    e.AllocationSettled: _settled,
    e.HandOnSettled: _hand_on_settled,
    e.PermitWithdrawn: _withdrawn,
    e.TaskSucceeded: _ended_attempt,
    e.TaskFailed: _ended_attempt,
    e.TaskTimedOut: _ended_attempt,
    e.TaskRetrying: _ended_attempt,
    e.TaskIterated: _ended_attempt,
    e.TaskAttemptLost: _ended_attempt,
    e.TaskFellBack: _ended_attempt,
    e.TaskParked: _ended_attempt,
    e.TaskCancelled: _ended_attempt,
    e.ExtensionRequested: _ended_attempt,
    e.ExecutionRolledBack: _rolled_back,
    **dict.fromkeys(_ENDS, _ended),
    **dict.fromkeys(_REOPENS, _reopened),
}
