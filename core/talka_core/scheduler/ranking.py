"""The rank with which a task of an execution asks for its turn."""

from __future__ import annotations

from talka_core.ageing import Rank, aged
from talka_core.scheduler.state import ExecutionRecord
from talka_core.strategies import Ranking, strategy_of
from talka_protocols.workflow import Strategy


def ranking_of(state: ExecutionRecord) -> Ranking:
    """Return how the execution ranks its tasks: as it was told last, or else as its definition says."""
    assert state.workflow is not None, "only what was accepted ranks tasks"
    config = state.workflow.config
    if state.strategy:
        return Ranking(Strategy(state.strategy), state.priority, state.order)
    return Ranking(strategy_of(config), state.priority, state.order, bool(config.custom_strategy))


def rank_of(state: ExecutionRecord, task_id: str) -> Rank:
    """Return a task's rank by the strategy, aged from when its execution began."""
    return aged(state.index.ranks[task_id], state.started_at)
