"""On what terms an execution asks its pool: for which tenant, and within which limits of its own."""

from __future__ import annotations

from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import ORDINARY, Terms


def terms_of(state: ExecutionRecord) -> Terms:
    """Return the terms of every request of the execution."""
    if state.workflow is None:
        return ORDINARY
    terms = Terms(state.workflow.config.tenant, state.workflow.config.limits)
    return terms if terms != ORDINARY else ORDINARY
