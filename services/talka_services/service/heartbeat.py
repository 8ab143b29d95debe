"""How long a running task may give no sign of life, on the worker's monotonic clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext


class Heartbeat:
    """Ends what it watches when no beat comes in time.

    What waits to be recorded is a sign of life for as long as it waits, so an
    outage of the server ends no attempt.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._limit: asyncio.Timeout | None = None
        self._recording = 0
        self._is_watching = False

    @property
    def is_missed(self) -> bool:
        """Tell whether no beat came in time."""
        return self._limit is not None and self._limit.expired()

    def watch(self) -> AbstractAsyncContextManager[None]:
        """Watch what runs inside, if there is a limit.

        Raises:
            TimeoutError: no beat came in time; what ran inside was cancelled.
        """
        # Most tasks have no limit, and watching for nothing is a noticeable part of what a short one costs.
        return nullcontext() if self._limit_s is None else self._watched()

    @asynccontextmanager
    async def _watched(self) -> AsyncGenerator[None]:
        async with asyncio.timeout(self._limit_s) as limit:
            self._limit, self._is_watching = limit, True
            self.beat()
            try:
                yield
            finally:
                self._is_watching = False

    def beat(self) -> None:
        """Let the time begin anew, unless it is over."""
        if self._limit_s is None or self._limit is None or not self._is_watching or self.is_missed:
            return
        now_s = asyncio.get_running_loop().time()
        self._limit.reschedule(None if self._recording else now_s + self._limit_s)

    @contextmanager
    def recording(self) -> Generator[None]:
        """Let the time stand still while something waits to be recorded."""
        self._recording += 1
        self.beat()
        try:
            yield
        finally:
            self._recording -= 1
            self.beat()
