"""The messages and timers that the scheduler asks for, each made from the record."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from talka_core.behaviour import Effect, Send, SetTimer
from talka_core.scheduler import cascade, children
from talka_core.scheduler.clock import start_due_at
from talka_core.scheduler.decide import KEPT, START, TIMEOUT
from talka_core.scheduler.extending import question_of
from talka_core.scheduler.inputs import inputs_of
from talka_core.scheduler.locality import affinity_of
from talka_core.scheduler.names import effect_key
from talka_core.scheduler.state import ExecutionRecord, Return, TaskRecord
from talka_core.scheduler.terms import terms_of
from talka_core.scheduler.waiting import UNDOING, WORKFLOW
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.messages import Recipient
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState


def report(state: ExecutionRecord) -> Iterator[Effect]:
    """Tell the task whose sub-workflow this is how it ended, or what undoes that; if that is owed."""
    if not children.owes_report(state):
        return
    if state.undone_for is None:
        yield Send(Recipient.SCHEDULER, children.report(state))
    elif (undone := cascade.report(state, state.undone_for)) is not None:
        yield Send(Recipient.SCHEDULER, undone)


def undo_child(state: ExecutionRecord, task_id: str) -> Iterator[Effect]:
    """Ask the next sub-workflow of a compensation to undo what it did."""
    if cascade.is_asking(state.tasks[task_id]):
        yield Send(Recipient.SCHEDULER, cascade.request(state, task_id))


def settle_child(state: ExecutionRecord, task_id: str, child_id: str) -> Effect:
    """Tell a sub-workflow that its answer to what undoes it is recorded."""
    return Send(Recipient.SCHEDULER, cascade.settlement(state, task_id, child_id), notice=True)


def request(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    """Ask the pool for a queued task's resources."""
    message = m.RequestAllocation(
        state.pool,
        record.allocation_id,
        Holder(state.execution_id, task_id, record.attempt),
        state.index.tasks[task_id].agent_type,
        state.index.amounts[task_id],
        record.rank,
        affinity=affinity_of(state, task_id),
        estimate_ms=ceil(1000 * (state.index.tasks[task_id].estimated_seconds or 0)),
        terms=terms_of(state, task_id, record),
    )
    return Send(Recipient.RESOURCE, message)


def start(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    """Send a scheduled attempt to its worker."""
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


def settle(state: ExecutionRecord, task_id: str, attempt: int) -> Iterator[Effect]:
    """Tell whoever reported an attempt that the report is recorded."""
    record = state.tasks[task_id]
    if record.waiting == WORKFLOW and attempt:
        yield Send(Recipient.SCHEDULER, m.SettleChild(record.awaited), notice=True)
    elif record.waiting == UNDOING and attempt and record.awaited:
        yield settle_child(state, task_id, record.awaited)
    elif record.worker_id and attempt:
        yield settled(record.worker_id, state.execution_id, task_id, attempt)


def settled(worker_id: str, execution_id: str, task_id: str, attempt: int) -> Effect:
    """Tell a worker that an attempt's report is recorded, or wanted by nobody."""
    return Send(Recipient.WORKER, m.SettleReport(worker_id, execution_id, task_id, attempt), notice=True)


def release(state: ExecutionRecord, allocation: str, returning: Return, *, notice: bool = False) -> Effect:
    """Give an allocation or a request back to the pool."""
    about = (returning.holder, returning.fence, returning.failed, returning.health)
    message = m.ReleaseAllocation(state.pool, allocation, *about)
    return Send(Recipient.RESOURCE, message, notice)


def record_hand_on(state: ExecutionRecord, allocation: str, handing: Return) -> Effect:
    """Tell the pool who holds an allocation now."""
    message = m.RecordHandOn(state.pool, allocation, handing.holder, handing.fence, handing.failed)
    return Send(Recipient.RESOURCE, message)


def cancel(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    """Have an attempt stopped by its worker, or by its sub-workflow."""
    if children.is_open(record):
        return Send(Recipient.SCHEDULER, children.cancellation(state, task_id))
    message = m.CancelTask(record.worker_id, state.execution_id, task_id, record.attempt, record.is_forced)
    return Send(Recipient.WORKER, message)


def withdraw(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Effect:
    """Have an attempt that has not started in time never start; one that has started goes on."""
    about = (record.worker_id, state.execution_id, task_id, record.attempt)
    message = m.CancelTask(*about, unless_started=True, incarnation=record.incarnation)
    return Send(Recipient.WORKER, message)


def start_timer(state: ExecutionRecord, task_id: str) -> Iterator[Effect]:
    """Bound the wait of a task that must start in time."""
    if due_at := start_due_at(state, task_id):
        yield SetTimer(state.execution_id, f"{START}{task_id}", due_at)


def ask(state: ExecutionRecord, task_id: str) -> Effect:
    """Ask the planner to judge what a task adds to the graph."""
    return Send(Recipient.PLANNER, question_of(state, task_id))


def timer(state: ExecutionRecord, kind: str, task_id: str) -> Effect:
    """Set a timer of a task's attempt."""
    record = state.tasks[task_id]
    return SetTimer(state.execution_id, f"{kind}/{task_id}/{record.attempt}", record.due_at)


def kept_timer(state: ExecutionRecord, allocation: str, until: int) -> Effect:
    """Set the timer after which a kept allocation is given back."""
    return SetTimer(state.execution_id, f"{KEPT}{allocation}", until)


def timeout(state: ExecutionRecord) -> Iterator[Effect]:
    """Set the timer of the execution's time limit, if time passes."""
    is_under_way = state.status in (ExecutionState.RUNNING, ExecutionState.PAUSED)
    if is_under_way and not state.is_stopping and not state.limit_stopped_at:
        yield SetTimer(state.execution_id, TIMEOUT, state.timeout_at)


def rung(state: ExecutionRecord, name: str) -> Iterator[Effect]:
    """Set a timer again that rang too early by the wall clock, which has been set back since it was set."""
    if name == TIMEOUT:
        yield from timeout(state)
    elif name.startswith(START) and (task_id := name.removeprefix(START)) in state.tasks:
        yield from start_timer(state, task_id)


def recorded(state: ExecutionRecord) -> Effect:
    """Tell the planner that what it handed over is recorded."""
    return Send(Recipient.PLANNER, m.ExecutionRecorded(state.execution_id), notice=True)


def ended(state: ExecutionRecord, schedule: str) -> Iterator[Effect]:
    """Tell the schedule that asked for the execution; it asks until it has heard."""
    if schedule and state.status is not None and state.status in FINAL_EXECUTION_STATES:
        message = m.ExecutionEnded(schedule, state.execution_id, state.status.value)
        yield Send(Recipient.STARTER, message, notice=True)
