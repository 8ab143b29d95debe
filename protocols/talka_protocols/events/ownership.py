"""``worker.<id>``, written by the worker, and ``shard.<n>``, written by the owner of a shard."""

from __future__ import annotations

from talka_protocols.events.fact import Fact


class WorkerRegistered(Fact, frozen=True, gc=False):
    """A new incarnation of the worker begins; two processes cannot both record the same one."""

    incarnation: int
    pool: str


class WorkerStopped(Fact, frozen=True, gc=False):
    """The incarnation ended with nothing left to do."""

    incarnation: int


WorkerEvent = WorkerRegistered | WorkerStopped


class OwnershipTaken(Fact, frozen=True, gc=False):
    """A service took the shard over."""

    epoch: int
    holder: str = ""


class LogsOpened(Fact, frozen=True, gc=False):
    """These logs are live: a takeover folds them."""

    keys: tuple[str, ...]


class LogsClosed(Fact, frozen=True, gc=False):
    """Nothing is owed by these logs any more."""

    keys: tuple[str, ...]


ShardEvent = OwnershipTaken | LogsOpened | LogsClosed
