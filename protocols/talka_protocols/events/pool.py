"""``pool.<pool>``, written by the resource actor."""

from __future__ import annotations

from talka_protocols.events.fact import ANYWHERE, ORDINARY, Affinity, Fact, Holder, Terms
from talka_protocols.policies import Breaker, ScalingPolicy
from talka_protocols.workflow import DEFAULT_TENANT


class PoolOwnershipTaken(Fact, frozen=True, gc=False):
    """A resource service took the pool over."""

    epoch: int
    holder: str = ""


class WorkerJoined(Fact, frozen=True, gc=False):
    """A worker's incarnation offers its capacity; one that ``is_elastic`` goes when fewer are wanted."""

    worker_id: str
    incarnation: int
    agent_types: tuple[str, ...]
    slots: int
    capacity: dict[str, float]
    slots_by_agent: dict[str, int] = {}
    labels: dict[str, str] = {}
    is_elastic: bool = False


class WorkerDraining(Fact, frozen=True, gc=False):
    """The worker takes nothing new."""

    worker_id: str
    incarnation: int


class WorkerLost(Fact, frozen=True, gc=False):
    """The incarnation fell silent or left; its capacity leaves with it."""

    worker_id: str
    incarnation: int
    reason: str = ""


class AllocationQueued(Fact, frozen=True, gc=False):
    """A request waits, as others got what it asked for, or nobody may have it.

    ``reason`` says what it was short of when that was decided: ``short NAME`` of a resource on
    every worker that could run it, ``shared NAME`` of what the pool has as a whole, ``quota NAME``
    of its tenant, ``limit NAME`` of its own execution; ``rank`` if it would fit, and others go
    first; ``gang`` if its others are missing or do not fit; ``breaker``, ``reservation`` or
    ``no_worker`` if nobody may, or could, run it now.
    """

    allocation_id: str
    holder: Holder
    agent_type: str
    amounts: dict[str, float] = {}
    rank: tuple[float, ...] = ()
    affinity: Affinity = ANYWHERE
    estimate_ms: int = 0
    terms: Terms = ORDINARY
    reason: str = ""


class AllocationGranted(Fact, frozen=True, gc=False):
    """A request got its resources on a worker; ``fence`` grows with every grant.

    ``rank`` is said only of what may be preempted by a better one.
    """

    allocation_id: str
    holder: Holder
    agent_type: str
    worker_id: str
    incarnation: int
    fence: int
    amounts: dict[str, float] = {}
    hands: int = 0
    hands_until: int = 0
    estimate_ms: int = 0
    terms: Terms = ORDINARY
    rank: tuple[float, ...] = ()


class GangGranted(Fact, frozen=True, gc=False):
    """A gang got its resources: all of its members, in one decision."""

    gang: str
    grants: tuple[AllocationGranted, ...]


class AllocationHolderChanged(Fact, frozen=True, gc=False):
    """An execution handed its allocation on to another of its tasks.

    ``failed`` attempts since the last such fact failed by their agent's fault.
    """

    allocation_id: str
    holder: Holder
    fence: int
    failed: int = 0


class AllocationPermitWithdrawn(Fact, frozen=True, gc=False):
    """The allocation may not be handed on any more: a better rank waits, or a circuit breaker has opened."""

    allocation_id: str


class AllocationFreed(Fact, frozen=True, gc=False):
    """The allocation, or the waiting request, is gone and its amounts are free.

    ``failed`` attempts since the last hand-on failed by their agent's fault, and
    the last one succeeded if it ``is_success``; both are said only where a
    circuit breaker counts them.
    """

    allocation_id: str
    holder: Holder
    failed: int = 0
    is_success: bool = False


class RequestPromoted(Fact, frozen=True, gc=False):
    """A waiting request has to start soon, or a deadline is missed: it waits at a better ``rank`` now."""

    allocation_id: str
    rank: tuple[float, ...]


class AllocationPreempted(Fact, frozen=True, gc=False):
    """The allocation has to make way on its worker for the waiting request ``by``, which ranks higher.

    It counts until its holder gives it back, which is told to stop.
    """

    allocation_id: str
    by: str
    worker_id: str
    reason: str = ""


class AllocationRefused(Fact, frozen=True, gc=False):
    """A request can never be granted, such as one that names a reservation which is used or has expired."""

    allocation_id: str
    holder: Holder
    code: str
    reason: str


class AllocationRevoked(Fact, frozen=True, gc=False):
    """The allocation's worker, or its client, is gone; its holder is told until it gives it back.

    Its pool-wide amounts come back ``lease_ms`` later: until then they may still be in use.
    """

    allocation_id: str
    reason: str = ""
    lease_ms: int = 0


class PoolConfigured(Fact, frozen=True, gc=False):
    """What the pool has as a whole, and the most that its workers will ever offer; see ``ConfigurePool``."""

    shared: dict[str, float] = {}
    ceiling: dict[str, float] | None = None
    agent_types: tuple[str, ...] | None = None
    breakers: dict[str, Breaker] = {}
    quotas: dict[str, dict[str, float]] = {}
    weights: dict[str, float] = {}
    strategy: str = ""


class BreakerOpened(Fact, frozen=True, gc=False):
    """Too many attempts of the agent type failed by its fault, or a probe: none starts for ``open_ms``."""

    agent_type: str
    failures: int
    open_ms: int


class BreakerHalfOpened(Fact, frozen=True, gc=False):
    """The time is over: a few attempts of the agent type may start, as probes."""

    agent_type: str


class BreakerClosed(Fact, frozen=True, gc=False):
    """The probes succeeded: attempts of the agent type start as ever."""

    agent_type: str


class ScalingConfigured(Fact, frozen=True, gc=False):
    """How many workers the pool shall have is declared anew; without a policy nothing is decided any more."""

    policy: ScalingPolicy | None = None


class ScalingDecided(Fact, frozen=True, gc=False):
    """The pool shall have ``workers`` instead of ``previous``; whoever starts workers reads it here.

    ``reason`` is bounds, zero, backlog, late or idle. The figures are those
    that it was decided by: how many requests waited that more workers help,
    how long the last of them was expected to wait (-1: nobody can tell) and the
    oldest has waited, and the most workers' worth in use since the last look.
    """

    workers: int
    previous: int
    reason: str
    active: int = 0
    waiting: int = 0
    expected_wait_ms: int = 0
    oldest_wait_ms: int = 0
    load: float = 0.0


class ScalingDeferred(Fact, frozen=True, gc=False):
    """The number of workers is looked at again at ``due_at``; 0 when only other events can change it.

    If it ``is_restart``, the use of the workers is measured anew from here.
    """

    due_at: int
    is_restart: bool = False


class SharedReturned(Fact, frozen=True, gc=False):
    """The pool-wide amounts of the allocation revoked at ``fence`` are free again: nobody uses them now.

    Its lease is over, or with ``is_ended`` what used them is known to have ended before that.
    With ``is_rate`` it is the place under a rate of the attempt that was granted at ``fence``.
    """

    fence: int
    is_rate: bool = False
    is_ended: bool = False


class ReservationBooked(Fact, frozen=True, gc=False):
    """Amounts will be kept on a worker from ``starts_at`` on, for a task of the ``tenant`` that names it."""

    reservation_id: str
    client_id: str
    worker_id: str
    amounts: dict[str, float]
    starts_at: int
    expires_at: int
    tenant: str = DEFAULT_TENANT


class ReservationMade(Fact, frozen=True, gc=False):
    """Amounts are kept on a worker until used, cancelled or expired; if ``is_booked``, as was booked."""

    reservation_id: str
    client_id: str
    worker_id: str
    amounts: dict[str, float]
    expires_at: int
    tenant: str = DEFAULT_TENANT
    is_booked: bool = False


class ReservationEnded(Fact, frozen=True, gc=False):
    """The reservation's amounts are free again."""

    reservation_id: str
    reason: str = ""


PoolEvent = (
    AllocationGranted
    | GangGranted
    | AllocationFreed
    | AllocationQueued
    | AllocationHolderChanged
    | AllocationPermitWithdrawn
    | AllocationRevoked
    | RequestPromoted
    | AllocationPreempted
    | WorkerJoined
    | WorkerDraining
    | WorkerLost
    | AllocationRefused
    | ReservationBooked
    | ReservationMade
    | ReservationEnded
    | PoolOwnershipTaken
    | PoolConfigured
    | SharedReturned
    | BreakerOpened
    | BreakerHalfOpened
    | BreakerClosed
    | ScalingConfigured
    | ScalingDecided
    | ScalingDeferred
)
