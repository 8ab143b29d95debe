"""Another strategy or priority for an execution under way: what has not started goes by it."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler import gangs
from talka_core.scheduler.dispatch import dispatch
from talka_core.scheduler.ranking import rank_of
from talka_core.scheduler.state import ExecutionRecord
from talka_core.spelling import did_you_mean
from talka_protocols.events import (
    ExecutionEvent,
    ExecutionReprioritized,
    RequestRefused,
    TaskWithdrawn,
)
from talka_protocols.messages import ReprioritizeExecution
from talka_protocols.states import FINAL_EXECUTION_STATES, TaskStatus
from talka_protocols.workflow import Strategy


def reprioritized(
    state: ExecutionRecord, message: ReprioritizeExecution, now_ms: int
) -> Iterator[ExecutionEvent]:
    """Rank anew what waits, or refuse that by an event; each request is heard once.

    What the pool was asked for is taken back and asked for again, as it queues
    by rank. What runs goes on.
    """
    if message.request_id in state.requests:
        return
    refusal = _refusal(state, message)
    if refusal is not None:
        yield refusal
        return
    yield ExecutionReprioritized(message.request_id, message.strategy, message.priority, message.order)
    yield from withdraw_stale(state)
    yield from dispatch(state, now_ms)


def withdraw_stale(state: ExecutionRecord) -> Iterator[ExecutionEvent]:
    """Take back what the pool was asked for at another rank than the task has now, and the rest of its gang.

    The pool may have granted the gang meanwhile, and whoever asked again under its name would wait for ever.
    """
    stale = [task_id for task_id in state.tasks if _is_stale(state, task_id)] if state.is_reordered else []
    # What is stale goes last: as long as any of it is left, the next owner knows that its gang has to go.
    asked_with = {peer for task_id in stale for peer in gangs.asked_with(state, task_id)}
    for task_id in [*sorted(asked_with.difference(stale)), *stale]:
        yield TaskWithdrawn(task_id, state.tasks[task_id].attempt)


def _is_stale(state: ExecutionRecord, task_id: str) -> bool:
    record = state.tasks[task_id]
    is_asked = record.status is TaskStatus.QUEUED and bool(record.allocation_id)
    return is_asked and record.rank != rank_of(state, task_id)


def _refusal(state: ExecutionRecord, message: ReprioritizeExecution) -> RequestRefused | None:
    if state.status is None or state.status in FINAL_EXECUTION_STATES or state.is_stopping:
        shown = state.status.value if state.status else "not accepted yet"
        shown = "being stopped" if state.is_stopping and not state.finished_at else shown
        return _refused(message, "not_running", f"The execution is {shown}: nothing of it can go first.")
    if message.strategy and message.strategy not in tuple(Strategy):
        hint = did_you_mean(message.strategy, list(Strategy), label="Strategies")
        return _refused(message, "unknown_strategy", f"There is no strategy {message.strategy!r}. {hint}")
    if message.priority is not None and not 0 <= message.priority <= 100:
        return _refused(message, "bad_priority", f"A priority is 0 to 100, not {message.priority}.")
    assert state.workflow is not None, "what runs was accepted"
    is_order = sorted(message.order) == list(range(len(state.workflow.tasks)))
    if message.order and not (is_order and message.strategy):
        return _refused(message, "bad_order", "An order names each task of the definition once.")
    return None


def _refused(message: ReprioritizeExecution, code: str, sentence: str) -> RequestRefused:
    return RequestRefused("reprioritize", code, sentence, request_id=message.request_id)
