"""On what terms an execution asks its pool: for which tenant, within which limits, and with what else."""

from __future__ import annotations

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import ORDINARY, Terms


def terms_of(state: ExecutionRecord, record: TaskRecord) -> Terms:
    """Return the terms on which a task's resources are asked for."""
    if state.workflow is None:
        return ORDINARY
    gang = record.gang if record.members else ""
    terms = Terms(state.workflow.config.tenant, state.workflow.config.limits, gang, record.members)
    return terms if terms != ORDINARY else ORDINARY
