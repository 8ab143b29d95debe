"""The table of all operations."""

from __future__ import annotations

from talka_services.gateway import (
    actions,
    alerts,
    executions,
    history,
    insight,
    pools,
    schedules,
    streams,
    tasklogs,
    triggers,
)
from talka_services.gateway.operations import Operation

PREFIX = "/api/v1"
OPERATIONS: tuple[Operation, ...] = (
    *executions.OPERATIONS,
    *actions.OPERATIONS,
    *history.OPERATIONS,
    *streams.OPERATIONS,
    *tasklogs.OPERATIONS,
    *insight.OPERATIONS,
    *pools.OPERATIONS,
    *schedules.OPERATIONS,
    *triggers.OPERATIONS,
    *alerts.OPERATIONS,
)
