"""Reads the log and keeps the read model: many commits a transaction, each exactly once.

The projection is one of ``eventsourcing``: what some notifications change is
processed together with the tracking of the last of them. Only the states of
executions stay in memory between transactions; whatever is lost with the
process is folded again from the log when the next commit of its execution comes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection
from msgspec import Struct

from talka_core.history import FOLDS, apply
from talka_core.readmodel import Changes, anchor_of, fold_execution, fold_pool, rows_of, unreadable
from talka_core.scheduler import ExecutionRecord
from talka_protocols.errors import BrokenHistoryError, CallerError, PlatformError
from talka_protocols.ports import Blobs, Log, Snapshots, StoredCommit
from talka_protocols.subjects import EXECUTION, PLAN, POOL, LogName
from talka_services.projection.shortening import Shortening
from talka_services.projection.source import Source
from talka_services.projection.views import AGAIN_HINT, DATABASE_ERRORS, MovedError, Standing, View
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import archived_in, decoded
from talka_services.telemetry import get_logger

COMMITS_MAX = 2_000
"""How many commits one transaction takes at most."""
GATHER_S = 0.1
"""How long a projector that has caught up lets commits gather."""
KEPT = 50_000
"""How many executions and tasks of these there may be in memory in all."""
AGAIN_S = 1.0

log = get_logger(__name__)


class Page(Struct, frozen=True):
    """Consecutive notifications, folded: what they change, and where the model stood before them."""

    changes: Changes
    before: Standing


class _Kept(Struct, frozen=True):
    """An execution in memory, and how much it counts: it and its tasks."""

    state: ExecutionRecord
    size: int


class ReadModel(Projection[Any]):
    """The projection: processes pages of notifications into its view."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.standing: Standing | None = None

    # The library dispatches by the type of the event, and pages are the only one.
    def process_event(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, domain_event: Any, tracking: Tracking
    ) -> None:
        """Write a page together with the tracking of its last notification."""
        page: Page = domain_event
        self.standing = self.view.record(page.changes, page.before, tracking.notification_id)


class Projector:
    """Keeps one view up to date with one source.

    ``log`` and ``blobs`` are where an execution is read from the beginning when
    its state is not in memory, and definitions that are stored apart. ``snapshots``
    say what has left the log since, of which nothing is kept here either.
    """

    def __init__(
        self, view: View, source: Source, log: Log, blobs: Blobs, snapshots: Snapshots | None = None
    ) -> None:
        self._projection = ReadModel(view)
        self._view = view
        self._source = source
        self._log = log
        self._definitions = Definitions(blobs)
        self._shortening = Shortening(view, log, snapshots, self._definitions) if snapshots else None
        self._states: OrderedDict[str, _Kept] = OrderedDict()
        self._kept = 0
        self._broken: set[str] = set()

    @property
    def held(self) -> tuple[str, ...]:
        """The executions whose states are in memory."""
        return tuple(self._states)

    async def run(self) -> None:
        """Follow the log for ever, through every outage of the server and of the database."""
        while True:
            try:
                await self._follow(None)
            except (PlatformError, *DATABASE_ERRORS) as error:
                log.warning("projector.interrupted", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    async def catch_up(self, on_progress: Callable[[int, int], None] | None = None) -> Standing:
        """Return when the model has all that the log holds now.

        Raises:
            CallerError: the model is of another log or version.
            PlatformError: the server refused to be read.
            PersistenceError: the database failed.
        """
        end = await self._source.end()
        standing = await self._look()
        check_behind(self._view.place, standing, end)
        if standing.position < end:
            standing = await self._follow(end, on_progress)
        return standing

    async def _look(self) -> Standing:
        """Forget what is in memory, which may be ahead of the model, and see where it stands."""
        self._states.clear()
        self._broken.clear()
        self._kept = 0
        return await asyncio.to_thread(self._view.standing, await self._source.identity())

    async def _follow(
        self, end: int | None, on_progress: Callable[[int, int], None] | None = None
    ) -> Standing:
        """Process what comes until ``end``; somebody else's work is taken over, not done again."""
        while True:
            standing = await self._look()
            try:
                async with aclosing(self._source.follow(standing.position)) as pages:
                    async for arrived in pages:
                        for first in range(0, len(arrived), COMMITS_MAX):
                            standing = await self._process(standing, arrived[first : first + COMMITS_MAX])
                            if on_progress is not None:
                                on_progress(standing.position, end or standing.position)
                        if end is not None and standing.position >= end:
                            return standing
                        if end is None:
                            await asyncio.sleep(GATHER_S)
            except MovedError:
                log.info("projector.moved", place=self._view.place)
            if end is not None and (standing := await self._look()).position >= end:
                return standing

    async def _process(self, standing: Standing, commits: Sequence[StoredCommit]) -> Standing:
        changes = await self.fold(commits)
        if self._shortening is not None and self._shortening.is_due(standing.position, commits[-1].position):
            await self._shortening.note(changes)
        page = Page(changes, standing)
        tracking = Tracking(standing.source, commits[-1].position)
        await asyncio.to_thread(self._projection.process_event, page, tracking)
        assert self._projection.standing is not None, "a page that was processed leaves the model standing"
        return self._projection.standing

    async def fold(self, commits: Sequence[StoredCommit]) -> Changes:
        """Return what commits change, in the order of the log."""
        changes = Changes()
        for stored in commits:
            if (anchor := anchor_of(stored)) is not None:
                changes.put(anchor)
            if stored.log.kind == EXECUTION:
                await self._fold_execution(stored, changes)
            elif stored.log.kind == POOL:
                try:
                    fold_pool(stored.log.key, cast("Any", await decoded(stored, self._definitions)), changes)
                except BrokenHistoryError as error:
                    log.error("projector.unreadable", log=str(stored.log), error=str(error))
        for execution_id in list(changes.executions):
            rows_of(self._states[execution_id].state, changes)
        for execution_id in changes.archived:
            self._drop(execution_id)
        while self._kept > KEPT and len(self._states) > 1:
            self._drop(next(iter(self._states)))
        return changes

    async def _fold_execution(self, stored: StoredCommit, changes: Changes) -> None:
        """Fold a commit; an execution that cannot be folded is set aside alone."""
        execution_id = stored.log.key
        try:
            is_archived = archived_in(stored) is not None
            if is_archived and anchor_of(stored) is not None:
                changes.unanchor(str(stored.log), stored.position)
                changes.unanchor(f"{PLAN}.{execution_id}", stored.position)
            if execution_id in self._broken and not is_archived:
                return
            kept = self._states.get(execution_id)
            if kept is not None:
                state = kept.state
            else:
                # Whatever is before that fact may be gone already, in parts or wholly.
                before_it = 0 if is_archived else stored.position
                state = await self._restore(stored.log, before_it)
            self._broken.discard(execution_id)
            commit: Any = await decoded(stored, self._definitions)
            fold_execution(state, commit, stored.position, changes)
        except BrokenHistoryError as error:
            log.error("projector.unreadable", log=str(stored.log), error=str(error))
            self._broken.add(execution_id)
            self._drop(execution_id)
            unreadable(execution_id, str(error), changes)
            return
        self._keep(execution_id, state)

    async def _restore(self, name: LogName, before: int) -> ExecutionRecord:
        """Fold what lies before a position of an execution's log."""
        fold = FOLDS[EXECUTION]
        state: ExecutionRecord = fold.initial(name.key)
        earlier = [stored for stored in await self._log.read(name) if stored.position < before]
        apply(fold, state, [await decoded(stored, self._definitions) for stored in earlier])
        return state

    def _keep(self, execution_id: str, state: ExecutionRecord) -> None:
        self._drop(execution_id)
        self._states[execution_id] = kept = _Kept(state, 1 + len(state.tasks))
        self._kept += kept.size

    def _drop(self, execution_id: str) -> None:
        """Keep an execution's state in memory no more; it is folded again if there is more of it."""
        kept = self._states.pop(execution_id, None)
        if kept is not None:
            self._kept -= kept.size


def check_behind(place: str, standing: Standing, end: int) -> None:
    """Refuse a model that knows more than the log: the log was brought back from an older copy.

    Raises:
        CallerError: it does.
    """
    if standing.position > end:
        raise CallerError(
            f"The read model {place} goes up to {standing.position}, and the log ends at {end}.",
            hint=f"The log is an older copy of what the model was made from. {AGAIN_HINT}",
        )
