"""What new facts of a worker call for, what is owed, and what a repeated message is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from talka_core.behaviour import Effect, Enlist, Launch, Send, Stop
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
        case f.AttemptReported():
            yield Send(Recipient.SCHEDULER, fact.report)
        case f.AttemptStopping():
            yield Stop(*fact.key, fact.attempt)
        case f.EnlistingBegan():
            yield Enlist(state.worker_id)
        case f.IncarnationBegan():
            yield from _register(state)
        case f.DrainBegan():
            yield from _drain(state)
        case _:
            pass


def resume(state: WorkerRecord) -> Iterator[Effect]:
    """Yield everything still owed; what the executors do is re-owed as well, and ignored when it runs."""
    if state.is_enlisting:
        yield Enlist(state.worker_id)
    elif state.incarnation and not state.is_admitted:
        yield from _register(state)
    for key, record in state.attempts.items():
        if record.report is not None:
            yield Send(Recipient.SCHEDULER, record.report)
        else:
            if record.start is not None:
                yield Launch(record.start)
            if record.is_stopping:
                yield Stop(*key, record.attempt)


def answer(state: WorkerRecord, message: m.WorkerMessage) -> Iterable[Effect]:
    """Answer a repeated message from what is known."""
    match message:
        case m.StartTask():
            key = (message.execution_id, message.task.id)
            yield from _repeat(state, key, message.attempt)
        case m.CancelTask():
            # Never answered with the start: that is answered with a cancellation, and so on for ever.
            record = state.attempts.get((message.execution_id, message.task_id))
            if record is not None and record.attempt == message.attempt and record.report is not None:
                yield Send(Recipient.SCHEDULER, record.report, notice=True)
        case m.Drain():
            yield from _drain(state)
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


def _register(state: WorkerRecord) -> Iterator[Effect]:
    if state.offer is not None:
        running = tuple(
            record.start.allocation_id
            for record in state.attempts.values()
            if record.start is not None and not record.is_stopping
        )
        yield Send(Recipient.RESOURCE, replace(state.offer, incarnation=state.incarnation, running=running))


def _drain(state: WorkerRecord) -> Iterator[Effect]:
    if state.offer is not None:
        message = m.DrainWorker(state.offer.pool, state.worker_id, state.incarnation)
        yield Send(Recipient.RESOURCE, message, notice=True)
