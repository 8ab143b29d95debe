"""Reads what is needed to say where an execution's time went: its history, and that of its pool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from talka_core.bottlenecks import bottlenecks
from talka_core.scheduler import ExecutionRecord
from talka_core.simulation import NothingRecordedError, Recorded, recorded
from talka_protocols.bottlenecks import Bottlenecks
from talka_protocols.events import Event, ExecutionEvent, PoolEvent
from talka_protocols.subjects import POOL, LogName
from talka_services.client.histories import Histories

Timed = list[tuple[int, Event]]


async def where_time_went(
    histories: Histories, execution_id: str, now_ms: int, *, is_simulated: bool = True
) -> Bottlenecks:
    """Return the critical path of an execution as it really went, and what would have saved some time.

    Args:
        histories: Where it and its pool are recorded.
        execution_id: One that has begun.
        now_ms: The present instant (Unix milliseconds).
        is_simulated: Whether to simulate it with one thing changed at a time.

    Raises:
        UnknownExecutionError: there is no such execution.
        NothingRecordedError: it never started.
    """
    state = await histories.execution(execution_id)
    history = await histories.timed(histories.name(execution_id))
    if not state.started_at:
        raise NothingRecordedError(
            f"The execution {execution_id!r} never started: {state.reason or 'nothing ran.'}"
        )
    found = await _recorded(histories, state, history, now_ms) if is_simulated else None
    events = cast("Sequence[tuple[int, ExecutionEvent]]", history)
    # Its simulations take seconds, and whoever asks may host services in the same loop.
    return await asyncio.to_thread(bottlenecks, state, events, now_ms, found)


async def _recorded(histories: Histories, state: ExecutionRecord, history: Timed, now_ms: int) -> Recorded:
    pool = await histories.timed(LogName(POOL, "-", state.pool))
    events = [event for _, event in history]
    return recorded(state, events, cast("Sequence[tuple[int, PoolEvent]]", pool), now_ms)
