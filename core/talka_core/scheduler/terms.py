"""On what terms an execution asks its pool: for which tenant, within which limits, and with what else."""

from __future__ import annotations

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import ORDINARY, Terms


def terms_of(state: ExecutionRecord, task_id: str, record: TaskRecord) -> Terms:
    """Return the terms on which a task's resources are asked for."""
    if state.workflow is None:
        return ORDINARY
    config, gang = state.workflow.config, record.gang if record.members else ""
    # A reservation is for the first attempt that gets resources; it ends with that.
    is_first = not record.newest_fence and not record.lost
    reservation = state.index.tasks[task_id].reservation if is_first else ""
    terms = Terms(config.tenant, config.limits, gang, record.members, reservation)
    return terms if terms != ORDINARY else ORDINARY
