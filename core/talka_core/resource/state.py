"""What the resource actor remembers of one pool.

Amounts are kept in whole thousandths, so that adding and subtracting them for
years leaves nothing behind. Invariants, checked by the property tests:
R1 per worker and resource: free + allocated + reserved = capacity, free >= 0;
R2 fences only grow, and every hand-on uses a fence of its allocation's block;
R3 every live allocation is on a worker of the inventory, or is revoked;
R4 pool-wide amounts: allocated + reserved + held back = used <= the pool's own;
R5 of an agent type whose circuit breaker is not closed nothing may be handed on,
   and no more probes are granted than are still wanted.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Any, Literal

from msgspec import Struct

from talka_protocols.events import ANYWHERE, ORDINARY, Affinity, AllocationQueued, Holder, Terms
from talka_protocols.policies import Breaker, ScalingPolicy
from talka_protocols.workflow import DEFAULT_TENANT

SLOTS = "slots"
GANG = "gang|"
"""Begins the shape of a gang's requests, so that all of them wait in one queue."""
HANDS = 64
"""How often one grant may be handed on before the pool is asked again."""
HANDS_MS = 30_000
"""How long a grant may be handed on: the longest that a better rank waits when a withdrawal gets lost."""
SILENCE_MS = 2_200
"""How long a worker may be silent: what it held is free 3 s after its death, a slow moment included."""
LEASE_MS = 3_000
"""How long a client may be silent, and a worker unheard before it stops what holds pool-wide amounts."""
HELD_BACK_MS = 2 * LEASE_MS - SILENCE_MS
"""How long pool-wide amounts are held back then, so that an attempt has one lease to end in."""
LOST_KEPT = 1_000
"""How many lost incarnations are remembered, so that they are told to rejoin."""

Amounts = dict[str, int]
Phase = Literal["closed", "open", "half_open"]


def thousandths(amounts: dict[str, float]) -> Amounts:
    """Return amounts in whole thousandths, rounded up so that less is never held than asked.

    The noise of binary fractions is taken off first: 1.1 is 1100, not 1101.
    """
    return {name: _thousandths(amount) for name, amount in amounts.items()}


def _thousandths(amount: float) -> int:
    nearest = round(amount * 1000)
    return nearest if nearest / 1000 == amount else ceil(amount * 1000)


def plain(amounts: Amounts) -> dict[str, float]:
    """Return thousandths as plain amounts."""
    return {name: amount / 1000 for name, amount in amounts.items()}


def slot_of(agent_type: str) -> str:
    """Name the slots that one agent type has on a worker, where it limits them."""
    return f"{SLOTS}:{agent_type}"


class WorkerEntry(Struct):
    """One live incarnation and what is free on it; ``slots`` count as a resource."""

    incarnation: int
    agent_types: tuple[str, ...]
    capacity: Amounts
    free: Amounts
    is_draining: bool = False
    labels: dict[str, str] = {}
    is_elastic: bool = False


class Grant(Struct, gc=False):
    """One live allocation; a revoked one waits only for its holder to let go.

    ``shared`` is the part of ``amounts`` that is the pool's and not the worker's;
    ``ends_at`` is when it probably ends, 0 if nobody knows. ``rank`` is that of
    what may be preempted; it is to make way for ``preempted_by``, and ``preempted`` says why.
    """

    holder: Holder
    agent_type: str
    worker_id: str
    incarnation: int
    amounts: dict[str, float]
    fence: int
    hands: int = 0
    hands_until: int = 0
    granted_at: int = 0
    revoked: str = ""
    shared: Amounts = {}
    ends_at: int = 0
    terms: Terms = ORDINARY
    rank: tuple[float, ...] = ()
    preempted_by: str = ""
    preempted: str = ""

    @property
    def is_revoked(self) -> bool:
        """Tell whether the worker is gone; ``revoked`` says why."""
        return bool(self.revoked)


class Request(Struct, frozen=True, gc=False):
    """One request that waits; ``shape`` is what it has in common with those like it.

    ``cleared_on`` is the worker on which others make way for it.
    """

    holder: Holder
    agent_type: str
    amounts: dict[str, float]
    rank: tuple[float, ...]
    shape: str
    affinity: Affinity = ANYWHERE
    estimate_ms: int = 0
    queued_at: int = 0
    terms: Terms = ORDINARY
    cleared_on: str = ""


class Reservation(Struct):
    """Amounts kept on a worker for a client until ``expires_at`` (milliseconds)."""

    client_id: str
    worker_id: str
    amounts: dict[str, float]
    expires_at: int
    shared: Amounts = {}
    tenant: str = DEFAULT_TENANT


class Booking(Struct, frozen=True):
    """Amounts that will be kept on a worker between two instants (milliseconds)."""

    client_id: str
    worker_id: str
    amounts: dict[str, float]
    starts_at: int
    expires_at: int
    tenant: str = DEFAULT_TENANT


class Hold(Struct):
    """A worker held for somebody until it probably begins, 0 if nobody knows; ``spare`` is what it leaves."""

    worker_id: str
    until: int
    spare: Amounts


class HeldBack(Struct, frozen=True):
    """Pool-wide amounts of a lost allocation, which may still be in use until ``due_at`` (milliseconds).

    They were used by an incarnation of a worker; of nobody's if it is a client or a rate that holds them.
    """

    amounts: Amounts
    lease_ms: int
    due_at: int
    worker_id: str = ""
    incarnation: int = 0


class Circuit(Struct):
    """Where the circuit breaker of one agent type stands.

    While it is closed ``failures`` are the instants of the newest failures.
    While it is open nothing of the type is granted until ``due_at``, ``open_ms``
    after it opened because of so many ``counted``. While it is half open
    ``probes`` are the allocations that try it; ``successes`` of them have
    succeeded, and it ``has_failed`` if one failed.
    """

    phase: Phase = "closed"
    failures: list[int] = []
    counted: int = 0
    open_ms: int = 0
    due_at: int = 0
    probes: dict[str, None] = {}
    successes: int = 0
    has_failed: bool = False


class Scaling(Struct):
    """How many ``workers`` were decided on last, when, and by what the next decision goes.

    ``due_at`` is when it is looked at again, 0 if at no set time. Something has
    waited since ``waiting_since`` without a pause, and nothing at all was to do
    since ``idle_since``; 0 if that is not so. ``used`` is what is granted now and
    ``peak`` the most of each since ``measured_at``. ``took_ms`` is how long attempts
    took on average, the newest counting most, ``begun`` when those began that
    are under way, and ``shape`` what a new worker will offer, as far as can be known.
    """

    policy: ScalingPolicy
    workers: int = 0
    decided_at: int = 0
    due_at: int = 0
    waiting_since: int = 0
    idle_since: int = 0
    used: Amounts = {}
    peak: Amounts = {}
    measured_at: int = 0
    took_ms: float = 0.0
    begun: dict[str, int] = {}
    shape: WorkerEntry | None = None


Place = tuple[tuple[float, ...], int, str]
"""Rank, order of arrival, allocation id: how a shape's queue is sorted."""


class PoolRecord(Struct):
    """One pool's state; ``permits`` are the allocations that each execution may hand on.

    ``lost`` are the newest incarnations that were lost, and ``lost_since`` the
    versions at which they were, so that the longest lost is forgotten first.
    ``shared`` is what the pool has as a whole, ``shared_used`` what of it is
    not free, and ``held_back`` what of that was lost, by the fence it was lost at.
    ``breakers`` are the circuit breakers by agent type, and ``circuits`` where
    those stand that have counted anything. ``quotas`` and ``weights`` are those of
    tenants, and ``accounts`` what tenants and limited executions have; see ``accounts``.
    ``bookings`` are reservations that have not begun, ``reserving`` the requests
    that name a reservation and wait for it, and ``ended`` the newest that have
    ended, with the versions at which they did and why. ``urgent`` are the waiting
    requests of which a deadline is due, with the instants (milliseconds) at which it
    is threatened, and ``promoted`` those of which it is. ``strategy`` is that of
    workflows which name none.
    """

    pool: str
    version: int = 0
    workers: dict[str, WorkerEntry] = {}
    lost: dict[str, int] = {}
    lost_since: dict[str, int] = {}
    grants: dict[str, Grant] = {}
    waiting: dict[str, Request] = {}
    queues: dict[str, list[Place]] = {}
    reservations: dict[str, Reservation] = {}
    permits: dict[str, dict[str, None]] = {}
    arrivals: int = 0
    next_fence: int = 1
    epoch: int = 0
    shared: dict[str, float] = {}
    ceiling: dict[str, float] | None = None
    agent_types: tuple[str, ...] | None = None
    shared_used: Amounts = {}
    held_back: dict[str, HeldBack] = {}
    breakers: dict[str, Breaker] = {}
    circuits: dict[str, Circuit] = {}
    scaling: Scaling | None = None
    quotas: dict[str, dict[str, float]] = {}
    weights: dict[str, float] = {}
    accounts: dict[str, Amounts] | None = None
    bookings: dict[str, Booking] = {}
    reserving: dict[str, Request] = {}
    ended: dict[str, tuple[int, str]] = {}
    urgent: dict[str, int] = {}
    promoted: dict[str, None] = {}
    strategy: str = ""


def declaration_of(state: PoolRecord) -> tuple[Any, ...]:
    """Return what the pool was declared to be, in the order of the fields of ``PoolConfigured``."""
    return (
        state.shared,
        state.ceiling,
        state.agent_types,
        state.breakers,
        state.quotas,
        state.weights,
        state.strategy,
    )


def initial(pool: str) -> PoolRecord:
    """Return the state before anything happened."""
    return PoolRecord(pool)


def shape_of(
    agent_type: str,
    amounts: dict[str, float],
    affinity: Affinity = ANYWHERE,
    terms: Terms = ORDINARY,
    execution_id: str = "",
) -> str:
    """Name what decides where and whether a request fits, so that equal requests share one queue."""
    shape = _shape(agent_type, tuple(amounts.items()))
    if terms is not ORDINARY and terms != ORDINARY:
        shape += f"|tenant={terms.tenant!r}"
        if terms.limits:
            shape += f"|of={execution_id!r}"
        if terms.gang:
            return f"{GANG}{terms.gang}|tenant={terms.tenant!r}"
    if not affinity.requires:
        return shape
    return shape + "".join(f"|@{name}={value!r}" for name, value in sorted(affinity.requires.items()))


@lru_cache(maxsize=4_096)
def _shape(agent_type: str, amounts: tuple[tuple[str, float], ...]) -> str:
    return agent_type + "".join(f"|{name}={float(amount)!r}" for name, amount in sorted(amounts))


def queued(allocation_id: str, request: Request, reason: str = "") -> AllocationQueued:
    """Return the fact that a request waits, and why."""
    return AllocationQueued(
        allocation_id,
        request.holder,
        request.agent_type,
        request.amounts,
        request.rank,
        request.affinity,
        request.estimate_ms,
        request.terms,
        reason,
    )
