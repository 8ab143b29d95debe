"""What the auditor knows: everything that is live, and nothing else."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field

from talka_core.auditing.amounts import Offer, Share, Thousandths
from talka_core.auditing.violations import Kind, Where


class Allocation(Struct):
    """One live allocation as its pool recorded it, and what it counts for in which accounts.

    ``fence`` is the newest that the pool knows, ``last`` the end of the block that the grant reserved,
    and ``position`` the grant's.
    """

    pool: str
    execution_id: str
    client_id: str
    worker: tuple[str, int]
    claim: Thousandths
    share: Share
    fence: int
    last: int
    hands_until: int
    position: int
    is_revoked: bool = False
    counted: Thousandths = field(default_factory=Thousandths)
    accounts: list[str] = field(default_factory=list[str])


class HeldBack(Struct, frozen=True):
    """What comes back of a whole pool not before ``after_ms`` have passed since ``at``.

    What a ``worker`` used comes back sooner where its end is known; a client or a rate has none.
    """

    amounts: Thousandths
    at: int
    after_ms: int
    worker: str = ""


class Reservation(Struct, frozen=True):
    """Amounts kept on a worker for a client."""

    worker: tuple[str, int]
    claim: Thousandths
    share: Share
    expires_at: int


class Booking(Struct, frozen=True):
    """Amounts that a worker is to keep between two instants (milliseconds)."""

    worker_id: str
    amounts: Thousandths
    starts_at: int
    expires_at: int


class Pool(Struct):
    """One pool; offers are by worker and incarnation, reserved fences go up to ``fence``.

    ``ending`` is the booking that the event at hand ends, and ``used_up`` the
    reservation that ended last because it was used.
    """

    version: int = 0
    offers: dict[tuple[str, int], Offer] = field(default_factory=dict[tuple[str, int], Offer])
    declared: dict[str, float] = field(default_factory=dict[str, float])
    shared: Counter[str] = field(default_factory=Counter[str])
    held_back: dict[tuple[int, bool], HeldBack] = field(default_factory=dict[tuple[int, bool], HeldBack])
    reservations: dict[str, Reservation] = field(default_factory=dict[str, Reservation])
    waiting: set[str] = field(default_factory=set[str])
    fence: int = 0
    bookings: dict[str, Booking] = field(default_factory=dict[str, Booking])
    ending: str = ""
    used_up: str = ""
    quotas: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    used: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])

    def incarnation(self, worker_id: str) -> int:
        """Return the worker's live incarnation, or 0."""
        return next((number for name, number in self.offers if name == worker_id), 0)


Moment = tuple[int, int, int]
"""Position, version and time of an event of the execution."""


class Held(Struct):
    """What an execution holds: for whom, under which fence; kept ones wait for an heir.

    ``is_running`` says that an attempt runs on it.
    """

    task_id: str
    attempt: int
    fence: int
    is_running: bool = False
    is_kept: bool = False
    is_withdrawn: bool = False


class Execution(Struct):
    """One execution that is not over; ``is_whole`` if it was followed from its first event.

    ``is_native`` says that it ran here. One that was imported holds nothing of a pool here.
    """

    shard: str
    version: int = 0
    is_whole: bool = False
    is_native: bool = False
    is_ended: bool = False
    wanted: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    returning: dict[str, Moment] = field(default_factory=dict[str, Moment])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    fences: dict[str, int] = field(default_factory=dict[str, int])
    running: dict[str, str] = field(default_factory=dict[str, str])


class Clock(Struct):
    """Time in which an owner was there to do something: the gaps between its commits, long ones cut short."""

    ms: int = 0
    at: int = 0

    def advance(self, at: int, most_ms: int) -> None:
        """Count the time since the last commit."""
        if self.at:
            self.ms += max(0, min(at - self.at, most_ms))
        self.at = max(self.at, at)


class Loose(Struct, frozen=True):
    """Something that somebody has yet to give back: where it came loose, and what the clocks said then.

    ``shard`` is None where only the pool has to do something.
    """

    sentence: str
    where: Where
    pool: str
    shard: str | None
    pool_ms: int
    shard_ms: int


class Book(Struct):
    """Everything live in one namespace; of an exported file only what belongs to ``only``."""

    only: str = ""
    pools: dict[str, Pool] = field(default_factory=dict[str, Pool])
    executions: dict[str, Execution] = field(default_factory=dict[str, Execution])
    allocations: dict[str, Allocation] = field(default_factory=dict[str, Allocation])
    opened: set[str] = field(default_factory=set[str])
    loose: dict[tuple[Kind, str], Loose] = field(default_factory=dict[tuple[Kind, str], Loose])
    pool_clocks: dict[str, Clock] = field(default_factory=dict[str, Clock])
    shard_clocks: dict[str, Clock] = field(default_factory=dict[str, Clock])
    counts: Counter[str] = field(default_factory=Counter[str])

    @property
    def live(self) -> int:
        """Return how much is known: executions that are not over, allocations and reservations."""
        reservations = sum(len(pool.reservations) for pool in self.pools.values())
        return len(self.executions) + len(self.allocations) + reservations

    def concerns(self, allocation_id: str) -> bool:
        """Tell whether an allocation is looked at: in an exported file only the execution's own are whole."""
        return not self.only or allocation_id.startswith(f"{self.only}/")
