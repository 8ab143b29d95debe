"""The states an actor keeps, each folded from its log and advanced by commits.

A ``VolatileJournal`` keeps states that live and die with the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from talka_core.behaviour import Effect
from talka_core.history import FOLDS, Fold, advance, packed, unpacked
from talka_protocols.commit import Commit, Decision, commit_id, decode_commit, encode_commit
from talka_protocols.errors import BrokenHistoryError, PlatformError
from talka_protocols.events import Event, ExecutionArchived
from talka_protocols.ports import Log, Snapshot, Snapshots, StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.loop import TimeSlice
from talka_services.runner.bases import PRUNED, Base, base_of
from talka_services.runner.definitions import WITH_DEFINITION, Definitions, stored_form
from talka_services.runner.ports import Ports
from talka_services.telemetry import get_logger

logger = get_logger(__name__)

_ARCHIVED = f'"{ExecutionArchived.__name__}"'.encode()


class Entry:
    """One state, where its log stands, and what the current batch adds to it provisionally."""

    __slots__ = (
        "at",
        "decisions",
        "effects",
        "is_new",
        "label",
        "last_at",
        "name",
        "position",
        "snapshot_version",
        "state",
    )

    def __init__(self, name: LogName, state: Any) -> None:
        self.name = name
        self.label = str(name)
        self.state = state
        self.position = 0
        self.last_at = 0
        self.at = 0
        self.snapshot_version = 0
        self.is_new = True
        self.decisions: list[Decision[Any]] = []
        self.effects: list[tuple[str, Effect]] = []

    def begin(self, now_ms: int) -> int:
        """Return the time of the batch for this log, which never goes back."""
        self.at = max(self.last_at, now_ms)
        return self.at

    def take_effects(self) -> list[tuple[str, Effect]]:
        """Return what is to be performed, and forget it."""
        effects, self.effects = self.effects, []
        return effects


class Journal(Protocol):
    """Loads entries and makes what was decided on them lasting."""

    is_volatile: bool

    async def load(self, key: str) -> Entry:
        """Fold a log into a fresh entry."""
        ...

    async def commit(self, entry: Entry, epoch: int) -> None:
        """Append the entry's decisions; on return they are lasting."""
        ...


class VolatileJournal:
    """States that are never stored."""

    is_volatile = True

    def __init__(self, kind: str, entry_state: Any) -> None:
        self._kind = kind
        self._state = entry_state

    async def load(self, key: str) -> Entry:
        """Return the one state that there is."""
        return Entry(LogName(self._kind, "-", key), self._state)

    async def commit(self, entry: Entry, epoch: int) -> None:  # noqa: ARG002
        """Keep what was decided for as long as the process lives."""
        entry.decisions = []


class StoredJournal:
    """States of one kind and shard, kept in the ``Log`` port."""

    is_volatile = False

    def __init__(self, kind: str, shard: str, ports: Ports, definitions: Definitions) -> None:
        self._kind = kind
        self._shard = shard
        self._ports = ports
        self._definitions = definitions
        self._fold = FOLDS[kind]
        self._saving: set[asyncio.Task[None]] = set()

    async def load(self, key: str) -> Entry:
        """Read snapshot and tail, and fold them.

        Raises:
            BrokenHistoryError: the log cannot be folded; it alone is to be set aside.
        """
        name = LogName(self._kind, self._shard, key)
        return await newest(name, self._ports.log, self._ports.snapshots, self._definitions)

    async def commit(self, entry: Entry, epoch: int) -> None:
        """Append the entry's decisions as one commit, or as several when they are too large for one.

        Raises:
            ConflictError: somebody else wrote to the log; the entry is worthless now.
        """
        version = entry.state.version - sum(len(decision.events) for decision in entry.decisions) + 1
        for body, count in self._bodies(entry.decisions, version, entry.at, epoch):
            identity = commit_id(entry.name, version, epoch, body)
            entry.position = await self._ports.log.append(entry.name, entry.position, body, identity)
            version += count
        entry.decisions, entry.last_at, entry.is_new = [], entry.at, False
        if entry.state.version - entry.snapshot_version >= self._ports.snapshot_every:
            self._snapshot(entry)

    def _bodies(
        self, decisions: list[Decision[Any]], version: int, at: int, epoch: int
    ) -> list[tuple[bytes, int]]:
        body = encode_commit(Commit(version, at, epoch, tuple(map(_stored, decisions))))
        count = sum(len(decision.events) for decision in decisions)
        if len(body) <= self._ports.max_bytes or count == 1:
            return [(body, count)]
        first, second = _halves(decisions)
        bodies = self._bodies(first, version, at, epoch)
        return bodies + self._bodies(second, version + sum(n for _, n in bodies), at, epoch)

    def _snapshot(self, entry: Entry) -> None:
        body = packed(self._fold, entry.state)
        snapshot = Snapshot(entry.position, entry.state.version, body, entry.last_at)
        entry.snapshot_version = entry.state.version
        task = asyncio.create_task(self._save(entry.name, snapshot))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _save(self, name: LogName, snapshot: Snapshot) -> None:
        try:
            await self._ports.snapshots.save(name, snapshot)
        except PlatformError as error:
            logger.warning("snapshot.not_saved", log=str(name), error=str(error))


def _stored(decision: Decision[Any]) -> Decision[Any]:
    if not WITH_DEFINITION.isdisjoint(map(type, decision.events)):
        return Decision(decision.cause, tuple(map(stored_form, decision.events)), decision.asked_by)
    return decision


def _halves(decisions: list[Decision[Any]]) -> tuple[list[Decision[Any]], list[Decision[Any]]]:
    if len(decisions) > 1:
        middle = len(decisions) // 2
        return decisions[:middle], decisions[middle:]
    only = decisions[0]
    middle = len(only.events) // 2
    parts = only.events[:middle], only.events[middle:]
    first, second = (Decision(only.cause, part, only.asked_by) for part in parts)
    return [first], [second]


async def newest(name: LogName, log: Log, snapshots: Snapshots | None, definitions: Definitions) -> Entry:
    """Fold a log from its newest snapshot on, or from the base that it begins with.

    Raises:
        BrokenHistoryError: it cannot be folded.
    """
    before = -1
    while True:
        base = await base_of(name, snapshots)
        try:
            return await _folded(name, base, log, snapshots, definitions)
        except BrokenHistoryError:
            # What is missing may have been pruned between two looks: then there is another base by now.
            if base.position == before or name.kind not in PRUNED:
                raise
            before = base.position


async def _folded(
    name: LogName, base: Base, log: Log, snapshots: Snapshots | None, definitions: Definitions
) -> Entry:
    fold = FOLDS[name.kind]
    entry = Entry(name, base.state)
    entry.position, entry.last_at, entry.snapshot_version = base.position, base.at, base.version
    if snapshots is not None:
        await _begin_with_snapshot(entry, fold, snapshots, definitions)
    stored = await log.read(name, entry.position)
    if name.kind == EXECUTION and entry.position == 0:
        stored = without_remains(stored)
    if stored:
        entry.last_at = await fold_in(fold, entry.state, stored, definitions)
        entry.position = stored[-1].position
    elif fold.is_spent is not None and entry.position and not await log.read(name, entry.position - 1):
        # The whole log was removed, and what it began with is still to be: it begins anew.
        return Entry(name, fold.initial(name.key))
    entry.is_new = entry.position == 0
    return entry


def without_remains(stored: Sequence[StoredCommit]) -> Sequence[StoredCommit]:
    """Return a log from the fact on that it is archived, if its beginning is missing.

    A loss of power may bring parts back of what had been removed.
    """
    if not stored or decode_commit(stored[0].log, stored[0].body).version == 1:
        return stored
    places = (place for place, commit in enumerate(stored) if archived_in(commit) is not None)
    return stored[next(places, 0) :]


def archived_in(stored: StoredCommit) -> ExecutionArchived | None:
    """Return the fact that an execution is archived, if a commit holds it."""
    if _ARCHIVED not in stored.body:
        return None
    events = decode_commit(stored.log, stored.body).events()
    return next((event for _, _, event in events if isinstance(event, ExecutionArchived)), None)


async def fold_in(fold: Fold, state: Any, commits: Iterable[StoredCommit], definitions: Definitions) -> int:
    """Fold stored commits into ``state`` while others have their turns; return the time of the last one.

    Raises:
        BrokenHistoryError: they cannot be folded.
    """
    slice_, last_at = TimeSlice(), 0
    for stored in commits:
        commit = await decoded(stored, definitions)
        for version, _cause, event in commit.events():
            advance(fold, state, version, event, commit.at)
            if slice_.is_over:
                await slice_.yield_turn()
        last_at = commit.at
    return last_at


async def _begin_with_snapshot(
    entry: Entry, fold: Fold, snapshots: Snapshots, definitions: Definitions
) -> None:
    """Start from the newest snapshot that can be read: losing one costs time, never facts."""
    try:
        snapshot = await snapshots.load(entry.name)
        if snapshot is None or snapshot.position < entry.position:
            return
        state = await _restored(fold, snapshot, definitions)
    except (BrokenHistoryError, ValueError, TypeError, LookupError, RecursionError) as error:
        logger.warning("snapshot.not_readable", log=str(entry.name), error=repr(error))
        return
    entry.state, entry.position, entry.last_at = state, snapshot.position, snapshot.at
    entry.snapshot_version = snapshot.version


async def _restored(fold: Fold, snapshot: Snapshot, definitions: Definitions) -> Any:
    state = unpacked(fold, snapshot.body)
    definition = getattr(state, "definition", None)
    if definition is not None and state.workflow is None:
        state.workflow = await definitions.load(definition)
    fold.restore(state)
    return state


async def decoded(stored: StoredCommit, definitions: Definitions) -> Commit[Event]:
    """Return one stored commit with its definitions in place.

    Raises:
        BrokenHistoryError: it cannot be read, or its definition is gone.
    """
    commit = decode_commit(stored.log, stored.body)
    if all(WITH_DEFINITION.isdisjoint(map(type, decision.events)) for decision in commit.decisions):
        return commit
    decisions = [await _completed(decision, definitions) for decision in commit.decisions]
    return replace(commit, decisions=tuple(decisions))


async def _completed(decision: Decision[Event], definitions: Definitions) -> Decision[Event]:
    events = [
        await definitions.complete(event) if type(event) in WITH_DEFINITION else event
        for event in decision.events
    ]
    return replace(decision, events=tuple(events))


__all__ = [
    "BrokenHistoryError",
    "Entry",
    "Journal",
    "StoredJournal",
    "VolatileJournal",
    "decoded",
    "fold_in",
    "newest",
]
