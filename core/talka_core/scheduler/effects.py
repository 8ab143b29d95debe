"""What is still owed by an execution, and what a repeated message is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from talka_core.behaviour import Effect, Send
from talka_core.scheduler import arrivals, cascade, children, letters, progress
from talka_core.scheduler.decide import RETRY, WAIT
from talka_core.scheduler.state import ExecutionRecord, Return
from talka_core.scheduler.waiting import UNDOING, WORKFLOW
from talka_protocols import messages as m
from talka_protocols.events import Holder, Parent
from talka_protocols.messages import Recipient
from talka_protocols.states import TaskStatus


def resume(state: ExecutionRecord) -> Iterator[Effect]:
    """Yield everything still owed."""
    yield from letters.timeout(state)
    for task_id, record in state.tasks.items():
        match record.status:
            case TaskStatus.READY:
                yield from letters.start_timer(state, task_id)
            case TaskStatus.QUEUED:
                yield from letters.start_timer(state, task_id)
                if record.allocation_id:
                    yield letters.request(state, task_id, record)
            case TaskStatus.SCHEDULED if not record.is_overdue:
                yield letters.start(state, task_id, record)
                yield from letters.start_timer(state, task_id)
            case TaskStatus.SCHEDULED if not record.is_stopping:
                yield letters.withdraw(state, task_id, record)
            case TaskStatus.RETRYING:
                yield letters.timer(state, RETRY, task_id)
            case TaskStatus.WAITING if record.waiting == WORKFLOW and not record.is_child_started:
                yield Send(Recipient.PLANNER, children.submission(state, task_id))
            case TaskStatus.WAITING if record.waiting == UNDOING:
                yield from letters.undo_child(state, task_id)
            case TaskStatus.WAITING if record.due_at:
                yield letters.timer(state, WAIT, task_id)
            case _:
                pass
        is_live = record.status in (TaskStatus.SCHEDULED, TaskStatus.RUNNING) or children.is_open(record)
        if (record.is_stopping or record.is_preempted) and is_live:
            yield letters.cancel(state, task_id, record)
    for task_id, asked in state.extensions.items():
        if not asked.is_settled:
            yield letters.ask(state, task_id)
    for allocation, kept in state.kept.items():
        yield letters.kept_timer(state, allocation, kept.until)
    for allocation, returning in state.returning.items():
        yield letters.release(state, allocation, returning)
    for allocation, handing in state.handing.items():
        yield letters.record_hand_on(state, allocation, handing)
    yield from letters.report(state)


def answer(state: ExecutionRecord, message: m.SchedulerMessage) -> Iterable[Effect]:
    """Answer a repeated, stale or misdirected message from what is recorded."""
    match message:
        case m.AttemptFinished():
            yield letters.settled(message.worker_id, message.execution_id, message.task_id, message.attempt)
        case m.AttemptStarted():
            if progress.live(state, message) is None:
                cancel = m.CancelTask(
                    message.worker_id, message.execution_id, message.task_id, message.attempt
                )
                yield Send(Recipient.WORKER, cancel, notice=True)
        case m.RecordProgress():
            yield from progress.answered(state, message)
        case m.GrantAllocation():
            if not _is_held(state, message.allocation_id):
                holder = Holder(message.execution_id, message.task_id, message.attempt)
                yield letters.release(
                    state, message.allocation_id, Return(holder, message.fence), notice=True
                )
        case m.PreemptAllocation() if _is_held(state, message.allocation_id):
            pass
        case m.RevokeAllocation() | m.PreemptAllocation():
            holder = Holder(message.execution_id)
            yield letters.release(state, message.allocation_id, Return(holder, 0), notice=True)
        case m.StartExecution():
            yield letters.recorded(state)
        case m.ChildFinished():
            yield Send(Recipient.SCHEDULER, m.SettleChild(message.child_id), notice=True)
        case m.SignalExecution():
            yield from arrivals.told(state, message)
        case m.ChildRolledBack():
            undo = Parent(message.execution_id, message.task_id, message.attempt)
            yield Send(Recipient.SCHEDULER, m.SettleChild(message.child_id, undo), notice=True)
        case m.RollBackChild():
            if (undone := cascade.report(state, message.undo)) is not None:
                yield Send(Recipient.SCHEDULER, undone, notice=True)
        case m.ReportEnd():
            yield from letters.ended(state, message.schedule)
        case m.TimerFired():
            yield from letters.rung(state, message.name)
        case _:
            pass


def _is_held(state: ExecutionRecord, allocation: str) -> bool:
    """Tell whether any task has the allocation: a repeated grant may come after it was handed on."""
    return state.holder_of(allocation) is not None
