"""What a log is given, gathered for a moment before anybody looks at it.

Who only waits for the end must not be in the way of those who bring it about:
on an embedded platform both share one loop, and to fold a commit at once would
delay the tasks that it starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from talka_protocols.ports import StoredCommit


async def gathered(
    commits: AsyncGenerator[StoredCommit], is_urgent: Callable[[StoredCommit], bool], at_most_s: float
) -> AsyncGenerator[list[StoredCommit]]:
    """Yield the commits in order, several at a time; an urgent one at once, none after ``at_most_s``.

    Raises:
        Exception: whatever reading raised, after everything that had come before.
    """
    heap: list[StoredCommit] = []
    has_arrived, is_pressing = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        try:
            async with aclosing(commits):
                async for commit in commits:
                    heap.append(commit)
                    has_arrived.set()
                    if is_urgent(commit):
                        is_pressing.set()
        finally:
            has_arrived.set()
            is_pressing.set()

    reading = asyncio.create_task(read(), name="backlog")
    try:
        while heap or not reading.done():
            await has_arrived.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    await is_pressing.wait()
            if not reading.done():
                has_arrived.clear()
                is_pressing.clear()
            if heap:
                taken, heap[:] = list(heap), []
                yield taken
        reading.result()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
