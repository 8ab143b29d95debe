"""The `Snapshots` port in memory."""

from __future__ import annotations

from talka_protocols.ports import Snapshot
from talka_protocols.subjects import LogName


class MemorySnapshots:
    """The newest snapshot of each log."""

    def __init__(self) -> None:
        self._newest: dict[LogName, Snapshot] = {}

    async def save(self, log: LogName, snapshot: Snapshot) -> None:
        """Keep the snapshot unless a newer one is already there."""
        newest = self._newest.get(log)
        if newest is None or newest.position < snapshot.position:
            self._newest[log] = snapshot

    async def load(self, log: LogName) -> Snapshot | None:
        """Return the newest snapshot, or None."""
        return self._newest.get(log)
