"""Tasks that hold nothing while they wait: no worker runs them, the scheduler ends them itself.

Each kind is an agent type of its own:

- ``wait``: for ``seconds``, or ``until`` an instant (Unix seconds, or ISO 8601 with its offset).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UnsetType

from talka_core.payloads import WaitPayload, instant_of, read
from talka_core.references import UnresolvedReferenceError
from talka_core.scheduler.inputs import payload_of
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.errors import TalkaError, WorkflowInvalidError
from talka_protocols.events import ExecutionEvent, TaskFailed, TaskFailure, TaskSucceeded, TaskWaiting
from talka_protocols.states import TaskStatus

WAIT = "wait"


def begin(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let a ready task begin to wait, if it is of a kind that waits."""
    kind = _KINDS.get(state.index.tasks[task_id].agent_type)
    if kind is None:
        return
    attempt = state.tasks[task_id].attempt + 1
    try:
        yield kind(payload_of(state, task_id), task_id, attempt, now_ms)
    except (UnresolvedReferenceError, WorkflowInvalidError) as error:
        yield _failed(task_id, attempt, now_ms, error)


def begin_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let every ready task of such a kind wait: a commit may have been cut short in front of it."""
    for task_id in [t for t, r in state.tasks.items() if r.status is TaskStatus.READY]:
        yield from begin(state, task_id, now_ms)


def due(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """End a task whose time to wait is over."""
    record = state.tasks[task_id]
    yield TaskSucceeded(task_id, record.attempt, now_ms)


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


def _wait(payload: dict[str, Any], task_id: str, attempt: int, now_ms: int) -> TaskWaiting:
    return TaskWaiting(task_id, attempt, WAIT, due_at=due_at(read(WAIT, payload), now_ms))


def _failed(task_id: str, attempt: int, now_ms: int, error: TalkaError) -> TaskFailed:
    return TaskFailed(task_id, attempt, now_ms, TaskFailure(error.code, str(error)))


_KINDS: dict[str, Callable[[dict[str, Any], str, int, int], TaskWaiting]] = {WAIT: _wait}

WAITING_TYPES = frozenset(_KINDS)
"""The agent types that no worker needs to offer."""
