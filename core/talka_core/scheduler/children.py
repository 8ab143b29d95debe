"""Sub-workflows: executions of their own that a task waits for.

The parent asks the planner until that has recorded the child; the child
reports its end until the parent has recorded it. Each side can lose any message.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from talka_core.inputs import bind
from talka_core.payloads import SubWorkflowPayload, read
from talka_core.scheduler import endings, failures
from talka_core.scheduler.inputs import payload_of
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_core.scheduler.waiting import WORKFLOW
from talka_protocols.events import (
    ChildStarted,
    ExecutionEvent,
    Parent,
    TaskCancelled,
    TaskFailure,
    TaskSucceeded,
)
from talka_protocols.messages import (
    CancelExecution,
    ChildFinished,
    ConfirmChild,
    SubmitWorkflow,
)
from talka_protocols.states import FINAL_EXECUTION_STATES, ExecutionState, TaskStatus
from talka_protocols.workflow import DEFAULT_TENANT, INLINE_BYTES_MAX, ClaimCheck

_GOOD = (ExecutionState.SUCCEEDED, ExecutionState.PARTIAL)


# --- the parent's side ---------------------------------------------------------------------------


def is_open(record: TaskRecord) -> bool:
    """Tell whether the task waits for a sub-workflow, which only that can end."""
    return record.status is TaskStatus.WAITING and record.waiting == WORKFLOW


def confirmed(state: ExecutionRecord, message: ConfirmChild) -> Iterator[ExecutionEvent]:
    """Record that the sub-workflow will be carried out."""
    record = state.tasks.get(message.task_id)
    is_wanted = record is not None and is_open(record) and record.attempt == message.attempt
    if record is not None and is_wanted and not record.is_child_started:
        yield ChildStarted(message.task_id, message.attempt, record.awaited)


def finished(state: ExecutionRecord, message: ChildFinished, now_ms: int) -> Iterator[ExecutionEvent]:
    """Record how the sub-workflow of the current attempt ended, once."""
    task_id = message.task_id
    record = state.tasks.get(task_id)
    if record is None or not is_open(record) or record.attempt != message.attempt:
        return
    if message.status in _GOOD:
        yield TaskSucceeded(task_id, record.attempt, now_ms, message.result, message.claim)
        yield from endings.follow_up(state, task_id, now_ms)
    elif message.status is ExecutionState.CANCELLED and record.is_stopping:
        yield TaskCancelled(task_id, record.attempt, now_ms, record.because)
        yield from endings.follow_up(state, task_id, now_ms)
    else:
        said = f"Sub-workflow {message.child_id} is {message.status.value}: {message.reason}"
        yield from failures.failed(state, task_id, now_ms, TaskFailure("child_failed", said), now_ms)


def submission(state: ExecutionRecord, task_id: str) -> SubmitWorkflow:
    """Return what asks the planner for a task's sub-workflow, its inputs put in.

    It counts on its parent's account, unless it names a tenant of its own.
    """
    record, definition = state.tasks[task_id], state.index.tasks[task_id].workflow
    assert definition is not None, "checked before anything was stored"
    payload: SubWorkflowPayload = read(WORKFLOW, payload_of(state, task_id))
    parent = Parent(state.execution_id, task_id, record.attempt, payload.output)
    bound = bind(definition, payload.inputs)
    if state.workflow is not None and bound.config.tenant == DEFAULT_TENANT:
        bound = replace(bound, config=replace(bound.config, tenant=state.workflow.config.tenant))
    return SubmitWorkflow(record.awaited, bound, parent=parent)


def cancellation(state: ExecutionRecord, task_id: str) -> CancelExecution:
    """Return what asks a task's sub-workflow to stop."""
    record = state.tasks[task_id]
    parent = Parent(state.execution_id, task_id, record.attempt)
    return CancelExecution(
        record.awaited, "The task that waits for it was cancelled.", parent, is_forced=record.is_forced
    )


# --- the child's side ----------------------------------------------------------------------------


def owes_report(state: ExecutionRecord) -> bool:
    """Tell whether the execution is an ended sub-workflow whose parent does not know it yet."""
    is_over = state.status in FINAL_EXECUTION_STATES
    return is_over and state.parent is not None and not state.is_parent_informed


def report(state: ExecutionRecord) -> ChildFinished:
    """Return how the sub-workflow ended, with the results that its parent wants."""
    parent, status = state.parent, state.status
    assert parent is not None, "only a sub-workflow reports"
    assert status is not None, "only what has ended reports"
    result, claim = _results(state, parent.output) if status in _GOOD else (Raw(b"null"), None)
    return ChildFinished(
        parent.execution_id,
        parent.task_id,
        parent.attempt,
        state.execution_id,
        status,
        _reason(state),
        result,
        claim,
    )


def _results(state: ExecutionRecord, output: str) -> tuple[Raw, ClaimCheck | None]:
    """Return one task's result, or those of its definition by task id that fit into an event together."""
    if output:
        record = state.tasks[output]
        return record.result, record.claim
    results: dict[str, Raw] = {}
    room = INLINE_BYTES_MAX
    for task_id, record in state.tasks.items():
        size = len(bytes(record.result)) + len(task_id) + 4
        is_own = record.status is TaskStatus.SUCCEEDED and not record.added_at
        if is_own and record.claim is None and size <= room:
            results[task_id] = record.result
            room -= size
    return Raw(msgspec.json.encode(results)), None


def _reason(state: ExecutionRecord) -> str:
    if state.reason or not state.failed:
        return state.reason
    task_id = state.failed[0]
    error = state.tasks[task_id].error
    return f"task {task_id!r} failed" + (f": {error.message}" if error else ".")
