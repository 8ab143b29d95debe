"""What a message makes happen to one execution.

A stale or repeated message makes nothing happen: attempts, allocation ids and
statuses tell. Every path ends in ``dispatch`` and ``conclude``, and
``Advance`` runs them over the whole record, so a commit that was cut short is
completed by whoever folds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import (
    archiving,
    arrivals,
    attempts,
    cancelling,
    cascade,
    children,
    endings,
    extending,
    forking,
    gangs,
    pausing,
    preempting,
    progress,
    proposing,
    reprioritizing,
    rollback,
    waiting,
)
from talka_core.scheduler.clock import has_passed
from talka_core.scheduler.dispatch import dispatch, make_ready
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import (
    AllocationReleased,
    AllocationSettled,
    ExecutionAccepted,
    ExecutionCancelRequested,
    ExecutionEvent,
    ExecutionRejected,
    ExecutionStarted,
    ExecutionTimeoutReached,
    HandOnSettled,
    ParentInformed,
    PermitWithdrawn,
    RequestRefused,
    TaskScheduled,
)
from talka_protocols.messages import (
    Advance,
    AnswerApproval,
    AnswerExtension,
    ArchiveExecution,
    AttemptFinished,
    AttemptStarted,
    CancelExecution,
    CancelSingleTask,
    ChildFinished,
    ChildRolledBack,
    ConfirmChild,
    ConfirmHandOn,
    ConfirmRelease,
    GrantAllocation,
    PauseExecution,
    PreemptAllocation,
    ProposeBaseline,
    RecordProgress,
    RefuseAllocation,
    ReleaseTask,
    ReportEnd,
    ReprioritizeExecution,
    RestartExecution,
    ResumeExecution,
    RevokeAllocation,
    RollBackChild,
    RollBackExecution,
    SchedulerMessage,
    SettleChild,
    SignalExecution,
    StartExecution,
    TimerFired,
    WarnOfDeadline,
    WithdrawPermit,
)
from talka_protocols.states import FINAL_EXECUTION_STATES, FINAL_TASK_STATUSES, ExecutionState, TaskStatus

TIMEOUT = "timeout"
KEPT = "kept/"
START = "start/"
RETRY = "retry"
WAIT = "wait"
"""Kinds of timers of a task's attempt, named ``kind/task/attempt``."""

Request = (
    pausing.Asked
    | ReprioritizeExecution
    | ProposeBaseline
    | RollBackExecution
    | RestartExecution
    | ArchiveExecution
)
Arrival = (
    SignalExecution
    | AnswerApproval
    | AnswerExtension
    | ConfirmChild
    | ChildFinished
    | ChildRolledBack
    | SettleChild
)


def decide(state: ExecutionRecord, message: SchedulerMessage, now_ms: int) -> Iterator[ExecutionEvent]:
    """Yield what the message makes happen; see ``behaviour.step``."""
    if state.archived is not None:
        yield from archiving.refused(state, message)
        return
    yield from _follow(state, message, now_ms)
    if state.index.gangs:
        yield from _mend_gangs(state, now_ms)
    if state.is_rolling_back:
        yield from rollback.proceed(state, now_ms)


def _follow(state: ExecutionRecord, message: SchedulerMessage, now_ms: int) -> Iterator[ExecutionEvent]:
    match message:
        case AttemptFinished():
            yield from attempts.finished(state, message, now_ms)
        case AttemptStarted():
            yield from attempts.started(state, message)
        case RecordProgress():
            yield from progress.recorded(state, message)
        case GrantAllocation():
            yield from _granted(state, message)
        case ConfirmRelease():
            if message.allocation_id in state.returning:
                yield AllocationSettled(message.allocation_id)
        case ConfirmHandOn():
            handing = state.handing.get(message.allocation_id)
            if handing is not None and message.fence >= handing.fence:
                yield HandOnSettled(message.allocation_id, message.fence)
        case StartExecution():
            yield from _start(state, message, now_ms)
        case CancelExecution():
            yield from _cancel(state, message, now_ms)
        case CancelSingleTask():
            yield from cancelling.requested(state, message, now_ms)
        case RollBackChild():
            yield from cascade.asked(state, message, now_ms)
        case (
            PauseExecution()
            | ResumeExecution()
            | ReleaseTask()
            | ReprioritizeExecution()
            | ProposeBaseline()
            | RollBackExecution()
            | RestartExecution()
            | ArchiveExecution()
        ):
            yield from _asked(state, message, now_ms)
        case (
            SignalExecution()
            | AnswerApproval()
            | AnswerExtension()
            | ConfirmChild()
            | ChildFinished()
            | ChildRolledBack()
            | SettleChild()
        ):
            yield from _arrived(state, message, now_ms)
        case RevokeAllocation() | RefuseAllocation() | PreemptAllocation() | WarnOfDeadline():
            yield from _told_by_pool(state, message, now_ms)
        case WithdrawPermit():
            yield from _withdrawn(state, message)
        case TimerFired():
            yield from _timer(state, message, now_ms)
        case ReportEnd():
            pass
        case Advance():
            yield from _advance(state, now_ms)


def _told_by_pool(
    state: ExecutionRecord,
    message: RevokeAllocation | RefuseAllocation | PreemptAllocation | WarnOfDeadline,
    now_ms: int,
) -> Iterator[ExecutionEvent]:
    match message:
        case RevokeAllocation() | RefuseAllocation():
            yield from attempts.denied(state, message, now_ms)
        case PreemptAllocation() | WarnOfDeadline():
            yield from preempting.told(state, message, now_ms)


def _mend_gangs(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let gangs of which a member has gone be asked for anew, without it."""
    before = state.version
    yield from gangs.dissolve(state)
    if state.version != before:
        yield from dispatch(state, now_ms)


def _asked(
    state: ExecutionRecord,
    message: Request,
    now_ms: int,
) -> Iterator[ExecutionEvent]:
    match message:
        case ProposeBaseline():
            yield from proposing.proposed(state, message, now_ms)
        case ReprioritizeExecution():
            yield from reprioritizing.reprioritized(state, message, now_ms)
        case RollBackExecution() | RestartExecution():
            yield from rollback.requested(state, message, now_ms)
        case ArchiveExecution():
            yield from archiving.requested(state, message)
        case _:
            yield from pausing.asked(state, message, now_ms)


def _withdrawn(state: ExecutionRecord, message: WithdrawPermit) -> Iterator[ExecutionEvent]:
    if message.allocation_id in state.kept:
        yield AllocationReleased(message.allocation_id)
        return
    task_id = state.holder_of(message.allocation_id)
    if task_id is not None and state.tasks[task_id].hands:
        yield PermitWithdrawn(message.allocation_id)


def _start(state: ExecutionRecord, message: StartExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    if state.status is not None:
        return
    if message.refusal is not None:
        refusal = message.refusal
        yield ExecutionRejected(refusal.code, refusal.message, message.name, message.parent, message.schedule)
        return
    assert message.workflow is not None, "the shell loads a definition before it delivers StartExecution"
    yield ExecutionAccepted(
        message.workflow,
        message.definition,
        message.parent,
        message.schedule,
        message.origin,
        message.order,
        message.baseline,
    )
    yield from _advance(state, now_ms)


def _granted(state: ExecutionRecord, message: GrantAllocation) -> Iterator[ExecutionEvent]:
    record = state.tasks.get(message.task_id)
    if record is None or record.status is not TaskStatus.QUEUED or record.attempt != message.attempt:
        return
    if record.allocation_id != message.allocation_id:
        return
    yield TaskScheduled(
        message.task_id,
        message.attempt,
        message.worker_id,
        message.allocation_id,
        message.fence,
        message.pool_version,
        message.hands,
        message.hands_until,
        message.incarnation,
        message.is_shared,
    )


def _arrived(state: ExecutionRecord, message: Arrival, now_ms: int) -> Iterator[ExecutionEvent]:
    """Take what has come for a task that waits, and start what that has made ready."""
    before = state.version
    match message:
        case SignalExecution():
            yield from arrivals.signalled(state, message, now_ms)
        case AnswerApproval():
            yield from arrivals.answered(state, message, now_ms)
        case ConfirmChild():
            yield from children.confirmed(state, message)
        case ChildFinished():
            yield from children.finished(state, message, now_ms)
        case ChildRolledBack():
            yield from cascade.answered(state, message, now_ms)
        case SettleChild():
            if children.owes_report(state) and message.undo == state.undone_for:
                yield ParentInformed()
        case AnswerExtension():
            yield from extending.answered(state, message, now_ms)
    if state.version != before:
        yield from dispatch(state, now_ms)
        yield from endings.conclude(state)


def _cancel(state: ExecutionRecord, message: CancelExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    if message.request_id and message.request_id in state.requests:
        return
    # The task whose sub-workflow this is asks again.
    if state.is_rolling_back and message.parent is None:
        yield RequestRefused(
            "cancel",
            "rolling_back",
            "The execution is being rolled back. Cancel it when that is over.",
            request_id=message.request_id,
        )
    if state.status not in (ExecutionState.RUNNING, ExecutionState.PAUSED):
        return
    if state.is_stopping and (state.is_forced or not message.is_forced):
        return
    yield ExecutionCancelRequested(message.reason, message.is_forced, message.request_id)
    yield from endings.stop_all(state, now_ms)
    yield from endings.conclude(state)


def _timer(state: ExecutionRecord, message: TimerFired, now_ms: int) -> Iterator[ExecutionEvent]:
    if message.name == TIMEOUT:
        if has_passed(state, now_ms):
            yield ExecutionTimeoutReached(state.limit_ms)
            yield from endings.stop_all(state, now_ms)
            yield from endings.conclude(state)
        return
    if message.name.startswith(KEPT):
        allocation_id = message.name.removeprefix(KEPT)
        if allocation_id in state.kept:
            yield AllocationReleased(allocation_id)
        return
    if message.name.startswith(START):
        yield from attempts.not_started(state, message.name.removeprefix(START), now_ms)
        return
    kind, _, rest = message.name.partition("/")
    task_id, _, attempt = rest.rpartition("/")
    record = state.tasks.get(task_id)
    if record is None or record.attempt != int(attempt):
        return
    if kind == RETRY and record.status is TaskStatus.RETRYING:
        yield from make_ready(state, task_id, now_ms)
        if record.status in FINAL_TASK_STATUSES:
            yield from endings.follow_up(state, task_id, now_ms)
    elif kind == WAIT and record.status is TaskStatus.WAITING:
        yield from arrivals.due(state, task_id, now_ms)
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)


def _advance(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    if state.status is None or state.status in FINAL_EXECUTION_STATES:
        return
    if state.status is ExecutionState.ACCEPTED:
        yield from forking.adopt(state)
        yield ExecutionStarted()
    if state.is_rolling_back:
        yield from rollback.stop(state, now_ms)
    if state.is_stopping:
        yield from endings.stop_all(state, now_ms)
    else:
        yield from extending.settle_all(state, now_ms)
        yield from waiting.begin_all(state, now_ms)
        yield from arrivals.finish_all(state, now_ms)
        yield from cancelling.finish_all(state, now_ms)
        yield from cascade.finish_all(state, now_ms)
        yield from endings.follow_up_all(state, now_ms)
        yield from pausing.hold_back(state)
        yield from reprioritizing.withdraw_stale(state)
    yield from attempts.return_strays(state)
    yield from dispatch(state, now_ms)
    yield from endings.conclude(state)
