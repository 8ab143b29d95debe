"""Tasks that hold nothing while they wait: no worker runs them, the scheduler ends them itself.

Each kind is an agent type of its own:

- ``wait``: for ``seconds``, or ``until`` an instant (Unix seconds, or ISO 8601 with its offset);
- ``signal``: for a signal of its ``name``, perhaps one that came before;
- ``approval``: for a person's answer to its ``question``;
- ``workflow``: for the end of an execution of its own, whose id is derived from the attempt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, to_builtins

from talka_core.inputs import check_names
from talka_core.payloads import (
    ApprovalPayload,
    SignalPayload,
    SubWorkflowPayload,
    WaitPayload,
    instant_of,
    read,
    refused,
)
from talka_core.references import UnresolvedReferenceError
from talka_core.scheduler import mapping
from talka_core.scheduler.inputs import payload_of
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.errors import TalkaError, WorkflowInvalidError
from talka_protocols.events import (
    ExecutionEvent,
    SignalTaken,
    TaskFailed,
    TaskFailure,
    TaskSucceeded,
    TaskWaiting,
)
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import INLINE_BYTES_MAX

WAIT = "wait"
SIGNAL = "signal"
APPROVAL = "approval"
WORKFLOW = "workflow"
UNDOING = "undoing"
"""What a compensation waits for that undoes sub-workflows."""


def begin(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let a ready task begin to wait, if it is of a kind that waits."""
    task = state.index.tasks[task_id]
    record = state.tasks[task_id]
    if not state.may_start or record.is_paused or state.holds_back(record):
        return
    if task.map is not None:
        yield mapping.begun(state, task_id, now_ms)
        return
    is_cascade = record.undoes and task.agent_type == WORKFLOW
    kind = _undoing if is_cascade else _KINDS.get(task.agent_type)
    if kind is None:
        return
    attempt = state.tasks[task_id].attempt + 1
    try:
        awaited = kind(state, task_id, attempt, now_ms)
    except (UnresolvedReferenceError, WorkflowInvalidError) as error:
        yield _failed(task_id, attempt, now_ms, error)
        return
    yield awaited
    if awaited.kind == UNDOING and not awaited.name:
        yield TaskSucceeded(task_id, attempt, now_ms)
    if awaited.kind == SIGNAL:
        yield from take_signal(state, task_id)
        if state.tasks[task_id].is_answered:
            yield TaskSucceeded(task_id, attempt, now_ms, state.tasks[task_id].answer)


def begin_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let every ready task of such a kind wait: a commit may have been cut short in front of it."""
    for task_id in [t for t, r in state.tasks.items() if r.status is TaskStatus.READY]:
        yield from begin(state, task_id, now_ms)


def take_signal(state: ExecutionRecord, task_id: str) -> Iterator[ExecutionEvent]:
    """Give the task the first signal of its name that is kept."""
    record = state.tasks[task_id]
    for signal in state.signals:
        if signal.name == record.awaited:
            yield SignalTaken(task_id, record.attempt, signal.name, signal.signal_id)
            return


def due_at(payload: WaitPayload, now_ms: int) -> int:
    """Return when a ``wait`` task ends, in milliseconds since the epoch; 0 would mean never."""
    match payload:
        case WaitPayload(seconds=float() as seconds):
            return now_ms + round(seconds * 1000)
        case WaitPayload(until=str() as text):
            instant = instant_of(text)
        case _:
            assert not isinstance(payload.until, UnsetType | str), "one of the two is given"
            instant = payload.until
    return max(1, round(instant * 1000))


def child_id(execution_id: str, task_id: str, attempt: int) -> str:
    """Return the id of the execution that one attempt of a task waits for; always the same."""
    named = f"{execution_id}\0{task_id}\0{attempt}".encode()
    return hashlib.blake2b(named, digest_size=10).hexdigest()


def _wait(state: ExecutionRecord, task_id: str, attempt: int, now_ms: int) -> TaskWaiting:
    payload: WaitPayload = read(WAIT, payload_of(state, task_id))
    return TaskWaiting(task_id, attempt, WAIT, due_at=due_at(payload, now_ms))


def _signal(state: ExecutionRecord, task_id: str, attempt: int, now_ms: int) -> TaskWaiting:
    wanted: SignalPayload = read(SIGNAL, payload_of(state, task_id))
    data = {} if wanted.default is UNSET else {"default": wanted.default}
    due_at = _deadline(wanted.timeout_seconds, now_ms)
    return TaskWaiting(task_id, attempt, SIGNAL, wanted.name, due_at, _encoded(data or None))


def _approval(state: ExecutionRecord, task_id: str, attempt: int, now_ms: int) -> TaskWaiting:
    asked: ApprovalPayload = read(APPROVAL, payload_of(state, task_id))
    due_at = _deadline(asked.timeout_seconds, now_ms)
    shown = to_builtins(asked)
    shown.pop("timeout_seconds", None)
    return TaskWaiting(task_id, attempt, APPROVAL, due_at=due_at, data=_encoded(shown))


def _workflow(state: ExecutionRecord, task_id: str, attempt: int, _now_ms: int) -> TaskWaiting:
    payload: SubWorkflowPayload = read(WORKFLOW, payload_of(state, task_id))
    definition = state.index.tasks[task_id].workflow
    check_names(definition.inputs if definition else {}, payload.inputs)
    return TaskWaiting(task_id, attempt, WORKFLOW, child_id(state.execution_id, task_id, attempt))


def _undoing(state: ExecutionRecord, task_id: str, attempt: int, _now_ms: int) -> TaskWaiting:
    children = state.tasks[state.tasks[task_id].undoes].children
    return TaskWaiting(task_id, attempt, UNDOING, children[-1] if children else "")


def _deadline(seconds: float | UnsetType, now_ms: int) -> int:
    return 0 if isinstance(seconds, UnsetType) else now_ms + round(1000 * seconds)


def _encoded(data: Any) -> Raw:
    encoded = msgspec.json.encode(data)
    if len(encoded) > INLINE_BYTES_MAX:
        raise refused(
            f"What the task shows takes {len(encoded):,} bytes, above the limit of {INLINE_BYTES_MAX:,}.",
            "Refer to a smaller part of the result.",
        )
    return Raw(encoded)


def _failed(task_id: str, attempt: int, now_ms: int, error: TalkaError) -> TaskFailed:
    return TaskFailed(task_id, attempt, now_ms, TaskFailure(error.code, str(error)))


_KINDS: dict[str, Callable[[ExecutionRecord, str, int, int], TaskWaiting]] = {
    WAIT: _wait,
    SIGNAL: _signal,
    APPROVAL: _approval,
    WORKFLOW: _workflow,
}

WAITING_TYPES = frozenset(_KINDS)
"""The agent types that no worker needs to offer."""
