"""The log of alerts as a book that is brought up to date, and written to by whoever has something to add.

An append carries the position that was seen, so of two writers one is refused,
reads what the other wrote, and decides anew: nothing is raised or acknowledged twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing

from talka_core.alerting import AlertBook, evolve
from talka_protocols.alerts import Alert
from talka_protocols.commit import Commit, Decision, commit_id, decode_commit, encode_commit
from talka_protocols.errors import BrokenHistoryError, ConflictError
from talka_protocols.events import AlertEvent
from talka_protocols.ports import Log, Snapshots, StoredCommit
from talka_protocols.subjects import ALERTS
from talka_services.runner.bases import Base, base_of

EVENTS_MAX = 100
"""How many events one commit holds at most; each stands alone."""

Deciding = Callable[[AlertBook], Iterable[AlertEvent]]


class AlertLog:
    """The alerts of one namespace; ``snapshots`` have what the log begins with once it was pruned."""

    def __init__(self, log: Log, snapshots: Snapshots) -> None:
        self.book = AlertBook()
        self._log = log
        self._snapshots = snapshots
        self._position = 0
        self._at = 0
        self._writing = asyncio.Lock()

    async def refresh(self) -> AlertBook:
        """Return the book with all that is recorded now.

        Raises:
            PlatformError: the server does not answer.
            BrokenHistoryError: a commit cannot be read.
        """
        async with self._writing:
            await self._read()
        return self.book

    async def append(self, deciding: Deciding, cause: str, epoch: int = 0, *, asked_by: str = "") -> int:
        """Record what is decided from the newest book, and return how many events that were.

        Raises:
            PlatformError: the server does not answer.
            TalkaError: what ``deciding`` raises.
        """
        async with self._writing:
            while True:
                events = tuple(deciding(self.book))
                try:
                    for first in range(0, len(events), EVENTS_MAX):
                        decision = Decision(cause, events[first : first + EVENTS_MAX], asked_by)
                        await self._append(decision, epoch)
                except ConflictError:
                    await self._read()
                else:
                    return len(events)

    async def changes(self, after: int = 0) -> AsyncGenerator[tuple[int, str, Alert]]:
        """Yield (version, type of event, alert as it was then) of all that is recorded behind a version.

        What became of webhooks is no change of an alert. What was pruned is not among them.

        Raises:
            PlatformError: the server does not answer any more.
            BrokenHistoryError: a commit cannot be read, or some are missing.
        """
        book, position = AlertBook(), 0
        while True:
            async with aclosing(self._log.follow(ALERTS, position)) as commits:
                async for stored in commits:
                    commit = _decoded(stored)
                    if commit.version > book.version + 1:
                        base = await self._base_behind(position)
                        book, position = base.state, base.position
                        break
                    for change in _changes(book, commit):
                        if change[0] > after:
                            yield change
                    position = stored.position

    async def _append(self, decision: Decision[AlertEvent], epoch: int) -> None:
        at = max(self._at, time.time_ns() // 1_000_000)
        version = self.book.version + 1
        body = encode_commit(Commit(version, at, epoch, (decision,)))
        name = commit_id(ALERTS, version, epoch, body)
        self._position = await self._log.append(ALERTS, self._position, body, name)
        self._fold(decision.events, at)

    async def _read(self) -> None:
        while True:
            stored = await self._log.read(ALERTS, self._position)
            commits = [(item.position, _decoded(item)) for item in stored]
            if not commits or commits[0][1].version <= self.book.version + 1:
                break
            base = await self._base_behind(self._position)
            self.book, self._position, self._at = base.state, base.position, base.at
        for position, commit in commits:
            self._fold((event for _, _, event in commit.events()), commit.at)
            self._position = position

    async def _base_behind(self, position: int) -> Base:
        """Return what the log begins with now that commits behind a position were pruned.

        Raises:
            BrokenHistoryError: they are missing for another reason.
        """
        base = await base_of(ALERTS, self._snapshots)
        if base.position <= position:
            raise BrokenHistoryError(f"Commits of log {ALERTS} are missing behind position {position}.")
        return base

    def _fold(self, events: Iterable[AlertEvent], at: int) -> None:
        for event in events:
            evolve(self.book, event, at)
        self._at = at


def _changes(book: AlertBook, commit: Commit[AlertEvent]) -> Iterator[tuple[int, str, Alert]]:
    """Fold a commit into a book, and yield what it has changed."""
    for version, _cause, event in commit.events():
        evolve(book, event, commit.at)
        number = getattr(event, "number", version if hasattr(event, "condition") else 0)
        if number in book.alerts:
            yield version, type(event).__name__, book.alerts[number]


def _decoded(stored: StoredCommit) -> Commit[AlertEvent]:
    commit: Commit[AlertEvent] = decode_commit(stored.log, stored.body)  # type: ignore[assignment]
    return commit
