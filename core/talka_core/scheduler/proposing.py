"""A shorter schedule for an execution under way: adopted if it fits what has happened, else refused."""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.scheduler.dispatch import dispatch
from talka_core.scheduler.ranking import ranking_of
from talka_core.scheduler.reprioritizing import withdraw_stale
from talka_core.scheduler.state import ExecutionRecord
from talka_core.search import fault_of
from talka_protocols.baseline import Baseline
from talka_protocols.events import BaselineAdopted, ExecutionEvent, RequestRefused
from talka_protocols.messages import ProposeBaseline
from talka_protocols.states import FINAL_EXECUTION_STATES, TaskStatus
from talka_protocols.workflow import Strategy

NOT_BEGUN = frozenset({TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED})
"""A task in another state has begun, or never will; what a schedule says of its start no longer matters."""


def proposed(state: ExecutionRecord, message: ProposeBaseline, now_ms: int) -> Iterator[ExecutionEvent]:
    """Go by the schedule from now on, or refuse it by an event; each proposal is heard once.

    What the pool was asked for at another rank is taken back. What runs goes on.
    """
    if message.request_id in state.requests:
        return
    refusal = _refusal(state, message)
    if refusal is not None:
        yield RequestRefused("propose_baseline", *refusal, request_id=message.request_id)
        return
    yield BaselineAdopted(message.request_id, message.baseline, message.plan_version)
    yield from withdraw_stale(state)
    yield from dispatch(state, now_ms)


def _refusal(state: ExecutionRecord, message: ProposeBaseline) -> tuple[str, str] | None:
    if state.workflow is None or state.status in FINAL_EXECUTION_STATES or state.is_stopping:
        return "not_running", "Nothing of the execution will start any more."
    if message.plan_version != state.plan_version:
        looked_at, now = message.plan_version, state.plan_version
        return "stale_baseline", f"It was made for version {looked_at} of the plan, which is {now} now."
    if (strategy := ranking_of(state).strategy) is not Strategy.RESOURCE_OPTIMIZED:
        return "bad_baseline", f"Only resource_optimized follows a baseline, not {strategy}."
    if reason := fault_of(state.workflow, message.baseline):
        return "bad_baseline", reason
    if late := _overtaken(state, message.baseline):
        return "stale_baseline", f"Task {late} has begun before one that should hand it its resources."
    return None


def _overtaken(state: ExecutionRecord, baseline: Baseline) -> str:
    """Return a task that has begun although one has not that is to come before it; empty if there is none."""
    assert state.workflow is not None, "only what was accepted has tasks"
    ids = [task.id for task in state.workflow.tasks]
    begun = [state.tasks[id_].status not in NOT_BEGUN for id_ in ids]
    return next((ids[after] for before, after in baseline.links if begun[after] and not begun[before]), "")
