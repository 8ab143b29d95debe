"""The `Log` port in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence

from talka_protocols.errors import CallerError, ConflictError
from talka_protocols.ports import Heap, StoredCommit
from talka_protocols.subjects import LogName

MAX_BYTES = 8 * 1024 * 1024


class MemoryLog:
    """Logs that share one growing position, as the logs of a stream do."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._logs: dict[LogName, list[StoredCommit]] = {}
        self._position = 0
        self._appended = asyncio.Event()

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append one commit behind position ``after`` and return its position.

        Raises:
            ConflictError: the log's last position is not ``after``.
            CallerError: the body is larger than ``max_bytes``.
        """
        if len(body) > self.max_bytes:
            raise CallerError(
                f"A commit of {len(body)} bytes to {log} is over the limit of {self.max_bytes} bytes.",
                hint="Split the decision.",
            )
        commits = self._logs.setdefault(log, [])
        last = commits[-1].position if commits else 0
        if last != after:
            if last > after and commits[-1].commit_id == commit_id:
                return last
            raise ConflictError(
                f"Log {log} ends at {last}, not at {after}: another owner wrote to it.",
                hint="This owner steps down; nothing needs to be done.",
            )
        self._position += 1
        commits.append(StoredCommit(log, self._position, body, commit_id))
        appended, self._appended = self._appended, asyncio.Event()
        appended.set()
        return self._position

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind position ``after``, oldest first."""
        return [commit for commit in self._logs.get(log, ()) if commit.position > after]

    async def names(self, kind: str, shard: str | None = None) -> Sequence[LogName]:
        """Return the names of the logs of one kind that hold at least one commit, sorted."""
        return sorted(
            (
                name
                for name, commits in self._logs.items()
                if commits and name.kind == kind and shard in (None, name.shard)
            ),
            key=lambda name: (name.shard, name.key),
        )

    async def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield the commits behind ``after``, then each new one."""
        while True:
            appended = self._appended
            for commit in await self.read(log, after):
                after = commit.position
                yield commit
            await appended.wait()

    async def read_all(self, kinds: Collection[str]) -> AsyncGenerator[Heap]:
        """Yield the commits of all logs of these kinds by position, in one heap."""
        found = [commit for name, commits in self._logs.items() if name.kind in kinds for commit in commits]
        yield Heap(tuple(sorted(found, key=lambda commit: commit.position)), 0)
