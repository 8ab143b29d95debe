"""What new facts call for, what is still owed, and what a repeated message is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from talka_core.behaviour import Alert, Effect, Send, SetTimer
from talka_core.scheduler import artifacts, children, progress
from talka_core.scheduler.clock import start_due_at
from talka_core.scheduler.decide import KEPT, RETRY, START, TIMEOUT, WAIT
from talka_core.scheduler.extending import question_of
from talka_core.scheduler.inputs import inputs_of
from talka_core.scheduler.names import effect_key
from talka_core.scheduler.state import ExecutionRecord, Return, TaskRecord, allocation_id
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import ExecutionEvent, Holder
from talka_protocols.messages import Recipient
from talka_protocols.policies import Then
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus

_EXECUTION_ENDINGS = (
    e.ExecutionSucceeded,
    e.ExecutionPartlySucceeded,
    e.ExecutionFailed,
    e.ExecutionTimedOut,
    e.ExecutionCancelled,
    e.ExecutionRolledBack,
    e.RollbackFailed,
)


def react(state: ExecutionRecord, event: ExecutionEvent) -> Iterator[Effect]:
    """Yield what one new fact calls for."""
    match event:
        case e.TaskQueued():
            yield _request(state, event.task_id, state.tasks[event.task_id])
        case e.TaskScheduled():
            yield _start(state, event.task_id, state.tasks[event.task_id])
        case e.TaskSucceeded() | e.TaskFailed() | e.TaskTimedOut() | e.TaskCancelled():
            yield from _settle(state, event.task_id, event.attempt)
        case e.TaskAttemptLost() | e.TaskFellBack() | e.TaskParked():
            yield from _settle(state, event.task_id, event.attempt)
            yield from _start_timer(state, event.task_id)
        case e.TaskReady() | e.TaskResumed() | e.TaskReleased():
            yield from _start_timer(state, event.task_id)
        case e.TaskRetrying() | e.TaskIterated():
            yield from _settle(state, event.task_id, event.attempt)
            yield _timer(state, RETRY, event.task_id)
        case e.TaskWaiting() if event.kind == WORKFLOW:
            yield Send(Recipient.PLANNER, children.submission(state, event.task_id))
        case e.ExtensionRequested():
            yield from _settle(state, event.task_id, event.attempt)
            yield _ask(state, event.task_id)
        case e.TaskWaiting() if event.due_at:
            yield _timer(state, WAIT, event.task_id)
        case e.DependencyViolationDetected():
            yield Alert("dependency.violated", artifacts.sentence(event))
        case e.TaskCheckpointed() | e.TaskStepFinished() | e.ArtifactRead():
            yield progress.confirmed(state, event)
        case e.TaskCancelRequested():
            yield _cancel(state, event.task_id, state.tasks[event.task_id])
        case _:
            yield from _react_to_allocation(state, event)
            yield from _react_to_execution(state, event)


def _react_to_allocation(state: ExecutionRecord, event: ExecutionEvent) -> Iterator[Effect]:
    match event:
        case e.AllocationReleased() | e.AllocationRequestWithdrawn():
            if returning := state.returning.get(event.allocation_id):
                yield _release(state, event.allocation_id, returning)
        case e.TaskWithdrawn():
            allocation = allocation_id(state.execution_id, event.task_id, event.attempt)
            yield _release(state, allocation, state.returning[allocation])
        case e.AllocationKept():
            yield _kept_timer(state, event.allocation_id, event.until)
        case e.AllocationHandedOn():
            yield _record_hand_on(state, event.allocation_id, state.handing[event.allocation_id])
        case _:
            pass


def _react_to_execution(state: ExecutionRecord, event: ExecutionEvent) -> Iterator[Effect]:
    match event:
        case e.ExecutionAccepted():
            yield _recorded(state)
        case e.ExecutionRejected():
            yield _recorded(state)
            yield from _report(state)
            yield from _ended(state, state.schedule)
        case e.ExecutionRolledBack() if event.then is Then.CONTINUE:
            yield from _timeout(state)
        case _ if isinstance(event, _EXECUTION_ENDINGS):
            yield from _report(state)
            yield from _ended(state, state.schedule)
        case e.ExecutionStarted() | e.ExecutionRestarted() | e.TimeLimitResumed():
            yield from _timeout(state)
        case e.ExecutionResumed():
            yield from _timeout(state)
            for task_id in state.tasks:
                yield from _start_timer(state, task_id)
        case _:
            pass


def resume(state: ExecutionRecord) -> Iterator[Effect]:
    """Yield everything still owed."""
    yield from _timeout(state)
    for task_id, record in state.tasks.items():
        match record.status:
            case TaskStatus.READY:
                yield from _start_timer(state, task_id)
            case TaskStatus.QUEUED:
                yield from _start_timer(state, task_id)
                if record.allocation_id:
                    yield _request(state, task_id, record)
            case TaskStatus.SCHEDULED:
                yield _start(state, task_id, record)
            case TaskStatus.RETRYING:
                yield _timer(state, RETRY, task_id)
            case TaskStatus.WAITING if record.waiting == WORKFLOW and not record.is_child_started:
                yield Send(Recipient.PLANNER, children.submission(state, task_id))
            case TaskStatus.WAITING if record.due_at:
                yield _timer(state, WAIT, task_id)
            case _:
                pass
        is_live = record.status in (TaskStatus.SCHEDULED, TaskStatus.RUNNING) or children.is_open(record)
        if record.is_stopping and is_live:
            yield _cancel(state, task_id, record)
    for task_id, asked in state.extensions.items():
        if not asked.is_settled:
            yield _ask(state, task_id)
    for allocation, kept in state.kept.items():
        yield _kept_timer(state, allocation, kept.until)
    for allocation, returning in state.returning.items():
        yield _release(state, allocation, returning)
    for allocation, handing in state.handing.items():
        yield _record_hand_on(state, allocation, handing)
    yield from _report(state)


def _report(state: ExecutionRecord) -> Iterator[Effect]:
    if children.owes_report(state):
        yield Send(Recipient.SCHEDULER, children.report(state))


def answer(state: ExecutionRecord, message: m.SchedulerMessage) -> Iterable[Effect]:
    """Answer a repeated, stale or misdirected message from what is recorded."""
    match message:
        case m.AttemptFinished():
            yield _settled(message.worker_id, message.execution_id, message.task_id, message.attempt)
        case m.AttemptStarted():
            if progress.live(state, message.task_id, message.attempt) is None:
                cancel = m.CancelTask(
                    message.worker_id, message.execution_id, message.task_id, message.attempt
                )
                yield Send(Recipient.WORKER, cancel, notice=True)
        case m.RecordProgress():
            yield from progress.answered(state, message)
        case m.GrantAllocation():
            if not _is_held(state, message.allocation_id):
                holder = Holder(message.execution_id, message.task_id, message.attempt)
                yield _release(state, message.allocation_id, Return(holder, message.fence), notice=True)
        case m.RevokeAllocation():
            holder = Holder(message.execution_id)
            yield _release(state, message.allocation_id, Return(holder, 0), notice=True)
        case m.StartExecution():
            yield _recorded(state)
        case m.ChildFinished():
            yield Send(Recipient.SCHEDULER, m.SettleChild(message.child_id), notice=True)
        case m.ReportEnd():
            yield from _ended(state, message.schedule)
        case _:
            pass


def is_over(state: ExecutionRecord) -> bool:
    """Tell whether the execution has ended and whoever needs to know that has recorded it."""
    is_ended = state.status in FINAL_EXECUTION_STATES and not children.owes_report(state)
    return is_ended and not state.returning and not state.handing


def _is_held(state: ExecutionRecord, allocation: str) -> bool:
    """Tell whether any task has the allocation: a repeated grant may come after it was handed on."""
    return any(record.allocation_id == allocation for record in state.tasks.values())


def _request(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    message = m.RequestAllocation(
        state.pool,
        record.allocation_id,
        Holder(state.execution_id, task_id, record.attempt),
        state.index.tasks[task_id].agent_type,
        state.index.amounts[task_id],
        record.rank,
    )
    return Send(Recipient.RESOURCE, message)


def _start(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    inputs, excerpts = inputs_of(state, task_id)
    message = m.StartTask(
        record.worker_id,
        state.execution_id,
        record.attempt,
        record.fence,
        record.allocation_id,
        state.index.tasks[task_id],
        inputs,
        excerpts,
        state.index.extracts.get(task_id, {}),
        record.incarnation,
        record.is_shared,
        effect_key=effect_key(state, task_id),
        checkpoint=record.checkpoint.saved if record.checkpoint else None,
        steps=dict(record.steps),
    )
    return Send(Recipient.WORKER, message)


def _settle(state: ExecutionRecord, task_id: str, attempt: int) -> Iterator[Effect]:
    record = state.tasks[task_id]
    if record.waiting == WORKFLOW and attempt:
        yield Send(Recipient.SCHEDULER, m.SettleChild(record.awaited), notice=True)
    elif record.worker_id and attempt:
        yield _settled(record.worker_id, state.execution_id, task_id, attempt)


def _settled(worker_id: str, execution_id: str, task_id: str, attempt: int) -> Effect:
    return Send(Recipient.WORKER, m.SettleReport(worker_id, execution_id, task_id, attempt), notice=True)


def _release(state: ExecutionRecord, allocation: str, returning: Return, *, notice: bool = False) -> Effect:
    message = m.ReleaseAllocation(state.pool, allocation, returning.holder, returning.fence)
    return Send(Recipient.RESOURCE, message, notice)


def _record_hand_on(state: ExecutionRecord, allocation: str, handing: Return) -> Effect:
    return Send(Recipient.RESOURCE, m.RecordHandOn(state.pool, allocation, handing.holder, handing.fence))


def _cancel(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    if children.is_open(record):
        return Send(Recipient.SCHEDULER, children.cancellation(state, task_id))
    message = m.CancelTask(record.worker_id, state.execution_id, task_id, record.attempt, record.is_forced)
    return Send(Recipient.WORKER, message)


def _start_timer(state: ExecutionRecord, task_id: str) -> Iterator[Effect]:
    if due_at := start_due_at(state, task_id):
        yield SetTimer(state.execution_id, f"{START}{task_id}", due_at)


def _ask(state: ExecutionRecord, task_id: str) -> Effect:
    return Send(Recipient.PLANNER, question_of(state, task_id))


def _timer(state: ExecutionRecord, kind: str, task_id: str) -> Effect:
    record = state.tasks[task_id]
    return SetTimer(state.execution_id, f"{kind}/{task_id}/{record.attempt}", record.due_at)


def _kept_timer(state: ExecutionRecord, allocation: str, until: int) -> Effect:
    return SetTimer(state.execution_id, f"{KEPT}{allocation}", until)


def _timeout(state: ExecutionRecord) -> Iterator[Effect]:
    is_under_way = state.status in (ExecutionState.RUNNING, ExecutionState.PAUSED)
    if is_under_way and not state.is_stopping and not state.limit_stopped_at:
        yield SetTimer(state.execution_id, TIMEOUT, state.timeout_at)


def _recorded(state: ExecutionRecord) -> Effect:
    return Send(Recipient.PLANNER, m.ExecutionRecorded(state.execution_id), notice=True)


def _ended(state: ExecutionRecord, schedule: str) -> Iterator[Effect]:
    """Tell the schedule that asked for the execution; it asks until it has heard."""
    if schedule and state.status is not None and state.status in FINAL_EXECUTION_STATES:
        message = m.ExecutionEnded(schedule, state.execution_id, state.status.value)
        yield Send(Recipient.STARTER, message, notice=True)
