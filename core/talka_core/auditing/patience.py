"""What somebody has yet to give back, and when that has taken too long.

A grant that arrives after its attempt was cancelled is returned without an
event in the execution's log, and so is what is granted again to a request
that arrives twice. Such things are no leaks as long as they come back, and
between owners that die and messages that are lost that takes a while. So the
time counts only in which those who must act were seen acting.
"""

from __future__ import annotations

from collections.abc import Iterator

from talka_core.auditing.book import Allocation, Book, Clock, Loose
from talka_core.auditing.violations import Finding, Kind, Where
from talka_protocols.subjects import EXECUTION, POOL, LogName

PATIENCE_MS = 180_000
"""How long something may be on its way back: a pool reminds of what it holds every 30 s."""
GAP_MS = 5_000
"""A longer time without a commit may have been an outage, so no more of it counts."""


def tick(book: Book, log: LogName, at: int) -> None:
    """Let the clock of the log's owner go on to the time of its commit."""
    if log.kind == POOL:
        book.pool_clocks.setdefault(log.key, Clock()).advance(at, GAP_MS)
    elif log.kind == EXECUTION:
        book.shard_clocks.setdefault(log.shard, Clock()).advance(at, GAP_MS)


def loosen(
    book: Book, kind: Kind, name: str, sentence: str, where: Where, *, only_pool: bool = False
) -> None:
    """Note that something is to be given back from now on, unless that is known."""
    allocation = book.allocations.get(name)
    pool = allocation.pool if allocation else where.log.partition(".")[2]
    execution = book.executions.get(allocation.execution_id) if allocation else None
    shard = None if only_pool else execution.shard if execution else ""
    noted = Loose(sentence, where, pool, shard, _pool_ms(book, pool), _shard_ms(book, shard))
    book.loose.setdefault((kind, name), noted)


def settle(book: Book, kind: Kind, name: str) -> None:
    """Note that it was given back, or is wanted after all."""
    book.loose.pop((kind, name), None)


def expire(book: Book, where: Where) -> None:
    """Note which reservations of a pool should have ended by now."""
    name = where.log.partition(".")[2]
    for reservation_id, reservation in book.pools[name].reservations.items():
        if where.at > reservation.expires_at:
            sentence = f"Reservation {reservation_id} has expired"
            loosen(book, Kind.RESERVATION_OUTLIVED, reservation_id, sentence, where, only_pool=True)


def is_wanted(book: Book, allocation_id: str, allocation: Allocation) -> bool:
    """Tell whether its execution waits for an allocation, runs something on it, or keeps it for a moment."""
    execution = book.executions.get(allocation.execution_id)
    if execution is None:
        return False
    held = execution.held.get(allocation_id)
    return allocation_id in execution.wanted or (held is not None and (held.is_running or held.is_kept))


def overdue(book: Book) -> Iterator[tuple[Finding, Where]]:
    """Yield what has taken too long, each once."""
    late = [key for key, loose in book.loose.items() if _waited_ms(book, loose) > PATIENCE_MS]
    for kind, name in late:
        yield _late(book, kind, name)


def remaining(book: Book) -> Iterator[tuple[Finding, Where]]:
    """Yield everything that was never given back, and every return that was never settled."""
    for kind, name in list(book.loose):
        yield _late(book, kind, name)
    for name, execution in book.executions.items():
        for allocation_id, (position, version, at) in execution.returning.items():
            sentence = f"{allocation_id} was given back, and that was never settled."
            yield (Kind.NOT_RETURNED, sentence), Where(f"{EXECUTION}.{name}", version, position, at)


def _late(book: Book, kind: Kind, name: str) -> tuple[Finding, Where]:
    loose = book.loose.pop((kind, name))
    return (kind, f"{loose.sentence}, and it was not given back."), loose.where


def _waited_ms(book: Book, loose: Loose) -> int:
    waited = _pool_ms(book, loose.pool) - loose.pool_ms
    if loose.shard is None:
        return waited
    return min(waited, _shard_ms(book, loose.shard) - loose.shard_ms)


def _pool_ms(book: Book, pool: str) -> int:
    clock = book.pool_clocks.get(pool)
    return clock.ms if clock else 0


def _shard_ms(book: Book, shard: str | None) -> int:
    """Return a shard's time; of an execution that is over it is not known which, so the slowest counts."""
    if shard:
        clock = book.shard_clocks.get(shard)
        return clock.ms if clock else 0
    return min((clock.ms for clock in book.shard_clocks.values()), default=0)
