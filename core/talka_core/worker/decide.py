"""What a message makes happen on a worker."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from talka_core.worker.state import (
    Admitted,
    AttemptAccepted,
    AttemptBegun,
    AttemptReported,
    AttemptSettled,
    AttemptStopping,
    CutOff,
    CutOffEnded,
    DrainBegan,
    DrainRecorded,
    EnlistingBegan,
    HandBackBegan,
    IncarnationBegan,
    IncarnationStopped,
    ProgressReported,
    ProgressSettled,
    ReplacedEnded,
    TaskKey,
    WorkerFact,
    WorkerRecord,
)
from talka_protocols.events import TaskFailure
from talka_protocols.messages import (
    DRAINING_CODE,
    AdmitWorker,
    Advance,
    AttemptBegan,
    AttemptEnded,
    AttemptFinished,
    CancelTask,
    ConfirmDrain,
    ConfirmProgress,
    ContactLost,
    ContactMade,
    Drain,
    Enlisted,
    Outcome,
    ProgressMade,
    RejoinWorker,
    SettleReport,
    StartTask,
    WorkerMessage,
)

_STALE = TaskFailure("worker_restarted", "The worker was restarted before the attempt arrived.")
_DRAINING = TaskFailure(DRAINING_CODE, "The worker is shutting down and gave the attempt back.")
_CUT_OFF = TaskFailure(
    "contact_lost", "The worker lost contact with the pool and stopped what holds pool-wide amounts."
)


def decide(state: WorkerRecord, message: WorkerMessage, now_ms: int) -> Iterator[WorkerFact]:
    """Yield what the message makes happen; see ``behaviour.step``."""
    match message:
        case StartTask():
            yield from _start(state, message, now_ms)
        case AttemptEnded():
            yield from _ended(state, message)
        case AttemptBegan():
            record = state.attempts.get((message.execution_id, message.task_id))
            if record and record.attempt == message.attempt and record.is_running and not record.started_at:
                key = (message.execution_id, message.task_id)
                yield AttemptBegun(key, message.attempt, message.started_at)
        case ProgressMade() | ConfirmProgress():
            yield from _progress(state, message)
        case SettleReport():
            yield from _settle(state, message)
        case CancelTask():
            yield from _cancel(state, message, now_ms)
        case AdmitWorker() | ConfirmDrain() | RejoinWorker() | Enlisted() | Drain():
            yield from _membership(state, message)
        case ContactLost() | ContactMade():
            yield from _contact(state, is_lost=isinstance(message, ContactLost))
        case Advance():
            pass
    if state.is_enlisting and not state.is_stopped and not _is_running(state):
        yield IncarnationStopped()


def _is_running(state: WorkerRecord) -> bool:
    return bool(state.replaced) or any(record.is_running for record in state.attempts.values())


def _membership(
    state: WorkerRecord, message: AdmitWorker | ConfirmDrain | RejoinWorker | Enlisted | Drain
) -> Iterator[WorkerFact]:
    """Decide what the worker is to its pool."""
    match message:
        case AdmitWorker():
            if message.incarnation == state.incarnation and not state.is_enlisting:
                if not state.is_admitted:
                    yield Admitted()
                yield from _stop_allocations(state, message.stop)
        case ConfirmDrain():
            is_current = message.incarnation == state.incarnation and not state.is_enlisting
            if is_current and state.is_draining and not state.is_drain_recorded:
                yield DrainRecorded()
        case RejoinWorker():
            is_current = message.incarnation >= state.incarnation and not state.is_enlisting
            if is_current and not state.is_draining:
                yield EnlistingBegan()
                yield from _stop_running(state, is_handed_back=True)
        case Enlisted():
            if message.incarnation > state.incarnation:
                yield IncarnationBegan(message.incarnation)
                yield from _stop_running(state, is_handed_back=True)
        case Drain():
            if not state.is_draining:
                yield DrainBegan()
            if message.hand_back:
                if not state.is_handing_back:
                    yield HandBackBegan()
                yield from _stop_running(state, is_handed_back=True)


def _start(state: WorkerRecord, message: StartTask, now_ms: int) -> Iterator[WorkerFact]:
    key = (message.execution_id, message.task.id)
    if state.seen.get(key, 0) >= message.attempt:
        return
    yield from _stop_older(state, key)
    # An allocation of an earlier incarnation is gone with it, and its amounts are granted to others.
    is_stale = message.incarnation not in (0, state.incarnation)
    if state.is_handing_back or state.is_enlisting or is_stale:
        error = _STALE if is_stale else _DRAINING
        yield AttemptReported(_never_ran(state, (*key, message.attempt), now_ms, error))
    elif not (message.is_shared and state.is_cut_off):
        # Otherwise it is left unanswered and sent again, until the pool hears us or gives us up:
        # a refusal would come back at once as the next attempt.
        yield AttemptAccepted(message)


def _stop_older(state: WorkerRecord, key: TaskKey) -> Iterator[WorkerFact]:
    """Stop the attempt that the record of a newer one is about to replace."""
    older = state.attempts.get(key)
    if older is not None and older.is_running and not older.is_stopping:
        yield AttemptStopping(key, older.attempt)


def _never_ran(
    state: WorkerRecord, attempt: tuple[str, str, int], now_ms: int, error: TaskFailure | None = None
) -> AttemptFinished:
    """Report an attempt that this incarnation has not run and never will: cancelled, or lost by an error."""
    outcome = Outcome.CANCELLED if error is None else Outcome.LOST
    return AttemptFinished(*attempt, state.worker_id, 0, now_ms, outcome, error=error)


def _ended(state: WorkerRecord, message: AttemptEnded) -> Iterator[WorkerFact]:
    report = message.report
    key = (report.execution_id, report.task_id)
    if (key, report.attempt) in state.replaced:
        yield ReplacedEnded(key, report.attempt)
        return
    record = state.attempts.get(key)
    if record is None or record.attempt != report.attempt or not record.is_running:
        return
    if record.is_handed_back and report.outcome is Outcome.CANCELLED:
        error = _CUT_OFF if record.is_cut_off else _DRAINING
        report = replace(report, outcome=Outcome.LOST, error=error)
    yield AttemptReported(report)


def _progress(state: WorkerRecord, message: ProgressMade | ConfirmProgress) -> Iterator[WorkerFact]:
    """Pass on what a running attempt saved, and the answer to it; others have nobody who waits."""
    about = message.progress if isinstance(message, ProgressMade) else message
    record = state.attempts.get((about.execution_id, about.task_id))
    if record is None or record.attempt != about.attempt or not record.is_running:
        return
    if isinstance(message, ProgressMade):
        yield ProgressReported(message.progress)
    elif message.sequence in record.unconfirmed:
        yield ProgressSettled(message)


def _settle(state: WorkerRecord, message: SettleReport) -> Iterator[WorkerFact]:
    key = (message.execution_id, message.task_id)
    record = state.attempts.get(key)
    if record is None or record.attempt != message.attempt:
        return
    if not record.is_running:
        yield AttemptSettled(key)
    elif not record.is_stopping:
        yield AttemptStopping(key, record.attempt)


def _cancel(state: WorkerRecord, message: CancelTask, now_ms: int) -> Iterator[WorkerFact]:
    key = (message.execution_id, message.task_id)
    seen = state.seen.get(key, 0)
    if message.attempt > seen:
        yield from _stop_older(state, key)
        is_stale = message.incarnation not in (0, state.incarnation)
        error = _STALE if is_stale else None
        yield AttemptReported(_never_ran(state, (*key, message.attempt), now_ms, error))
        return
    record = state.attempts.get(key)
    if record is None or record.attempt != message.attempt or not record.is_running:
        return
    if message.unless_started and record.started_at:
        return
    if not record.is_stopping:
        yield AttemptStopping(key, record.attempt, is_forced=message.is_forced)
    elif message.is_forced and not record.is_forced:
        yield AttemptStopping(key, record.attempt, record.is_handed_back, record.is_cut_off, is_forced=True)


def _stop_allocations(state: WorkerRecord, allocation_ids: tuple[str, ...]) -> Iterator[WorkerFact]:
    gone = frozenset(allocation_ids)
    for key, record in state.attempts.items():
        if record.start is not None and record.start.allocation_id in gone and not record.is_stopping:
            yield AttemptStopping(key, record.attempt, is_handed_back=True)


def _stop_running(state: WorkerRecord, *, is_handed_back: bool) -> Iterator[WorkerFact]:
    for key, record in state.attempts.items():
        if record.is_running and not record.is_stopping:
            yield AttemptStopping(key, record.attempt, is_handed_back)


def _contact(state: WorkerRecord, *, is_lost: bool) -> Iterator[WorkerFact]:
    """Stop what holds pool-wide amounts when cut off, before the pool can give them to somebody else."""
    if is_lost is not state.is_cut_off:
        yield CutOff() if is_lost else CutOffEnded()
    if not is_lost:
        return
    for key, record in state.attempts.items():
        is_shared = record.start is not None and record.start.is_shared
        if is_shared and record.is_running and not record.is_stopping:
            yield AttemptStopping(key, record.attempt, is_handed_back=True, is_cut_off=True)
