"""What pools had and what of it was held: each pool's log is read once, and then on from where it was."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import cast

from msgspec import Struct, field

from talka_core.utilisation import Holdings, Utilisation
from talka_protocols.commit import Commit
from talka_protocols.events import Event, PoolEvent
from talka_protocols.ports import Log
from talka_protocols.subjects import POOL, LogName
from talka_services.client.histories import Histories

KEPT = 16


class _Entry(Struct):
    holdings: Holdings = field(default_factory=Holdings)
    position: int = 0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class PoolHoldings:
    """The pools of one namespace that were asked for last."""

    def __init__(self, log: Log, histories: Histories) -> None:
        self._log = log
        self._histories = histories
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def between(self, pool: str, since: int, until: int, slices: int) -> Utilisation | None:
        """Return how much of a pool was held between two instants (Unix milliseconds); None without a log.

        Raises:
            BrokenHistoryError: its log cannot be read.
        """
        entry = self._entries.setdefault(pool, _Entry())
        self._entries.move_to_end(pool)
        if len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        async with entry.reading:
            stored = await self._log.read(LogName(POOL, "-", pool), entry.position)
            if not stored and not entry.position:
                self._entries.pop(pool, None)
                return None
            try:
                commits = [await self._histories.decoded(commit) for commit in stored]
                found = await asyncio.to_thread(_answer, entry.holdings, commits, since, until, slices)
            except BaseException:
                # What was taken in part is of no use to anybody.
                self._entries.pop(pool, None)
                raise
            if stored:
                entry.position = stored[-1].position
            return found


def _answer(
    holdings: Holdings, commits: Iterable[Commit[Event]], since: int, until: int, slices: int
) -> Utilisation:
    for commit in commits:
        for _version, _cause, event in commit.events():
            holdings.take(commit.at, cast("PoolEvent", event))
    return holdings.between(since, until, slices)
