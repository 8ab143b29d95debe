"""Cleaning up under cancellation: what must be finished is finished, then the cancellation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def is_cancelling() -> bool:
    """Tell whether the current task was asked to stop, or only saw somebody's CancelledError."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def uninterrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work`` to its end however often the caller is cancelled meanwhile; tell whether it was.

    A caller that was cancelled raises that itself when it is ready to.
    ``work`` must bound its own time.

    Raises:
        Exception: whatever ``work`` raised.
    """
    task = asyncio.create_task(work)
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            is_cancelled = True
    task.result()
    return is_cancelled
