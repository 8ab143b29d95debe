"""Finds what pools have recorded about executions; each pool's log is read once, whatever is asked for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct, field

from talka_core.archiving import executions_in
from talka_protocols.commit import decode_commit
from talka_protocols.events import PoolConfigured, WorkerDraining, WorkerJoined, WorkerLost
from talka_protocols.ports import Log, StoredCommit
from talka_protocols.subjects import POOL, LogName

STANDING = (PoolConfigured, WorkerJoined, WorkerDraining, WorkerLost)
"""What says which workers and amounts there are."""


class PoolCommits:
    """The commits of pools' logs, by what they are about, as they were when a pool was first asked about."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pools: dict[str, _Index] = {}

    async def about(self, pool: str, executions: Iterable[str]) -> list[StoredCommit]:
        """Return those about the executions, and those about workers and the pool's amounts.

        Raises:
            BrokenHistoryError: a commit cannot be decoded.
            PlatformError: the log cannot be read.
        """
        index = self._pools.get(pool)
        if index is None:
            commits = await self._log.read(LogName(POOL, "-", pool))
            index = self._pools[pool] = await asyncio.to_thread(_indexed, commits)
        return index.about(executions)


class _Index(Struct):
    commits: dict[int, StoredCommit]
    executions: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    general: set[int] = field(default_factory=set[int])

    def about(self, executions: Iterable[str]) -> list[StoredCommit]:
        chosen = self.general.union(*(self.executions.get(name, ()) for name in executions))
        return [self.commits[position] for position in sorted(chosen)]


def _indexed(commits: Iterable[StoredCommit]) -> _Index:
    index = _Index({commit.position: commit for commit in commits})
    for commit in index.commits.values():
        for _version, _cause, event in decode_commit(commit.log, commit.body).events():
            named = [*executions_in(event)]
            for name in named:
                index.executions[name].add(commit.position)
            if not named and isinstance(event, STANDING):
                index.general.add(commit.position)
    return index
