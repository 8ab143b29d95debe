"""Asking an execution to go back, or to run again: requests that only its scheduler can decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

from msgspec.structs import replace

from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.plans import planned, planned_for_parent, saved_progress
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.events import Progress
from talka_protocols.messages import RestartExecution, RollBackExecution
from talka_protocols.policies import Then
from talka_protocols.results import ChildPlan, RollbackPlan
from talka_services.client.histories import Histories


def rollback_request(
    execution_id: str,
    to: int | str,
    then: Then = Then.CONTINUE,
    *,
    accepts_irreversible: bool = False,
    request_id: str = "",
) -> RollBackExecution:
    """Return the request to go back to an event, or to the end of a task."""
    event, task_id = (to, "") if isinstance(to, int) else (0, to)
    return RollBackExecution(
        execution_id, event, task_id, then, accepts_irreversible, request_id or uuid4().hex
    )


async def plan_rollback(histories: Histories, request: RollBackExecution) -> RollbackPlan:
    """Return what a rollback would do now.

    Raises:
        UnknownExecutionError: there is no such execution.
        RequestRefusedError: it cannot be done.
    """
    state = await histories.execution(request.execution_id)
    plan = planned(state, request)
    children = [child async for child in _child_plans(histories, state, plan)]
    return replace(plan, children=tuple(children))


async def _child_plans(
    histories: Histories, state: ExecutionRecord, plan: RollbackPlan
) -> AsyncIterator[ChildPlan]:
    """Yield what is undone with the tasks, in this order; the newest sub-workflow of each comes first."""
    for task_id in plan.compensated:
        if state.index.tasks[task_id].compensation is not None:
            continue
        for child_id in reversed(state.tasks[task_id].children):
            try:
                child = await histories.execution(child_id)
            except UnknownExecutionError:
                # An export of an older version holds no sub-workflows.
                yield ChildPlan(task_id, child_id)
                continue
            its = planned_for_parent(child)
            inner = [grandchild async for grandchild in _child_plans(histories, child, its)]
            yield ChildPlan(task_id, child_id, replace(its, children=tuple(inner)))


def restart_request(
    execution_id: str,
    from_task: str = "",
    from_event: int = 0,
    request_id: str = "",
    progress: Progress | None = None,
) -> RestartExecution:
    """Return the request to run a task and all behind it again, or what had not ended at an event."""
    return RestartExecution(execution_id, from_task, from_event, request_id or uuid4().hex, progress)


async def saved_by(histories: Histories, execution_id: str, task_id: str, event: int) -> Progress:
    """Return what a task had saved by an event: its newest checkpoint then, and the steps it had finished.

    Raises:
        UnknownExecutionError: there is no such execution.
        RequestRefusedError: the log ends before the event, or the task had saved no checkpoint by then.
    """
    return saved_progress(await histories.execution(execution_id, event), task_id)
