"""Reads what a trace is made of: the log of an execution, and that of its plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from talka_core.tracing import trace_of
from talka_protocols.events import Event, ExecutionEvent, PlanEvent
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
    history = await _timed(histories, name)
    plan = await _timed(histories, LogName(PLAN, name.shard, execution_id))
    return trace_of(
        state,
        cast("Sequence[tuple[int, ExecutionEvent]]", history),
        now_ms,
        cast("Sequence[tuple[int, PlanEvent]]", plan),
    )


async def _timed(histories: Histories, name: LogName) -> list[tuple[int, Event]]:
    """Return the events of a log with their instants."""
    commits = await histories.commits(name)
    return [(commit.at, event) for _, commit in commits for _, _, event in commit.events()]
