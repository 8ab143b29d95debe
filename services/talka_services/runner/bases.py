"""Bases: states that logs begin with once their beginning has been pruned.

A base lies with the snapshots, under a name of its own, and is never older than
what has left the log: it is stored before anything is removed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any

from msgspec import Struct

from talka_core.history import FOLDS, unpacked
from talka_protocols.ports import Log, Snapshots
from talka_protocols.subjects import ALERT, BASE, POOL, SCHEDULE, SHARD, TRIGGER, WORKER, LogName

PRUNED = (POOL, SHARD, SCHEDULE, TRIGGER, WORKER, ALERT)
"""The kinds of logs whose beginning may be pruned."""


class Base(Struct, frozen=True):
    """The state of a log at a position, at an instant in milliseconds; the log begins behind it."""

    position: int = 0
    version: int = 0
    at: int = 0
    state: Any = None


def base_name(log: LogName) -> LogName:
    """Return the name under which the base of a log lies with the snapshots."""
    return LogName(BASE, log.shard, f"{log.kind}-{log.key}")


async def base_of(log: LogName, snapshots: Snapshots | None) -> Base:
    """Return what a log begins with: its initial state unless it was pruned.

    Raises:
        BrokenHistoryError: the base lay in the object store, and is gone from there.
    """
    fold = FOLDS[log.kind]
    found = await snapshots.load(base_name(log)) if snapshots is not None and log.kind in PRUNED else None
    if found is None:
        return Base(state=fold.initial(log.key))
    state = unpacked(fold, found.body)
    fold.restore(state)
    return Base(found.position, found.version, found.at, state)


async def bases_of(
    kinds: Collection[str], log: Log, snapshots: Snapshots
) -> AsyncIterator[tuple[LogName, Base]]:
    """Yield what the logs of some kinds begin with that were pruned.

    Raises:
        BrokenHistoryError: a base lay in the object store, and is gone from there.
    """
    for kind in kinds:
        for name in await log.names(kind):
            base = await base_of(name, snapshots)
            if base.position:
                yield name, base
