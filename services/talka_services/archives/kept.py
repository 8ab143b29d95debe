"""Archives that stay open for whoever asks next: copying and checking one takes longer than reading it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from talka_services.archives.reading import mark_of, opened
from talka_services.exports import Archive

KEPT = 8
"""How many stay open: those of two executions with their sub-workflows, say, that somebody compares."""


class Key(Struct, frozen=True):
    """Which file: where it is, what it holds, and what changes whenever somebody writes to it."""

    place: str
    sha256: str
    mark: str


class KeptArchives:
    """Keeps the archives open that were asked for last: at most so many beside those that are in use.

    The file is looked for each time: what was moved away is not shown, and what was
    written to is compared with its digest again.
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        # The one that was asked for last is the last one.
        self._kept: dict[Key, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def opened(self, place: str, sha256: str) -> AsyncGenerator[Archive]:
        """Open the file at a URL, or take it as it was left open.

        Raises:
            DepotError: it is not there, cannot be read, or is another file.
            ArchiveError: it is no exported execution.
        """
        key = Key(place, sha256, await mark_of(place))
        kept = self._kept.pop(key) if key in self._kept else _Kept(key)
        self._kept[key] = kept
        kept.users += 1
        try:
            yield await kept.archive()
        finally:
            kept.users -= 1
            await self._leave_open(self._most)

    async def close(self) -> None:
        """Close all that nobody uses."""
        await self._leave_open(0)

    async def _leave_open(self, most: int) -> None:
        unused = [key for key, kept in self._kept.items() if not kept.users]
        failed = [key for key in unused if not self._kept[key].is_open]
        surplus = unused[: max(0, len(self._kept) - most)]
        for kept in [self._kept.pop(key) for key in dict.fromkeys((*failed, *surplus))]:
            await kept.close()


class _Kept:
    """One archive. Those who use it are counted, and nobody else closes it meanwhile."""

    def __init__(self, key: Key) -> None:
        self.users = 0
        self._key = key
        self._archive: Archive | None = None
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    @property
    def is_open(self) -> bool:
        return self._archive is not None

    async def archive(self) -> Archive:
        """Return the archive; of those who ask at the same time one opens it for all."""
        async with self._opening:
            if self._archive is None:
                place, sha256 = self._key.place, self._key.sha256
                self._archive = await self._stack.enter_async_context(opened(place, sha256))
            return self._archive

    async def close(self) -> None:
        """Close it."""
        await self._stack.aclose()
