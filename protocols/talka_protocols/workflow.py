"""Definitions: what a user asks for, immutable once built.

Times are seconds (float) here because people write them; everywhere inside
the platform durations and instants are integer milliseconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from talka_protocols.enums import quick
from talka_protocols.policies import Action, Concurrency, Join, Loop, MapOver, OnFailure, Rate, RetryPolicy

DEFAULT_PRIORITY = 50
DEFAULT_TENANT = "default"
DEFAULT_TIMEOUT_S = 3600.0
DEFAULT_MAX_TASKS = 1_000
DEFAULT_MAX_SECONDS = 3600.0
INLINE_BYTES_MAX = 64 * 1024
"""Results and payloads above this many encoded bytes travel as claim checks."""


@quick
class TaskType(StrEnum):
    """What a task mostly uses; gives default requirements, isolation and placement weight."""

    COMPUTE = "compute"
    IO = "io"
    NETWORK = "network"
    HYBRID = "hybrid"


@quick
class Strategy(StrEnum):
    """The order in which ready tasks are offered to the pool."""

    BREADTH_FIRST = "breadth_first"
    DEPTH_FIRST = "depth_first"
    PRIORITY = "priority"
    RESOURCE_OPTIMIZED = "resource_optimized"
    DEADLINE = "deadline"


class ResourceRequirements(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one attempt of a task holds while it runs.

    Units: cores (may be fractional), MiB, MiB, Mbit/s, whole GPUs, and free
    units for custom resources by name.
    """

    cpu_cores: float = 0.0
    memory_mb: float = 0.0
    disk_mb: float = 0.0
    network_bandwidth_mbps: float = 0.0
    gpu_count: int = 0
    custom_resources: dict[str, float] = {}

    def amounts(self) -> dict[str, float]:
        """Return the non-zero amounts by resource name, custom ones under their own names."""
        found: dict[str, float] = {}
        if self.cpu_cores:
            found["cpu_cores"] = self.cpu_cores
        if self.memory_mb:
            found["memory_mb"] = self.memory_mb
        if self.disk_mb:
            found["disk_mb"] = self.disk_mb
        if self.network_bandwidth_mbps:
            found["network_bandwidth_mbps"] = self.network_bandwidth_mbps
        if self.gpu_count:
            found["gpu_count"] = float(self.gpu_count)
        if self.custom_resources:
            found.update({name: amount for name, amount in self.custom_resources.items() if amount})
        return found


class Task(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One unit of work.

    ``agent_type`` names the executor or agent that can run it; ``payload`` is
    that executor's own input and may hold references such as
    ``"${fetch.stdout}"``, each of which is a dependency. ``reads`` and
    ``writes`` declare artifacts (file paths or any other names); reading what
    another task writes is a dependency too. ``timeout`` is in seconds for one
    attempt; ``retries`` counts the attempts allowed after the first, and
    ``retry`` says when they follow.

    ``start_timeout`` bounds the seconds from being ready to having started,
    and ``heartbeat_timeout`` those that an attempt may give no sign of life.
    ``fallback`` runs when the last attempt failed. ``on_failure`` overrides the workflow's.
    ``join`` says how many dependencies must have succeeded, and ``when`` (CEL)
    whether to run at all. ``map`` and ``loop`` run the task many times;
    ``workflow`` is the definition that a task of type ``workflow`` runs.
    ``compensation`` undoes the task's effect; ``is_irreversible`` says that
    nothing can. The members of a ``group`` succeed together or are undone.
    ``concurrency`` and ``rate`` bound the attempts with the same key in a pool.
    The task should have succeeded ``deadline`` seconds after the execution
    began; each second beyond that counts ``weight`` times.
    It runs only on a worker that has the labels it ``requires``, and rather on
    one that has those that it ``prefers``. The members of a ``gang`` are
    granted their resources together, or none of them. ``reservation`` names one
    that was made in advance, whose resources the task uses. An attempt of a task
    that ``is_preemptible`` may be stopped for one whose deadline is threatened; it
    begins again later, from its checkpoint if it saved one.
    """

    id: str
    agent_type: str
    name: str = ""
    type: TaskType = TaskType.IO
    payload: dict[str, Any] = {}
    resources: ResourceRequirements = ResourceRequirements()
    priority: int = DEFAULT_PRIORITY
    timeout: float | None = None
    retries: int = 0
    dependencies: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    estimated_seconds: float | None = None
    labels: dict[str, str] = {}
    retry: RetryPolicy = RetryPolicy()
    start_timeout: float | None = None
    fallback: Action | None = None
    on_failure: OnFailure | None = None
    join: Join | int = Join.ALL
    when: str = ""
    map: MapOver | None = None
    loop: Loop | None = None
    workflow: Workflow | None = None
    compensation: Action | None = None
    is_irreversible: bool = False
    group: str = ""
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    heartbeat_timeout: float | None = None
    deadline: float | None = None
    weight: float = 1.0
    requires: dict[str, str] = {}
    prefers: dict[str, str] = {}
    gang: str = ""
    reservation: str = ""
    is_preemptible: bool = False


class Dependency(Struct, frozen=True, omit_defaults=True, array_like=True):
    """``to_task`` starts only after ``from_task`` succeeded; ``reason`` says who found that out."""

    from_task: str
    to_task: str
    reason: str = "declared"


class Extension(Struct, frozen=True, omit_defaults=True):
    """Tasks and dependencies that a running task adds to its own graph."""

    tasks: tuple[Task, ...] = ()
    dependencies: tuple[Dependency, ...] = ()


class WorkflowConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a workflow runs: most tasks at once, time limit in seconds, order, pool.

    The time limit stands still while nothing can run, unless ``is_wall_time``.
    So many failed tasks are tolerated, as a number or as a share of all: the
    execution is then ``partial`` and not ``failed``. With
    ``fails_on_violation`` a task fails whose artifacts show that a dependency
    is missing; otherwise that is only told. All should be over ``deadline``
    seconds after the execution began. ``custom_strategy`` names one that an
    entry point brings, in place of ``strategy``. ``tenant`` is on whose account
    the execution counts in its pool, and ``limits`` the most that its tasks may
    have there at once. Without a ``strategy`` that of the pool counts, which is
    put in before the workflow is submitted; where it has none, ``priority``.
    """

    max_parallel: int | None = None
    timeout: float | None = None
    strategy: Strategy | None = None
    pool: str = "default"
    on_failure: OnFailure = OnFailure.SKIP
    tolerated_failures: int = 0
    tolerated_failure_share: float | None = None
    is_wall_time: bool = False
    fails_on_violation: bool = False
    deadline: float | None = None
    custom_strategy: str = ""
    tenant: str = DEFAULT_TENANT
    limits: dict[str, float] = {}


class WorkflowConstraints(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The limits a workflow was checked against; raised only on request."""

    max_tasks: int = DEFAULT_MAX_TASKS
    max_seconds: float = DEFAULT_MAX_SECONDS


class Workflow(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An immutable graph of tasks; ``dependencies`` is complete, the detected edges included.

    ``inputs`` are those that a sub-workflow is yet to get from its task, by
    name with the default; None makes one required. ``${input.NAME}`` in the
    payloads of its tasks stands for them.
    """

    id: str
    name: str
    tasks: tuple[Task, ...]
    dependencies: tuple[Dependency, ...] = ()
    config: WorkflowConfig = WorkflowConfig()
    metadata: dict[str, Any] = {}
    constraints: WorkflowConstraints = WorkflowConstraints()
    inputs: dict[str, Any] = {}


class ExecutionPlan(Struct, frozen=True):
    """What the planner found out about a workflow before anything runs.

    ``stages`` are the topological levels; durations are seconds;
    ``lower_bound`` is the larger of the critical path and the work divided by
    the capacity it needs, so no schedule can end earlier.
    """

    stages: tuple[tuple[str, ...], ...]
    critical_path: tuple[str, ...]
    estimated_duration: float
    parallelism_factor: float
    resource_requirements: ResourceRequirements
    lower_bound: float = 0.0


class ClaimCheck(Struct, frozen=True):
    """A large value kept in the object store: its name there, size and SHA-256 digest."""

    ref: str
    bytes: int
    sha256: str


class ResourceAllocation(Struct, frozen=True):
    """Resources held by one attempt of a task, or by a client, until released or expired.

    ``fence`` grows with every allocation of the pool, so that whoever checks
    it can refuse an older holder. Times are Unix seconds.
    """

    allocation_id: str
    task_id: str
    resources: ResourceRequirements
    agent_id: str
    allocated_at: float
    expires_at: float | None = None
    worker_id: str = ""
    pool: str = "default"
    fence: int = 0


class WorkerResources(Struct, frozen=True):
    """One worker's offer: its agent types, its slots, and its amounts in all and free."""

    worker_id: str
    agent_types: tuple[str, ...]
    slots: int
    slots_free: int
    capacity: dict[str, float]
    free: dict[str, float]
    is_draining: bool = False
    labels: dict[str, str] = {}


class SharedResource(Struct, frozen=True):
    """A pool-wide amount: all of it, and what is free."""

    capacity: float
    free: float


class TenantShare(Struct, frozen=True):
    """What a tenant has of a pool, the most that it may have, and its weight.

    ``share`` is its dominant share divided by the weight: who has the least goes first.
    """

    used: dict[str, float]
    quota: dict[str, float] = {}
    weight: float = 1.0
    share: float = 0.0


class ResourceInventory(Struct, frozen=True):
    """What a pool offers now: per worker, as a whole, and the number of requests that wait.

    ``breakers`` say of the agent types that have a circuit breaker whether it is
    ``closed``, ``open`` or ``half_open``. ``tenants`` are those that have
    something of the pool, or a quota or weight there. ``strategy`` is that of
    workflows which name none; empty where the pool declares none.
    """

    pool: str
    workers: tuple[WorkerResources, ...]
    waiting: int = 0
    reservations: int = 0
    shared: dict[str, SharedResource] = {}
    breakers: dict[str, str] = {}
    tenants: dict[str, TenantShare] = {}
    strategy: str = ""


class ReservationId(Struct, frozen=True):
    """Names a reservation in a pool; it ends at ``expires_at`` (Unix seconds)."""

    id: str
    pool: str
    expires_at: float
