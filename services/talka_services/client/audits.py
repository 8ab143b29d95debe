"""Audits whole logs: reads them in the order of their stream and lets the auditor take each commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from msgspec import Struct

from talka_core.auditing import Auditor, Kind, Summary, Violation, Where
from talka_core.auditing.auditor import AUDITED
from talka_core.auditing.violations import violation
from talka_protocols.commit import decode_commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.ports import Log, Snapshots, StoredCommit
from talka_services.runner.bases import PRUNED, bases_of

KEPT = 1_000
"""How many violations are kept; those after them are only counted."""


class Signatures(Struct, frozen=True):
    """How many commits are signed, how many are not, and how many something else had noted before."""

    signed: int
    unsigned: int
    anchored: int


class Audit(Struct, frozen=True):
    """What an audit found: ``count`` violations in all, and the first of them.

    ``signatures`` is what was compared with them, None if nothing was.
    """

    violations: tuple[Violation, ...]
    count: int
    summary: Summary
    signatures: Signatures | None = None


async def audit(
    log: Log,
    *,
    snapshots: Snapshots | None = None,
    only: str = "",
    since_ms: int = 0,
    on_read: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit everything in a log port.

    Args:
        log: Where the commits are.
        snapshots: Where the bases are that pruned logs begin with; without them a pruned log has gaps.
        only: The execution of an exported file, whose pool's log is there in parts.
        since_ms: Violations before that time (milliseconds since the epoch) are left out; what
            happened before it is accounted for all the same.
        on_read: Told how many commits were taken, and how many messages follow.
    """
    auditor, found, count, taken = Auditor(only), list[Violation](), 0, 0
    if snapshots is not None and not only:
        async for name, base in bases_of(PRUNED, log, snapshots):
            auditor.begin(name, base.position, base.state)
    async with aclosing(log.read_all(AUDITED)) as heaps:
        async for heap in heaps:
            for stored in heap.commits:
                news = [each for each in _take(auditor, stored) if each.where.at >= since_ms]
                count += len(news)
                found += news[: KEPT - len(found)]
            taken += len(heap.commits)
            if on_read is not None:
                on_read(taken, heap.following)
            # Auditing takes longer than reading, and the connection must not starve.
            await asyncio.sleep(0)
    return Audit(tuple(found), count, auditor.summary)


def _take(auditor: Auditor, stored: StoredCommit) -> list[Violation]:
    try:
        commit = decode_commit(stored.log, stored.body)
    except BrokenHistoryError as error:
        # When it was written is not known either, so that no time limit hides it.
        where = Where(str(stored.log), 0, stored.position, 2**53)
        return [violation((Kind.UNREADABLE, str(error)), where)]
    return auditor.take(stored.log, stored.position, commit)
