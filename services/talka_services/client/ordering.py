"""The order of an execution under way under another strategy, planned for what its pool has now."""

from __future__ import annotations

from msgspec.structs import replace

from talka_core.status import inventory_of, whole_of
from talka_core.strategies import planned_order
from talka_protocols.workflow import Strategy
from talka_services.client.histories import Histories


async def order_under(histories: Histories, execution_id: str, strategy: str) -> tuple[int, ...]:
    """Return the planned order; empty where the strategy plans none.

    Raises:
        UnknownExecutionError: there is no such execution.
    """
    state = await histories.execution(execution_id)
    if state.workflow is None or strategy != Strategy.DEADLINE:
        return ()
    pool = await histories.pool(state.pool)
    config = replace(state.workflow.config, strategy=Strategy.DEADLINE)
    return planned_order(replace(state.workflow, config=config), whole_of(inventory_of(pool)))
