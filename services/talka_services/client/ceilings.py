"""What the pools of a namespace were declared to offer at the most, read from their logs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from msgspec import Struct

from talka_core.default_strategy import with_default_strategy
from talka_core.payload_fields import check_fields
from talka_core.status import inventory_of, whole_of
from talka_core.strategies import is_planned
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Strategy, Workflow
from talka_services.client.histories import Histories

IMPOSSIBLE = "impossible_resources"
FRESH_S = 5.0
"""How long what was read of a pool is taken for true."""


class Declared(Struct, frozen=True):
    """What the operator of a pool declared; None leaves it open."""

    ceiling: Mapping[str, float] | None = None
    agent_types: frozenset[str] | None = None
    shared: Mapping[str, float] = {}
    strategy: str = ""


class Ceilings:
    """Checks workflows against what can ever be offered.

    ``ceiling`` and ``agent_types`` are what the workers of this process are
    known to offer; they go before what a pool was declared to offer.
    ``strategies`` are those of pools that nobody else declares, by pool, so
    that their logs need not be read.
    """

    def __init__(
        self,
        histories: Histories,
        ceiling: Mapping[str, float] | None = None,
        agent_types: frozenset[str] | None = None,
        strategies: Mapping[str, str] | None = None,
    ) -> None:
        self._histories = histories
        self._strategies: Mapping[str, str] = {} if strategies is None else strategies
        self._ceiling = ceiling
        self._agent_types = agent_types
        self._read: dict[str, tuple[float, Declared]] = {}

    async def check(self, workflow: Workflow) -> Workflow:
        """Return the workflow checked and completed, by the strategy of its pool if it names none.

        Raises:
            WorkflowInvalidError: it cannot run, or no worker of its pool can ever meet it.
        """
        checked = await self._possible(workflow)
        if checked.config.strategy is not None or checked.config.custom_strategy:
            return checked
        pool = checked.config.pool
        known = self._strategies.get(pool)
        strategy = (await self._declared(pool)).strategy if known is None else known
        return with_default_strategy(checked, pool, strategy)

    async def _possible(self, workflow: Workflow) -> Workflow:
        try:
            checked = check_fields(check(workflow, agent_types=self._agent_types, ceiling=self._ceiling))
        except WorkflowInvalidError as error:
            if error.code != IMPOSSIBLE:
                raise
            declared = await self._declared(workflow.config.pool)
            if not declared.shared:
                raise
            return check(
                workflow, agent_types=self._agent_types, ceiling=self._ceiling, shared=declared.shared
            )
        if self._ceiling is not None:
            return checked
        declared = await self._declared(checked.config.pool)
        if declared == Declared():
            return checked
        bounds = _bounds(checked, declared)
        return check(checked, agent_types=declared.agent_types, ceiling=bounds, shared=declared.shared)

    async def capacity_for(self, workflow: Workflow) -> dict[str, float]:
        """Return what the workflow's pool has in all, where its strategy plans for that.

        Before the first worker has joined it is what one of this process is known to offer.
        """
        is_packed = workflow.config.strategy is Strategy.RESOURCE_OPTIMIZED
        if not is_packed and not is_planned(workflow):
            return {}
        state = await self._histories.pool(workflow.config.pool)
        return whole_of(inventory_of(state)) or dict(self._ceiling or {})

    async def _declared(self, pool: str) -> Declared:
        now_s = time.monotonic()
        read_at, declared = self._read.get(pool, (-math.inf, Declared()))
        if now_s - read_at > FRESH_S:
            state = await self._histories.pool(pool)
            agent_types = None if state.agent_types is None else frozenset(state.agent_types)
            declared = Declared(state.ceiling, agent_types, state.shared, state.strategy)
            self._read[pool] = (now_s, declared)
        return declared


def _bounds(workflow: Workflow, declared: Declared) -> Mapping[str, float]:
    """Return the most of each resource that the workflow asks for; what was not declared is left open."""
    asked = {name for task in workflow.tasks for name in task.resources.amounts()}
    return {name: (declared.ceiling or {}).get(name, math.inf) for name in asked}
