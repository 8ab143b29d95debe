"""What ends a wait: its time, a signal from outside, a person's answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from talka_core.behaviour import Effect, Send
from talka_core.payloads import APPROVE, REJECT
from talka_core.scheduler import endings, failures, waiting
from talka_core.scheduler.state import SIGNALS_MAX, ExecutionRecord, TaskRecord
from talka_protocols.events import (
    ApprovalAnswered,
    ExecutionEvent,
    RequestRefused,
    SignalReceived,
    SignalTaken,
    TaskFailure,
    TaskSucceeded,
)
from talka_protocols.messages import AnswerApproval, FiringRecorded, Recipient, SignalExecution
from talka_protocols.states import FINAL_EXECUTION_STATES, TaskStatus
from talka_protocols.workflow import INLINE_BYTES_MAX

SIGNAL_REPEATED = "signal_repeated"
UNKNOWN_EXECUTION = "unknown_execution"


def due(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """End a task whose time to wait is over: with its default, or as timed out."""
    record = state.tasks[task_id]
    asked: dict[str, Any] = msgspec.json.decode(record.asked) or {}
    has_default = "default" in asked
    if record.waiting == waiting.WAIT:
        yield TaskSucceeded(task_id, record.attempt, now_ms)
    elif record.is_answered:
        yield from _finish(state, task_id, now_ms)
        return
    elif has_default and record.waiting == waiting.APPROVAL:
        yield ApprovalAnswered(task_id, record.attempt, asked["default"], is_default=True)
        yield from _finish(state, task_id, now_ms)
        return
    elif has_default:
        yield TaskSucceeded(task_id, record.attempt, now_ms, Raw(msgspec.json.encode(asked["default"])))
    else:
        yield from failures.failed(state, task_id, now_ms, _late(record), now_ms, is_late=True)
        return
    yield from endings.follow_up(state, task_id, now_ms)


def signalled(state: ExecutionRecord, message: SignalExecution, now_ms: int) -> Iterator[ExecutionEvent]:
    """Keep a signal, and hand it to the task that has waited for it longest."""
    if state.status is None:
        return
    refusal = _refusal_of_signal(state, message)
    if refusal is not None:
        if not message.trigger:  # The trigger's own log has the refusal.
            yield refusal
        return
    yield SignalReceived(message.name, message.signal_id, message.data, message.trigger)
    awaiting = [
        (record.started_at, task_id)
        for task_id, record in state.tasks.items()
        if _awaits(record, message.name) and not _is_late(record, now_ms)
    ]
    if awaiting:
        task_id = min(awaiting)[1]
        yield SignalTaken(task_id, state.tasks[task_id].attempt, message.name, message.signal_id)
        yield from _finish(state, task_id, now_ms)


def told(state: ExecutionRecord, message: SignalExecution) -> Iterator[Effect]:
    """Tell a trigger what became of its signal, which has led to nothing now."""
    if not message.trigger:
        return
    code = said = ""
    if state.status is None:
        code, said = UNKNOWN_EXECUTION, f"There is no execution {state.execution_id!r}."
    elif message.signal_id not in state.signal_ids:
        refusal = _refusal_of_signal(state, message)
        assert refusal is not None, "a signal that is neither refused nor a repeat is received"
        code, said = refusal.code, refusal.message
    yield _receipt(message.trigger, message.signal_id, code, said)


def receipt(event: SignalReceived) -> Iterator[Effect]:
    """Tell a trigger that its signal is on record."""
    if event.trigger:
        yield _receipt(event.trigger, event.signal_id)


def _receipt(trigger: str, signal_id: str, code: str = "", said: str = "") -> Effect:
    return Send(Recipient.TRIGGER, FiringRecorded(trigger, signal_id, code, said), notice=True)


def answered(state: ExecutionRecord, message: AnswerApproval, now_ms: int) -> Iterator[ExecutionEvent]:
    """Record a person's answer, and end the task that asked."""
    if state.status is None or (message.request_id and message.request_id in state.requests):
        return
    record = state.tasks.get(message.task_id)
    if record is not None and _is_asking(record) and _is_late(record, now_ms):
        yield from due(state, message.task_id, now_ms)
    refusal = _refusal_of_answer(state, message)
    if refusal is not None:
        yield refusal
        return
    task_id, attempt = message.task_id, state.tasks[message.task_id].attempt
    yield ApprovalAnswered(
        task_id, attempt, message.choice, message.by, message.comment, request_id=message.request_id
    )
    yield from _finish(state, task_id, now_ms)


def finish_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """End every task for which something has come, and hand out signals: a commit may have been cut short."""
    for task_id, record in list(state.tasks.items()):
        if record.status is not TaskStatus.WAITING:
            continue
        if not record.is_answered and record.waiting == waiting.SIGNAL:
            yield from waiting.take_signal(state, task_id)
        if record.is_answered:
            yield from _finish(state, task_id, now_ms)


def _finish(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """End a task by what has come for it."""
    record = state.tasks[task_id]
    refusal = _rejection(record)
    if refusal is not None:
        yield from failures.failed(state, task_id, now_ms, refusal, now_ms)
        return
    yield TaskSucceeded(task_id, record.attempt, now_ms, record.answer)
    yield from endings.follow_up(state, task_id, now_ms)


def _rejection(record: TaskRecord) -> TaskFailure | None:
    if record.waiting != waiting.APPROVAL:
        return None
    answer, asked = msgspec.json.decode(record.answer), msgspec.json.decode(record.asked)
    if asked["choices"] != [APPROVE, REJECT] or answer["choice"] != REJECT:
        return None
    who = f"by {answer['by']}" if answer["by"] else "by its deadline" if answer["is_default"] else ""
    said = f": {answer['comment']}" if answer["comment"] else "."
    return TaskFailure("approval_rejected", " ".join(filter(None, ("It was rejected", who))) + said)


def _late(record: TaskRecord) -> TaskFailure:
    after_s = (record.due_at - record.started_at) / 1000
    what = f"the signal {record.awaited!r}" if record.waiting == waiting.SIGNAL else "an answer"
    return TaskFailure("wait_timeout", f"It waited {after_s:g} s for {what}, which did not come.")


def _awaits(record: TaskRecord, name: str) -> bool:
    is_open = record.status is TaskStatus.WAITING and not record.is_answered
    return is_open and record.waiting == waiting.SIGNAL and record.awaited == name


def _is_asking(record: TaskRecord) -> bool:
    is_open = record.status is TaskStatus.WAITING and not record.is_answered
    return is_open and record.waiting == waiting.APPROVAL


def _is_late(record: TaskRecord, now_ms: int) -> bool:
    return 0 < record.due_at < now_ms


def _refusal_of_signal(state: ExecutionRecord, message: SignalExecution) -> RequestRefused | None:
    if message.signal_id in state.signal_ids:
        said = f"The signal {message.signal_id!r} has been recorded before."
        return RequestRefused("signal", SIGNAL_REPEATED, said)
    if state.status in FINAL_EXECUTION_STATES or state.is_stopping:
        return RequestRefused("signal", "execution_over", _over(state))
    if len(state.signals) >= SIGNALS_MAX:
        said = f"{SIGNALS_MAX} signals are kept already that no task has waited for yet."
        return RequestRefused("signal", "too_many_signals", said)
    if len(bytes(message.data)) > INLINE_BYTES_MAX:
        said = f"The data of a signal may have {INLINE_BYTES_MAX:,} bytes, not {len(bytes(message.data)):,}."
        return RequestRefused("signal", "signal_too_large", said)
    return None


def _refusal_of_answer(state: ExecutionRecord, message: AnswerApproval) -> RequestRefused | None:
    def refused(code: str, said: str) -> RequestRefused:
        return RequestRefused("approval", code, said, message.task_id, message.request_id)

    record = state.tasks.get(message.task_id)
    if state.status in FINAL_EXECUTION_STATES or state.is_stopping:
        return refused("execution_over", _over(state))
    if record is None:
        return refused("unknown_task", f"The execution has no task {message.task_id!r}.")
    if not _is_asking(record):
        said = f"Task {message.task_id!r} is {record.status.value} and waits for no answer."
        if record.is_answered:
            answer = msgspec.json.decode(record.answer)
            said += f" It was answered {answer['choice']!r}."
        return refused("not_waiting", said)
    choices = msgspec.json.decode(record.asked)["choices"]
    if message.choice not in choices:
        said = f"Task {message.task_id!r} asks for one of {', '.join(choices)}, not {message.choice!r}."
        return refused("unknown_choice", said)
    return None


def _over(state: ExecutionRecord) -> str:
    status = state.status.value if state.status else "unknown"
    if state.status in FINAL_EXECUTION_STATES:
        return f"The execution is over: it is {status}."
    return "The execution is being stopped."
