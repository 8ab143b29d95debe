"""To the resource actor: about one pool."""

from __future__ import annotations

from msgspec import field

from talka_protocols.events import ANYWHERE, ORDINARY, Affinity, Holder, Terms
from talka_protocols.messages.kinds import Advance, TimerFired, ToPool
from talka_protocols.policies import Breaker, ScalingPolicy
from talka_protocols.states import Health
from talka_protocols.workflow import DEFAULT_TENANT


class RequestAllocation(ToPool, frozen=True, gc=False):
    """Somebody wants amounts on one worker that can run ``agent_type``, probably for ``estimate_ms``."""

    allocation_id: str
    holder: Holder
    agent_type: str = ""
    amounts: dict[str, float] = {}
    rank: tuple[float, ...] = ()
    reservation_id: str = ""
    affinity: Affinity = ANYWHERE
    estimate_ms: int = 0
    terms: Terms = ORDINARY


class ReleaseAllocation(ToPool, frozen=True, gc=False):
    """The holder gives an allocation back, or no longer wants what it asked for.

    ``failed`` are the fences of those attempts under it that failed by their
    agent's fault, as far as the pool may not know; ``health`` is what the last one says.
    """

    allocation_id: str
    holder: Holder = field(default_factory=Holder)
    fence: int = 0
    failed: tuple[int, ...] = ()
    health: Health = Health.UNKNOWN


class RecordHandOn(ToPool, frozen=True, gc=False):
    """An execution handed an allocation on; ``failed`` is as in ``ReleaseAllocation``."""

    allocation_id: str
    holder: Holder
    fence: int
    failed: tuple[int, ...] = ()


class RegisterWorker(ToPool, frozen=True, gc=False):
    """A worker's incarnation offers its capacity and names the allocations it still runs.

    One that ``is_draining`` joins so that it is known, and is granted nothing.
    One that ``is_elastic`` was started because the pool wanted more workers,
    and may be drained when it wants fewer.
    """

    worker_id: str
    incarnation: int
    agent_types: tuple[str, ...]
    slots: int
    capacity: dict[str, float] = {}
    slots_by_agent: dict[str, int] = {}
    running: tuple[str, ...] = ()
    is_draining: bool = False
    labels: dict[str, str] = {}
    is_elastic: bool = False


class DrainWorker(ToPool, frozen=True, gc=False):
    """The worker takes nothing new."""

    worker_id: str
    incarnation: int


class WorkerLeft(ToPool, frozen=True, gc=False):
    """The worker's incarnation has ended, or has been silent for its whole lease.

    ``is_ended`` says that nothing it ran runs any more, which silence alone does not.
    """

    worker_id: str
    incarnation: int
    reason: str = ""
    is_ended: bool = False


class ClientLeft(ToPool, frozen=True, gc=False):
    """A client that held allocations or reservations has been silent for its whole lease."""

    client_id: str


class ReserveResources(ToPool, frozen=True, gc=False):
    """A client wants amounts kept for it, for ``ttl_ms`` from now or from ``starts_at`` (milliseconds) on.

    What starts later is for a task of the ``tenant`` that names it.
    """

    reservation_id: str
    client_id: str
    amounts: dict[str, float] = {}
    agent_type: str = ""
    ttl_ms: int = 60_000
    starts_at: int = 0
    tenant: str = DEFAULT_TENANT


class EndReservation(ToPool, frozen=True, gc=False):
    """The client no longer needs its reservation."""

    reservation_id: str
    client_id: str = ""


class ConfigurePool(ToPool, frozen=True, gc=False):
    """The pool's operator declares what the pool is, in place of what was declared before.

    ``shared`` are amounts that the pool has as a whole. ``ceiling`` is the most
    that one worker will ever offer, and ``agent_types`` what will ever be
    served; None leaves them open. ``breakers`` are the circuit breakers by agent type.
    ``quotas`` are the most that a tenant may have at once, by tenant and resource,
    and ``weights`` how much more of the pool a tenant is due than one of weight 1.
    ``strategy`` is that of workflows which name none.
    """

    shared: dict[str, float] = {}
    ceiling: dict[str, float] | None = None
    agent_types: tuple[str, ...] | None = None
    breakers: dict[str, Breaker] = {}
    quotas: dict[str, dict[str, float]] = {}
    weights: dict[str, float] = {}
    strategy: str = ""


class ScalePool(ToPool, frozen=True, gc=False):
    """The pool's operator declares how many workers it shall have, or leaves that to people again."""

    policy: ScalingPolicy | None = None


ResourceMessage = (
    RequestAllocation
    | ReleaseAllocation
    | RecordHandOn
    | RegisterWorker
    | DrainWorker
    | WorkerLeft
    | ClientLeft
    | ReserveResources
    | EndReservation
    | ConfigurePool
    | ScalePool
    | TimerFired
    | Advance
)
