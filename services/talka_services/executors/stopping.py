"""Cleaning up under cancellation: what must be finished is finished, then the cancellation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def is_cancelling() -> bool:
    """Tell whether the current task was asked to stop, or only saw somebody's CancelledError."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def uninterrupted(work: Coroutine[Any, Any, None], hurry: Callable[[], None] | None = None) -> bool:
    """Await ``work`` to its end however often the caller is cancelled meanwhile; tell whether it was.

    A caller that was cancelled raises that itself when it is ready to.
    ``work`` must bound its own time; ``hurry`` is called when the caller has
    been cancelled twice: whoever asked for its end does not want to wait.

    Raises:
        Exception: whatever ``work`` raised.
    """
    task, caller = asyncio.create_task(work), asyncio.current_task()
    is_cancelled = False
    while not task.done():
        if hurry is not None and caller is not None and caller.cancelling() > 1:
            hurry()
            hurry = None
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            is_cancelled = True
    task.result()
    return is_cancelled
