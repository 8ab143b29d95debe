"""``execution.<id>``, written by the scheduler."""

from __future__ import annotations

from msgspec import Raw

from talka_protocols.baseline import Baseline
from talka_protocols.events.adoption import Origin, TaskAdopted
from talka_protocols.events.archive import ExecutionArchived
from talka_protocols.events.artifacts import ArtifactRead, ArtifactsWritten, DependencyViolationDetected
from talka_protocols.events.control import ControlEvent
from talka_protocols.events.fact import Fact, Parent, TaskFailure
from talka_protocols.events.growth import ExtensionAccepted, ExtensionRefused, ExtensionRequested, TasksAdded
from talka_protocols.events.progress import TaskCheckpointed, TaskStepFinished
from talka_protocols.events.undoing import (
    ChildUndone,
    ExecutionRestarted,
    ExecutionRolledBack,
    RollbackFailed,
    RollbackStarted,
)
from talka_protocols.events.usage import TaskUsageMeasured
from talka_protocols.events.waiting import (
    ApprovalAnswered,
    ChildStarted,
    ParentInformed,
    RequestRefused,
    SignalReceived,
    SignalTaken,
    TaskWaiting,
)
from talka_protocols.states import Health
from talka_protocols.workflow import ClaimCheck, Workflow


class ExecutionAccepted(Fact, frozen=True, gc=False):
    """The planner handed over a checked workflow; a large one is named by its claim check.

    ``parent`` is the task whose sub-workflow it is, ``origin`` what it was forked from,
    ``order`` the planned order of its tasks, by position.
    """

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    parent: Parent | None = None
    schedule: str = ""
    origin: Origin | None = None
    order: tuple[int, ...] = ()
    baseline: Baseline | None = None


class ExecutionRejected(Fact, frozen=True, gc=False):
    """The planner refused the workflow for a reason only it could see."""

    code: str
    message: str
    name: str = ""
    parent: Parent | None = None
    schedule: str = ""


class ExecutionStarted(Fact, frozen=True, gc=False):
    """Dispatch begins."""


class TaskReady(Fact, frozen=True, gc=False):
    """Everything the task needs has happened; a smaller rank goes first."""

    task_id: str
    rank: tuple[float, ...] = ()


class TaskQueued(Fact, frozen=True, gc=False):
    """The pool is asked for the task's resources, rather on the worker ``near`` what it takes in.

    Under the name ``gang`` it is asked for so many ``members`` together. It has
    to start by ``start_by`` (Unix milliseconds), or a deadline is missed; 0 if none is.
    """

    task_id: str
    attempt: int
    near: str = ""
    gang: str = ""
    members: int = 0
    start_by: int = 0


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


class TaskIterated(Fact, frozen=True, gc=False):
    """The attempt returned, the loop's condition does not hold yet, and the next round follows at ``due_at``.

    ``iteration`` counts from 1; the result is kept for the next round.
    """

    task_id: str
    attempt: int
    finished_at: int
    iteration: int
    due_at: int
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}


class TaskAttemptLost(Fact, frozen=True, gc=False):
    """The attempt's worker is gone or gave it back; it does not count against the retries.

    One that was handed back by a worker that is shutting down was not lost by accident.
    """

    task_id: str
    attempt: int
    reason: str
    is_handed_back: bool = False


class TaskCancelRequested(Fact, frozen=True, gc=False):
    """The attempt is to be stopped by its worker, killed at once if it ``is_forced``.

    ``because`` is as in ``TaskCancelled``.
    """

    task_id: str
    attempt: int
    because: str = ""
    is_forced: bool = False


class TaskCancelled(Fact, frozen=True, gc=False):
    """The task will not run, or was stopped on request.

    ``because`` is the task that no longer needs it: then nothing went wrong.
    """

    task_id: str
    attempt: int = 0
    finished_at: int = 0
    because: str = ""


class TaskSkipped(Fact, frozen=True, gc=False):
    """The task does not run because of ``because``: a task that did not succeed, or its own id.

    ``condition`` is the one that was false, here or in front of ``because``:
    then nothing went wrong.
    """

    task_id: str
    because: str
    condition: str = ""


class AllocationHandedOn(Fact, frozen=True, gc=False):
    """A finished task's allocation passes to a successor without asking the pool again.

    ``health`` is what the attempt that held it says of its agent type.
    """

    allocation_id: str
    from_task: str
    to_task: str
    attempt: int
    fence: int
    health: Health = Health.UNKNOWN


class AllocationKept(Fact, frozen=True, gc=False):
    """An ended task's allocation waits until ``until`` for a task that becomes ready at the same moment.

    ``health`` is as in ``AllocationHandedOn``.
    """

    allocation_id: str
    task_id: str
    until: int
    health: Health = Health.UNKNOWN


class AllocationReleased(Fact, frozen=True, gc=False):
    """The execution gives an allocation back; the pool is told until it has recorded it.

    ``health`` is as in ``AllocationHandedOn``; one that was kept has said it already.
    """

    allocation_id: str
    health: Health = Health.UNKNOWN


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
    """Somebody asked to cancel the execution, perhaps once more and now by force."""

    reason: str = ""
    is_forced: bool = False
    request_id: str = ""


class ExecutionTimeoutReached(Fact, frozen=True, gc=False):
    """The execution's time limit passed; what runs is stopped and all results are kept."""

    limit_ms: int


class ExecutionSucceeded(Fact, frozen=True, gc=False):
    """Every task succeeded."""


class ExecutionPartlySucceeded(Fact, frozen=True, gc=False):
    """Every task is final, and no more of them failed than is tolerated."""

    failed: tuple[str, ...] = ()


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
    | TaskIterated
    | TaskAttemptLost
    | TaskCancelRequested
    | TaskCancelled
    | TaskSkipped
    | TaskWaiting
    | SignalReceived
    | SignalTaken
    | ApprovalAnswered
    | ChildStarted
    | ParentInformed
    | TasksAdded
    | TaskCheckpointed
    | ArtifactsWritten
    | ArtifactRead
    | DependencyViolationDetected
    | TaskStepFinished
    | ExtensionRequested
    | ExtensionAccepted
    | ExtensionRefused
    | RequestRefused
    | AllocationRequestWithdrawn
    | PermitWithdrawn
    | ExecutionAccepted
    | ExecutionRejected
    | ExecutionStarted
    | ExecutionCancelRequested
    | ExecutionTimeoutReached
    | ExecutionSucceeded
    | ExecutionPartlySucceeded
    | ExecutionFailed
    | ExecutionTimedOut
    | ExecutionCancelled
    | ControlEvent
    | RollbackStarted
    | ExecutionRolledBack
    | RollbackFailed
    | ChildUndone
    | ExecutionRestarted
    | TaskAdopted
    | TaskUsageMeasured
    | ExecutionArchived
)
