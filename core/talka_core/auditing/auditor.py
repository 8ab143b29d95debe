"""The auditor itself: takes commits one after another in the order of their stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from talka_core.auditing import executions, pools
from talka_core.auditing.beginning import begin_pool
from talka_core.auditing.book import Book, Execution, Pool
from talka_core.auditing.patience import expire, overdue, remaining, tick
from talka_core.auditing.violations import Finding, Kind, Violation, Where, violation
from talka_core.resource import PoolRecord
from talka_core.roster import RosterRecord
from talka_protocols.commit import Commit
from talka_protocols.events import Event, ExecutionArchived, LogsClosed, LogsOpened
from talka_protocols.subjects import EXECUTION, POOL, SHARD, LogName

AUDITED = (EXECUTION, POOL, SHARD)
"""The kinds of logs that say something about allocations."""
LOOK_EVERY = 50
"""How many commits pass between two looks at what has yet to be given back."""
SCHEDULERS = "scheduler-"
"""What the rosters of executions are named after."""


class Summary(Struct, frozen=True):
    """What was looked at.

    ``imported`` attempts ran elsewhere, ``unreturned`` is yet to be given back, and ``live`` is how many
    executions, allocations and reservations there are at the end.
    """

    commits: int
    events: int
    executions: int
    attempts: int
    allocations: int
    hand_ons: int
    reservations: int
    imported: int
    unreturned: int
    live: int


class Auditor:
    """Checks the commits of one namespace as they are taken, in memory bounded by what is live.

    Of an exported file ``only`` its execution is audited: the rest of its pool's log is not there.
    """

    def __init__(self, only: str = "") -> None:
        self._book = Book(only=only)
        self._begun: dict[LogName, int] = {}

    def begin(self, log: LogName, position: int, state: PoolRecord | RosterRecord) -> None:
        """Let a log begin with a state behind a position; what was before was pruned, and is not checked."""
        self._begun[log] = position
        match state:
            case PoolRecord():
                begin_pool(self._book, state)
            case RosterRecord():
                if log.key.startswith(SCHEDULERS):
                    self._book.opened.update(state.live)

    def take(self, log: LogName, position: int, commit: Commit[Event]) -> list[Violation]:
        """Take the next commit of the stream, and return what is wrong with it and its events."""
        if log.kind not in AUDITED or position <= self._begun.get(log, -1):
            return []
        book = self._book
        book.counts["commits"] += 1
        tick(book, log, commit.at)
        found: list[Violation] = []
        name = str(log)
        for version, _cause, event in commit.events():
            book.counts["events"] += 1
            where = Where(name, version, position, commit.at)
            found += [violation(finding, where) for finding in self._event(log, event, where)]
        if log.kind == POOL:
            expire(book, Where(name, commit.version, position, commit.at))
        if not book.only and book.counts["commits"] % LOOK_EVERY == 0:
            found += [violation(finding, where) for finding, where in overdue(book)]
        return found

    def finish(self, *, is_at_rest: bool = False) -> list[Violation]:
        """Return what was never given back, if all that was ever begun is over."""
        if not is_at_rest:
            return []
        return [violation(finding, where) for finding, where in remaining(self._book)]

    @property
    def summary(self) -> Summary:
        """Return what was looked at so far."""
        counts = self._book.counts
        return Summary(
            counts["commits"],
            counts["events"],
            counts["executions"],
            counts["attempts"],
            counts["allocations"],
            counts["hand_ons"],
            counts["reservations"],
            counts["imported"],
            len(self._book.loose),
            self._book.live,
        )

    def _event(self, log: LogName, event: Event, where: Where) -> Iterator[Finding]:
        match log.kind:
            case "pool":
                yield from self._of_pool(log.key, event, where)
            case "execution":
                yield from self._of_execution(log, event, where)
            case _:
                self._of_roster(log.key, event)

    def _of_pool(self, name: str, event: Any, where: Where) -> Iterator[Finding]:
        pool = self._book.pools.setdefault(name, Pool())
        if pool.version + 1 != where.version and not self._book.only:
            yield _gap(pool.version, where.version)
        pool.version = where.version
        yield from pools.take(self._book, name, event, where)

    def _of_execution(self, log: LogName, event: Any, where: Where) -> Iterator[Finding]:
        book = self._book
        execution = book.executions.get(log.key)
        if isinstance(event, ExecutionArchived):
            # What is brought back from an archive later holds nothing of a pool here.
            book.opened.discard(log.key)
        if execution is None:
            if where.version != 1 and not executions.may_begin(event):
                return
            is_native = bool(book.only) or log.key in book.opened
            execution = Execution(log.shard, where.version - 1, where.version == 1, is_native)
            book.executions[log.key] = execution
            book.counts["executions"] += execution.is_whole
        if execution.version + 1 != where.version:
            yield _gap(execution.version, where.version)
        execution.version = where.version
        yield from executions.take(book, log.key, execution, event, where)
        if executions.is_over(execution):
            del book.executions[log.key]

    def _of_roster(self, key: str, event: Any) -> None:
        """Learn which executions run here: an owner records that before it asks for anything."""
        if not key.startswith(SCHEDULERS):
            return
        match event:
            case LogsOpened():
                self._book.opened.update(event.keys)
                for name in event.keys:
                    if (execution := self._book.executions.get(name)) is not None:
                        execution.is_native = True
            case LogsClosed():
                self._book.opened.difference_update(event.keys)
            case _:
                pass


def _gap(before: int, version: int) -> Finding:
    return Kind.MISSING_EVENTS, f"Event {version} follows event {before}."
