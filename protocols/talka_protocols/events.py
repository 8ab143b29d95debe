"""Facts: everything that a log can hold, in past tense, as closed unions by kind of log.

An event's id is ``<kind>.<key>:<version>``; its version, time, cause and
correlation come from the commit that holds it (see ``commit``). Stored tags
are the class names for ever: nothing stored is renamed, new fields have
defaults. Instants are milliseconds since the epoch. Events and messages are
built of immutable data, so no cycle can hold them: the collector skips them.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from talka_protocols.workflow import ClaimCheck, Workflow


class Fact(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True, gc=False):
    """Root of all events."""


class TaskFailure(Struct, frozen=True, omit_defaults=True):
    """Why an attempt failed: a stable code, a sentence, and details for people."""

    code: str
    message: str
    detail: str = ""


# --- execution.<id>, written by the scheduler ---------------------------------------------------


class ExecutionAccepted(Fact, frozen=True, gc=False):
    """The planner handed over a checked workflow; a large one is named by its claim check."""

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None


class ExecutionRejected(Fact, frozen=True, gc=False):
    """The planner refused the workflow for a reason only it could see."""

    code: str
    message: str
    name: str = ""


class ExecutionStarted(Fact, frozen=True, gc=False):
    """Dispatch begins."""


class TaskReady(Fact, frozen=True, gc=False):
    """Everything the task needs has happened; a smaller rank goes first."""

    task_id: str
    rank: tuple[float, ...] = ()


class TaskQueued(Fact, frozen=True, gc=False):
    """The pool is asked for the task's resources."""

    task_id: str
    attempt: int


class TaskScheduled(Fact, frozen=True, gc=False):
    """The attempt has its resources and goes to a worker.

    ``pool_version`` is the pool's version at the grant; ``hands`` is how often
    this allocation may still be handed on until ``hands_until``; ``is_shared``
    says that it holds pool-wide amounts.
    """

    task_id: str
    attempt: int
    worker_id: str
    allocation_id: str
    fence: int
    pool_version: int = 0
    hands: int = 0
    hands_until: int = 0
    incarnation: int = 0
    is_shared: bool = False


class TaskStarted(Fact, frozen=True, gc=False):
    """The worker began to run the attempt."""

    task_id: str
    attempt: int
    started_at: int


class TaskSucceeded(Fact, frozen=True, gc=False):
    """The attempt returned; a large result is named by its claim check.

    ``extracts`` holds those paths of a large result that later tasks refer to.
    """

    task_id: str
    attempt: int
    finished_at: int
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}


class TaskFailed(Fact, frozen=True, gc=False):
    """The task failed for good."""

    task_id: str
    attempt: int
    finished_at: int
    error: TaskFailure


class TaskTimedOut(Fact, frozen=True, gc=False):
    """The last attempt ran past the task's time-out and was stopped."""

    task_id: str
    attempt: int
    finished_at: int
    error: TaskFailure


class TaskRetrying(Fact, frozen=True, gc=False):
    """The attempt failed and another one follows at ``due_at``."""

    task_id: str
    attempt: int
    finished_at: int
    due_at: int
    error: TaskFailure


class TaskAttemptLost(Fact, frozen=True, gc=False):
    """The attempt's worker is gone or gave it back; it does not count against the retries.

    One that was handed back by a worker that is shutting down was not lost by accident.
    """

    task_id: str
    attempt: int
    reason: str
    is_handed_back: bool = False


class TaskCancelRequested(Fact, frozen=True, gc=False):
    """The attempt is to be stopped by its worker."""

    task_id: str
    attempt: int


class TaskCancelled(Fact, frozen=True, gc=False):
    """The task will not run, or was stopped on request."""

    task_id: str
    attempt: int = 0
    finished_at: int = 0


class TaskSkipped(Fact, frozen=True, gc=False):
    """The task cannot run because ``because`` did not succeed."""

    task_id: str
    because: str


class AllocationHandedOn(Fact, frozen=True, gc=False):
    """A finished task's allocation passes to a successor without asking the pool again."""

    allocation_id: str
    from_task: str
    to_task: str
    attempt: int
    fence: int


class AllocationKept(Fact, frozen=True, gc=False):
    """An ended task's allocation waits until ``until`` for a task that becomes ready at the same moment."""

    allocation_id: str
    task_id: str
    until: int


class AllocationReleased(Fact, frozen=True, gc=False):
    """The execution gives an allocation back; the pool is told until it has recorded it."""

    allocation_id: str


class AllocationRequestWithdrawn(Fact, frozen=True, gc=False):
    """The execution no longer wants what it asked for, granted or not."""

    allocation_id: str


class AllocationSettled(Fact, frozen=True, gc=False):
    """The pool has recorded the return of the allocation."""

    allocation_id: str


class HandOnSettled(Fact, frozen=True, gc=False):
    """The pool has recorded the hand-ons of the allocation up to ``fence``."""

    allocation_id: str
    fence: int


class PermitWithdrawn(Fact, frozen=True, gc=False):
    """The pool wants the allocation back at the next chance: somebody better waits."""

    allocation_id: str


class ExecutionCancelRequested(Fact, frozen=True, gc=False):
    """Somebody asked to cancel the execution."""

    reason: str = ""


class ExecutionTimeoutReached(Fact, frozen=True, gc=False):
    """The execution's time limit passed; what runs is stopped and all results are kept."""

    limit_ms: int


class ExecutionSucceeded(Fact, frozen=True, gc=False):
    """Every task succeeded."""


class ExecutionFailed(Fact, frozen=True, gc=False):
    """Every task is final and at least one did not succeed."""

    failed: tuple[str, ...] = ()


class ExecutionTimedOut(Fact, frozen=True, gc=False):
    """The execution ended because of its time limit."""


class ExecutionCancelled(Fact, frozen=True, gc=False):
    """The execution ended on request."""


ExecutionEvent = (
    TaskReady
    | TaskQueued
    | TaskScheduled
    | TaskStarted
    | TaskSucceeded
    | AllocationReleased
    | AllocationSettled
    | AllocationHandedOn
    | AllocationKept
    | HandOnSettled
    | TaskFailed
    | TaskTimedOut
    | TaskRetrying
    | TaskAttemptLost
    | TaskCancelRequested
    | TaskCancelled
    | TaskSkipped
    | AllocationRequestWithdrawn
    | PermitWithdrawn
    | ExecutionAccepted
    | ExecutionRejected
    | ExecutionStarted
    | ExecutionCancelRequested
    | ExecutionTimeoutReached
    | ExecutionSucceeded
    | ExecutionFailed
    | ExecutionTimedOut
    | ExecutionCancelled
)


# --- plan.<id>, written by the planner -----------------------------------------------------------


class PlanAccepted(Fact, frozen=True, gc=False):
    """The workflow can run; the figures say what was found out about it (seconds)."""

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    critical_path: tuple[str, ...] = ()
    stages: int = 0
    estimated_duration: float = 0.0
    lower_bound: float = 0.0


class PlanRejected(Fact, frozen=True, gc=False):
    """The workflow cannot run."""

    code: str
    message: str
    name: str = ""


class PlanHandedOver(Fact, frozen=True, gc=False):
    """The scheduler has recorded the plan."""


PlanEvent = PlanAccepted | PlanRejected | PlanHandedOver


# --- pool.<pool>, written by the resource actor --------------------------------------------------


class Holder(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who holds or wants resources: a task's attempt, or a client under a name of its own."""

    execution_id: str = ""
    task_id: str = ""
    attempt: int = 0
    client_id: str = ""


class PoolOwnershipTaken(Fact, frozen=True, gc=False):
    """A resource service took the pool over."""

    epoch: int
    holder: str = ""


class WorkerJoined(Fact, frozen=True, gc=False):
    """A worker's incarnation offers its capacity."""

    worker_id: str
    incarnation: int
    agent_types: tuple[str, ...]
    slots: int
    capacity: dict[str, float]
    slots_by_agent: dict[str, int] = {}


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
    """A request waits."""

    allocation_id: str
    holder: Holder
    agent_type: str
    amounts: dict[str, float] = {}
    rank: tuple[float, ...] = ()


class AllocationGranted(Fact, frozen=True, gc=False):
    """A request got its resources on a worker; ``fence`` grows with every grant."""

    allocation_id: str
    holder: Holder
    agent_type: str
    worker_id: str
    incarnation: int
    fence: int
    amounts: dict[str, float] = {}
    hands: int = 0
    hands_until: int = 0


class AllocationHolderChanged(Fact, frozen=True, gc=False):
    """An execution handed its allocation on to another of its tasks."""

    allocation_id: str
    holder: Holder
    fence: int


class AllocationPermitWithdrawn(Fact, frozen=True, gc=False):
    """The allocation may not be handed on any more: a better rank waits."""

    allocation_id: str


class AllocationFreed(Fact, frozen=True, gc=False):
    """The allocation, or the waiting request, is gone and its amounts are free."""

    allocation_id: str
    holder: Holder


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


class SharedReturned(Fact, frozen=True, gc=False):
    """The pool-wide amounts of the allocation revoked at ``fence`` are free again, its lease being over."""

    fence: int


class ReservationMade(Fact, frozen=True, gc=False):
    """Amounts are kept on a worker until used, cancelled or expired."""

    reservation_id: str
    client_id: str
    worker_id: str
    amounts: dict[str, float]
    expires_at: int


class ReservationEnded(Fact, frozen=True, gc=False):
    """The reservation's amounts are free again."""

    reservation_id: str
    reason: str = ""


PoolEvent = (
    AllocationGranted
    | AllocationFreed
    | AllocationQueued
    | AllocationHolderChanged
    | AllocationPermitWithdrawn
    | AllocationRevoked
    | WorkerJoined
    | WorkerDraining
    | WorkerLost
    | ReservationMade
    | ReservationEnded
    | PoolOwnershipTaken
    | PoolConfigured
    | SharedReturned
)


# --- worker.<id>, written by the worker ----------------------------------------------------------


class WorkerRegistered(Fact, frozen=True, gc=False):
    """A new incarnation of the worker begins; two processes cannot both record the same one."""

    incarnation: int
    pool: str


class WorkerStopped(Fact, frozen=True, gc=False):
    """The incarnation ended with nothing left to do."""

    incarnation: int


WorkerEvent = WorkerRegistered | WorkerStopped


# --- shard.<n>, written by the owner of a shard of executions or plans ---------------------------


class OwnershipTaken(Fact, frozen=True, gc=False):
    """A service took the shard over."""

    epoch: int
    holder: str = ""


class LogsOpened(Fact, frozen=True, gc=False):
    """These logs are live: a takeover folds them."""

    keys: tuple[str, ...]


class LogsClosed(Fact, frozen=True, gc=False):
    """Nothing is owed by these logs any more."""

    keys: tuple[str, ...]


ShardEvent = OwnershipTaken | LogsOpened | LogsClosed

Event = ExecutionEvent | PlanEvent | PoolEvent | WorkerEvent | ShardEvent
