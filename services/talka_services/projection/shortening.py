"""Lets a read model forget what has left the log by rights: beginnings of logs, and logs that are no more.

What an archived execution leaves says so itself, in its log. Here is looked for all else, now and then.
"""

from __future__ import annotations

import asyncio

from talka_core.auditing.rosters import OWNERS, listed_by
from talka_core.readmodel import Changes
from talka_protocols.errors import PlatformError
from talka_protocols.ports import Log, Snapshots
from talka_protocols.subjects import POOL, SHARD, WORKER
from talka_services.projection.queries import anchored_ends
from talka_services.projection.views import View
from talka_services.runner.bases import PRUNED, bases_of
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.telemetry import get_logger

logger = get_logger(__name__)

EVERY = 10_000
"""After so many commits it is looked again: so many rows too many there may be."""


class Shortening:
    """Finds out what a model need not keep any more."""

    def __init__(self, view: View, log: Log, snapshots: Snapshots, definitions: Definitions) -> None:
        self._view = view
        self._log = log
        self._snapshots = snapshots
        self._definitions = definitions

    def is_due(self, before: int, after: int) -> bool:
        """Tell whether to look when a model goes from one position to another."""
        return before // EVERY != after // EVERY

    async def note(self, changes: Changes) -> None:
        """Add to changes what is to be forgotten with them; what cannot be told now stays till the next time.

        So a projector that may read logs only, as in an earlier version, goes on.
        """
        try:
            await self._note(changes)
        except PlatformError as error:
            logger.warning("projector.not_shortened", error=str(error))

    async def _note(self, changes: Changes) -> None:
        async for name, base in bases_of(PRUNED, self._log, self._snapshots):
            changes.unanchor(str(name), base.position + 1)
            if name.kind == POOL:
                changes.unallocated[name.key] = base.at
        ends = await asyncio.to_thread(anchored_ends, self._view)
        if not ends:
            return
        there = await self._there()
        for log, end in ends.items():
            if log.partition(".")[0] in (WORKER, *OWNERS.values()) and log not in there:
                changes.unanchor(log, end + 1)

    async def _there(self) -> set[str]:
        """Return the logs that may go as a whole and have not, or must not be missing."""
        found: set[str] = set()
        for name in await self._log.names(SHARD):
            if kind := listed_by(name.key):
                entry = await newest(name, self._log, self._snapshots, self._definitions)
                found.update(f"{kind}.{key}" for key in entry.state.live)
        for kind in (WORKER, *OWNERS.values()):
            found.update(map(str, await self._log.names(kind)))
        return found
