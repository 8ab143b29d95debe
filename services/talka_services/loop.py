"""An event loop whose timers are exact to some microseconds.

epoll waits whole milliseconds, and asyncio rounds up to them, so every timer
of the default loop fires up to a millisecond late. An epoll object can itself
be waited for with ``select``, which takes microseconds; that costs one more
system call a wait and nothing while there is work.
"""

from __future__ import annotations

import asyncio
import gc
import select
import selectors
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SLICE_S = 0.01
"""How long one piece of work keeps the loop to itself."""

STEPS = 16
"""How many steps are taken between two looks at the clock; each takes some tens of microseconds."""

SELECT_MAX = 1024
"""``select`` cannot take file descriptors from here on."""
GC_THRESHOLDS = (10_000, 10, 10)
"""Messages and events hold no cycles and are freed without the collector, which need not look often."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop with exact timers where epoll is used, and the default one elsewhere."""
    if sys.platform != "linux":
        return asyncio.new_event_loop()

    class ExactSelector(selectors.EpollSelector):
        """Waits for epoll through ``select``."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Return what is ready after at most ``timeout`` seconds."""
            if timeout is not None and timeout > 0 and self.fileno() < SELECT_MAX:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

    return asyncio.SelectorEventLoop(ExactSelector())


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the process's main coroutine to its end, as ``asyncio.run`` does, on a loop with exact timers.

    What has been imported stays to the end, so the garbage collector leaves it alone meanwhile.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(main)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class TimeSlice:
    """Bounds how long one piece of work, which begins now, keeps the loop before all others have a turn.

    The loop that decides on thousands of tasks also renews the leases without which it may not go on.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._ends_at = self._clock() + SLICE_S
        self._steps = 0

    @property
    def is_over(self) -> bool:
        """Tell whether all others are to have a turn; asked after every small step of the work.

        Only every so many steps are timed: that would take a good part of so small a step.
        """
        self._steps += 1
        return self._steps % STEPS == 0 and self._clock() >= self._ends_at

    async def yield_turn(self) -> None:
        """Let all others have a turn, and begin the next slice."""
        await asyncio.sleep(0)
        self._ends_at = self._clock() + SLICE_S


async def until_one_ends(*work: Awaitable[None]) -> None:
    """Do work side by side until one of it ends, then stop the rest, too.

    Raises:
        Exception: what ended it, if it was no return.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def keep_failure(task: asyncio.Task[Any]) -> None:
    """Look at why a task has failed: it stays for whoever asks for the result, and nobody may any more."""
    if not task.cancelled():
        task.exception()
