"""The table of all operations."""

from __future__ import annotations

from talka_services.gateway import (
    actions,
    alerts,
    carrying,
    executions,
    history,
    insight,
    own,
    pools,
    predictions,
    schedules,
    streams,
    tasklogs,
    triggers,
    utilisation,
    what_if,
)
from talka_services.gateway.operations import Operation

PREFIX = "/api/v1"
OPERATIONS: tuple[Operation, ...] = (
    *executions.OPERATIONS,
    *actions.OPERATIONS,
    *history.OPERATIONS,
    *carrying.OPERATIONS,
    *streams.OPERATIONS,
    *tasklogs.OPERATIONS,
    *insight.OPERATIONS,
    *what_if.OPERATIONS,
    *predictions.OPERATIONS,
    *own.OPERATIONS,
    *pools.OPERATIONS,
    *utilisation.OPERATIONS,
    *schedules.OPERATIONS,
    *triggers.OPERATIONS,
    *alerts.OPERATIONS,
)
