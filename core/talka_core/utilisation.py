"""How much of a pool was held over time, folded from its log: per worker, and of what it has as a whole.

Time is cut into equal slices, and each figure is the exact average over its slice,
so that nothing short is lost however long the whole is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import islice

from msgspec import Struct, field

from talka_core.resource import PoolRecord
from talka_core.resource.evolve import evolve
from talka_core.resource.state import initial, slot_of, thousandths
from talka_protocols import events as e
from talka_protocols.events import PoolEvent

MARK_EVERY = 4_096
"""After how many changes it is written down how all stand, so that nobody has to begin at the first."""
SHARED, ALL = "", "*"
"""Stand for what the pool has as a whole, and for all together, beside the ids of workers."""


class Series(Struct, frozen=True):
    """One resource over the slices: what there was, and what of it was held, on average.

    ``most_capacity`` and ``most_held`` are the most that there was and that was held at any time.
    """

    capacity: tuple[float, ...]
    held: tuple[float, ...]
    most_capacity: float
    most_held: float


class Utilisation(Struct, frozen=True):
    """A pool over equal slices of ``slice_ms`` from ``since`` on (Unix milliseconds), by resource.

    ``pool`` is all workers together with what is pool-wide; ``workers`` are those
    that were there at some time of it. Slots of single agent types are left out.
    """

    since: int
    slice_ms: float
    pool: dict[str, Series]
    workers: dict[str, dict[str, Series]]


class _Level(Struct):
    """One resource of one worker: how much there is since when, and its integral over each slice."""

    slices: int
    capacity: int = 0
    held: int = 0
    most_capacity: int = 0
    most_held: int = 0
    since: float = 0.0
    capacities: list[float] = field(default_factory=list[float])
    helds: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        self.capacities = [0.0] * self.slices
        self.helds = [0.0] * self.slices


class Holdings:
    """What a pool had and what of it was held, at each change of its log, to be summed up over any time."""

    def __init__(self) -> None:
        self._state = initial("")
        self._changes: list[tuple[int, str, dict[str, tuple[int, int]]]] = []
        self._standing: dict[str, dict[str, tuple[int, int]]] = {}
        self._marks: list[tuple[int, int, dict[str, dict[str, tuple[int, int]]]]] = [(0, 0, {})]

    def take(self, at: int, event: PoolEvent) -> None:
        """Remember one event of the pool's log and its instant (Unix milliseconds); they come in order."""
        touched = _touched(self._state, event)
        evolve(self._state, event, at)
        for worker_id in touched:
            self._see(at, worker_id, _of_worker(self._state, worker_id))
        self._see(at, SHARED, _of_pool(self._state))

    def between(self, since: int, until: int, slices: int) -> Utilisation:
        """Return what was there and held between two instants; see ``utilisation``."""
        clock = _Clock(since, until, slices)
        mark = max(0, bisect_right(self._marks, since, key=lambda each: each[0]) - 1)
        _at, begin, standing = self._marks[mark]
        for owner, found in standing.items():
            clock.see(owner, found, since)
        for at, owner, found in islice(self._changes, begin, None):
            if at >= until:
                break
            clock.see(owner, found, at)
        return clock.read()

    def _see(self, at: int, owner: str, found: dict[str, tuple[int, int]]) -> None:
        if self._standing.get(owner, {}) == found:
            return
        if len(self._changes) - self._marks[-1][1] >= MARK_EVERY and at > self._changes[-1][0]:
            self._marks.append((at, len(self._changes), dict(self._standing)))
        self._changes.append((at, owner, found))
        self._standing[owner] = found


def utilisation(history: Iterable[tuple[int, PoolEvent]], since: int, until: int, slices: int) -> Utilisation:
    """Return what was there and held between two instants (Unix milliseconds), ``since`` being earlier.

    Args:
        history: All events of the pool's log with their instants.
        since: Where the first slice begins.
        until: Where the last slice ends.
        slices: How many there are.
    """
    holdings = Holdings()
    for at, event in history:
        holdings.take(at, event)
    return holdings.between(since, until, slices)


class _Clock:
    """Sums up levels as they change; times are in slices from the first one on."""

    def __init__(self, since: int, until: int, slices: int) -> None:
        self._since, self._slices = since, slices
        self._slice_ms = (until - since) / slices
        self._levels: dict[str, dict[str, _Level]] = {}

    def see(self, owner: str, found: Mapping[str, tuple[int, int]], at: int) -> None:
        """Remember what an owner has and what of it is held, from an instant on."""
        time = max(0.0, (at - self._since) / self._slice_ms)
        before = self._levels.get(owner, {})
        for name in {**before, **found}:
            capacity, held = found.get(name, (0, 0))
            level = self._level(owner, name)
            more, taken = capacity - level.capacity, held - level.held
            if more or taken:
                for each in (level, self._level(ALL, name)):
                    _pass(each, time)
                    each.capacity += more
                    each.held += taken

    def read(self) -> Utilisation:
        """Return the averages up to the end of the last slice."""
        found: dict[str, dict[str, Series]] = {}
        for owner, levels in sorted(self._levels.items()):
            for name, level in sorted(levels.items()):
                _pass(level, float(self._slices))
                if level.most_capacity:
                    found.setdefault(owner, {})[name] = _series(level)
        found.pop(SHARED, None)
        whole = found.pop(ALL, {})
        return Utilisation(self._since, self._slice_ms, whole, found)

    def _level(self, owner: str, name: str) -> _Level:
        levels = self._levels.setdefault(owner, {})
        if name not in levels:
            levels[name] = _Level(self._slices)
        return levels[name]


def _pass(level: _Level, time: float) -> None:
    """Let time pass for a level, up to an instant in slices."""
    here = level.since
    if here < time:
        level.most_capacity = max(level.most_capacity, level.capacity)
        level.most_held = max(level.most_held, level.held)
    while here < time:
        index = int(here)
        end = min(time, index + 1.0)
        level.capacities[index] += level.capacity * (end - here)
        level.helds[index] += level.held * (end - here)
        here = end
    level.since = max(level.since, time)


def _series(level: _Level) -> Series:
    return Series(
        tuple(round(amount / 1000, 6) for amount in level.capacities),
        tuple(round(amount / 1000, 6) for amount in level.helds),
        level.most_capacity / 1000,
        level.most_held / 1000,
    )


def _touched(state: PoolRecord, event: PoolEvent) -> set[str]:
    """Return the workers whose amounts an event may change, asked before it is remembered."""
    match event:
        case e.GangGranted():
            return {grant.worker_id for grant in event.grants}
        case e.AllocationFreed():
            grant = state.grants.get(event.allocation_id)
            return {grant.worker_id} if grant else set()
        case e.ReservationEnded():
            reservation = state.reservations.get(event.reservation_id)
            return {reservation.worker_id} if reservation else set()
        case e.AllocationGranted() | e.ReservationMade() | e.WorkerJoined() | e.WorkerLost():
            return {event.worker_id}
        case _:
            return set()


def _of_worker(state: PoolRecord, worker_id: str) -> dict[str, tuple[int, int]]:
    entry = state.workers.get(worker_id)
    if entry is None:
        return {}
    of_one_type = slot_of("")
    return {
        name: (amount, amount - entry.free.get(name, 0))
        for name, amount in entry.capacity.items()
        if not name.startswith(of_one_type)
    }


def _of_pool(state: PoolRecord) -> dict[str, tuple[int, int]]:
    return {
        name: (amount, state.shared_used.get(name, 0)) for name, amount in thousandths(state.shared).items()
    }
