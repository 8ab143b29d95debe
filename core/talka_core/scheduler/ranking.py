"""The rank with which a task of an execution asks for its turn."""

from __future__ import annotations

from talka_core.ageing import Rank, aged
from talka_core.scheduler.state import ExecutionRecord


def rank_of(state: ExecutionRecord, task_id: str) -> Rank:
    """Return a task's rank by the strategy, aged from when its execution began."""
    return aged(state.index.ranks[task_id], state.started_at)
