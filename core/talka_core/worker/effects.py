"""What new facts of a worker call for, what is owed, and what a repeated message is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from talka_core.behaviour import Confirm, Effect, Enlist, Launch, Send, Stop
from talka_core.worker import state as f
from talka_core.worker.state import AttemptRecord, TaskKey, WorkerFact, WorkerRecord
from talka_protocols import messages as m
from talka_protocols.messages import Recipient


def react(state: WorkerRecord, fact: WorkerFact) -> Iterator[Effect]:
    """Yield what one new fact calls for."""
    match fact:
        case f.AttemptAccepted():
            yield Launch(fact.start)
        case f.AttemptBegun():
            yield _started(state, fact.key, state.attempts[fact.key])
        case f.ProgressReported():
            yield Send(Recipient.SCHEDULER, fact.progress)
        case f.ProgressSettled():
            yield Confirm(fact.confirmation)
        case f.AttemptReported():
            yield Send(Recipient.SCHEDULER, fact.report)
        case f.AttemptStopping():
            yield Stop(*fact.key, fact.attempt, fact.is_forced)
        case f.IncarnationStopped():
            yield Enlist(state.worker_id)
        case f.IncarnationBegan():
            yield from _register(state)
        case f.Admitted():
            yield from _drain(state)
        case f.DrainBegan():
            yield from _join(state)
        case _:
            pass


def resume(state: WorkerRecord) -> Iterator[Effect]:
    """Yield everything still owed; what the executors do is re-owed as well, and ignored when it runs."""
    if state.is_enlisting and state.is_stopped:
        yield Enlist(state.worker_id)
    yield from _join(state)
    for key, record in state.attempts.items():
        if record.report is not None:
            yield Send(Recipient.SCHEDULER, record.report)
        else:
            if record.start is not None:
                yield Launch(record.start)
            for progress in record.unconfirmed.values():
                yield Send(Recipient.SCHEDULER, progress)
            if record.is_stopping:
                yield Stop(*key, record.attempt, record.is_forced)


def answer(state: WorkerRecord, message: m.WorkerMessage) -> Iterable[Effect]:
    """Answer a repeated message from what is known."""
    match message:
        case m.StartTask():
            key = (message.execution_id, message.task.id)
            yield from _repeat(state, key, message.attempt)
        case m.CancelTask():
            key = (message.execution_id, message.task_id)
            record = state.attempts.get(key)
            if record is None or record.attempt != message.attempt:
                return
            if record.report is not None:
                yield Send(Recipient.SCHEDULER, record.report, notice=True)
            elif message.unless_started and record.started_at:
                # Else never answered with the start: that asks for a cancellation, and so on for ever.
                yield _started(state, key, record)
        case _:
            pass


def is_over(state: WorkerRecord) -> bool:
    """Tell whether the worker is draining and nothing runs or waits to be settled."""
    return state.is_draining and not state.attempts


def _repeat(state: WorkerRecord, key: TaskKey, attempt: int) -> Iterator[Effect]:
    record = state.attempts.get(key)
    if record is None or record.attempt != attempt:
        return
    if record.report is not None:
        yield Send(Recipient.SCHEDULER, record.report, notice=True)
    elif record.started_at:
        yield _started(state, key, record)


def _started(state: WorkerRecord, key: TaskKey, record: AttemptRecord) -> Effect:
    message = m.AttemptStarted(*key, record.attempt, state.worker_id, record.started_at)
    return Send(Recipient.SCHEDULER, message, notice=True)


def _join(state: WorkerRecord) -> Iterator[Effect]:
    """Yield what this incarnation owes the pool: to be known, and to be known as draining."""
    if state.incarnation and not state.is_admitted and not state.is_enlisting:
        yield from _register(state)
    yield from _drain(state)


def _register(state: WorkerRecord) -> Iterator[Effect]:
    if state.offer is not None:
        running = tuple(
            record.start.allocation_id
            for record in state.attempts.values()
            if record.start is not None and not record.is_stopping
        )
        offer = replace(
            state.offer, incarnation=state.incarnation, running=running, is_draining=state.is_draining
        )
        yield Send(Recipient.RESOURCE, offer)


def _drain(state: WorkerRecord) -> Iterator[Effect]:
    """Yield the wish to be granted nothing, until the pool has recorded it; a registration carries it too."""
    if state.offer is not None and state.is_admitted and state.is_draining and not state.is_drain_recorded:
        yield Send(Recipient.RESOURCE, m.DrainWorker(state.offer.pool, state.worker_id, state.incarnation))
