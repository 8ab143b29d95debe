"""Removes whole logs that nothing needs any more, while somebody may write to them."""

from __future__ import annotations

from collections.abc import Callable

from talka_core.history import FOLDS, packed
from talka_protocols.commit import decode_commit
from talka_protocols.ports import Snapshot
from talka_protocols.subjects import BASE, LogName
from talka_services.archives.pruned import Pruned
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.purging import Purge
from talka_services.jetstream.topology import INBOX_AGE_S
from talka_services.runner.bases import base_name, base_of
from talka_services.runner.journal import Entry
from talka_services.runner.ports import Ports

UNREAD_MS = 1000 * INBOX_AGE_S + 3_600_000
"""For so long somebody may have yet to read what a log led to: then letters have left the inbox."""


class Removal:
    """Removes logs of one namespace; several of them disturb nobody. ``on_step`` is told before each step."""

    def __init__(self, connection: Connection, ports: Ports, on_step: Callable[[str], None]) -> None:
        self._ports = ports
        self._on_step = on_step
        self._purge = Purge(connection)

    def before(self, wanted: int) -> int:
        """Return the instant (milliseconds) before which a log must have ended to go, at the latest."""
        return min(wanted, self._ports.clock.now_ms() - UNREAD_MS)

    async def remove(self, entry: Entry) -> Pruned:
        """Remove a log up to where it was folded.

        Raises:
            BrokenHistoryError: a commit of it cannot be read.
            PlatformError: the server does not answer, or refuses.
        """
        ports, name = self._ports, entry.name
        base = await base_of(name, ports.snapshots)
        stored = await ports.log.read(name, base.position)
        events = sum(len(decode_commit(each.log, each.body)) for each in stored)
        # Whoever writes to it at this moment goes on behind what is removed: the log then has a base.
        body = packed(FOLDS[name.kind], entry.state)
        snapshot = Snapshot(entry.position, entry.state.version, body, entry.last_at)
        self._on_step("save base")
        await ports.snapshots.save(base_name(name), snapshot)
        self._on_step(f"purge {name.kind}")
        await self._purge.log_before(name, entry.position + 1)
        return Pruned(str(name), events)

    async def finish(self, kind: str, shard: Callable[[str], str]) -> None:
        """Remove what logs of a kind leave that are no more, also of a run that died before it did so.

        Raises:
            PlatformError: the server does not answer, or refuses.
        """
        prefix = f"{kind}-"
        kept = await self._purge.with_snapshots(kind)
        bases = {key for key in await self._purge.with_snapshots(BASE) if key.startswith(prefix)}
        there = {name.key for name in await self._ports.log.names(kind)}
        for key in sorted((kept | {base.removeprefix(prefix) for base in bases}) - there):
            name = LogName(kind, shard(key), key)
            self._on_step(f"purge base of {kind}")
            await self._purge.snapshots(name)
            await self._purge.snapshots(base_name(name))
