"""Asking an execution to go back, or to run again: requests that only its scheduler can decide."""

from __future__ import annotations

from uuid import uuid4

from talka_core.scheduler.plans import planned
from talka_protocols.messages import RestartExecution, RollBackExecution
from talka_protocols.policies import Then
from talka_protocols.results import RollbackPlan
from talka_services.client.histories import Histories


def rollback_request(
    execution_id: str, to: int | str, then: Then = Then.CONTINUE, *, accepts_irreversible: bool = False
) -> RollBackExecution:
    """Return the request to go back to an event, or to the end of a task."""
    event, task_id = (to, "") if isinstance(to, int) else (0, to)
    return RollBackExecution(execution_id, event, task_id, then, accepts_irreversible, uuid4().hex)


async def plan_rollback(histories: Histories, request: RollBackExecution) -> RollbackPlan:
    """Return what a rollback would do now.

    Raises:
        UnknownExecutionError: there is no such execution.
        RequestRefusedError: it cannot be done.
    """
    return planned(await histories.execution(request.execution_id), request)


def restart_request(execution_id: str, from_task: str = "", from_event: int = 0) -> RestartExecution:
    """Return the request to run a task and all behind it again, or what had not ended at an event."""
    return RestartExecution(execution_id, from_task, from_event, uuid4().hex)
