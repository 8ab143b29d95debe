"""Runs on record: what the executions of a namespace tell about those to come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from talka_core.forecast import Run, run_of
from talka_core.scheduler import ExecutionRecord
from talka_core.simulation import recorded
from talka_protocols.subjects import EXECUTION, POOL, LogName
from talka_services.client.histories import Histories

NEWEST = 100
"""How many executions of a namespace, the newest, are its history."""
AT_ONCE = 8


async def executions_on_record(histories: Histories) -> list[ExecutionRecord]:
    """Return where every execution stands, some read at a time."""
    some = asyncio.Semaphore(AT_ONCE)

    async def one(execution_id: str) -> ExecutionRecord:
        async with some:
            return await histories.execution(execution_id)

    return list(await asyncio.gather(*map(one, await histories.names(EXECUTION))))


async def newest_on_record(histories: Histories) -> list[ExecutionRecord]:
    """Return where the newest executions that have begun and are not archived stand, the newest first."""
    known = await executions_on_record(histories)
    states = [state for state in known if state.started_at and state.archived is None]
    states.sort(key=lambda state: (-state.started_at, state.execution_id))
    return states[:NEWEST]


async def runs_on_record(histories: Histories) -> list[Run]:
    """Return the newest executions on record as runs, the newest first."""
    states = await newest_on_record(histories)
    pools = {pool: await pool_history(histories, pool) for pool in {state.pool for state in states}}
    return [await run_on_record(histories, state, pools[state.pool]) for state in states]


async def run_on_record(histories: Histories, state: ExecutionRecord, pool: Sequence[tuple[int, Any]]) -> Run:
    """Return what became of one execution, given the history of its pool."""
    events = [event for _, event in await histories.timed(histories.name(state.execution_id))]
    return run_of(state, recorded(state, events, pool, round(1000 * time.time())))


async def pool_history(histories: Histories, pool: str) -> list[tuple[int, Any]]:
    """Return the events of a pool with their instants (Unix milliseconds)."""
    return [*await histories.timed(LogName(POOL, "-", pool))]
