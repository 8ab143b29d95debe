"""Reads what a trace is made of: the log of an execution, and that of its plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from talka_core.tracing import trace_of
from talka_protocols.events import ExecutionEvent, PlanEvent
from talka_protocols.subjects import PLAN, LogName
from talka_protocols.tracing import Trace
from talka_services.client.histories import Histories


async def read_trace(histories: Histories, execution_id: str, now_ms: int) -> Trace:
    """Return the trace of an execution; what still runs is counted until ``now_ms`` (Unix milliseconds).

    Raises:
        UnknownExecutionError: there is no such execution.
    """
    state = await histories.execution(execution_id)
    name = histories.name(execution_id)
    history = await histories.timed(name)
    plan = await histories.timed(LogName(PLAN, name.shard, execution_id))
    return trace_of(
        state,
        cast("Sequence[tuple[int, ExecutionEvent]]", history),
        now_ms,
        cast("Sequence[tuple[int, PlanEvent]]", plan),
    )
