"""To the planner and to the scheduler: about one execution."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw

from talka_protocols.baseline import Baseline
from talka_protocols.enums import quick
from talka_protocols.events import Origin, Parent, Progress, Saved, TaskFailure, Usage
from talka_protocols.messages.archive import ArchiveExecution
from talka_protocols.messages.growth import AnswerExtension, ExtendPlan, Refusal
from talka_protocols.messages.kinds import Advance, TimerFired, ToExecution
from talka_protocols.messages.proposal import ProposeBaseline
from talka_protocols.policies import Then
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import ClaimCheck, Extension, Workflow


class SubmitWorkflow(ToExecution, frozen=True, gc=False):
    """A client asks for an execution under an id of its choice.

    So do a task, a ``schedule`` and a ``trigger`` for theirs. ``origin`` is what it is forked from.
    ``capacity`` is what the pool has in all by resource, as far as the sender knows; an order is
    planned for it. ``baseline`` is a schedule that was made already; for ``improve_s`` seconds of CPU
    time a shorter one is searched for while the execution runs.
    """

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    parent: Parent | None = None
    schedule: str = ""
    origin: Origin | None = None
    capacity: dict[str, float] = {}
    trigger: str = ""
    baseline: Baseline | None = None
    improve_s: float = 0.0


class ExecutionRecorded(ToExecution, frozen=True, gc=False):
    """The scheduler has recorded what the planner handed over."""


class StartExecution(ToExecution, frozen=True, gc=False):
    """The planner hands over a checked workflow, or its refusal; ``order`` is as in ``PlanAccepted``."""

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    refusal: Refusal | None = None
    name: str = ""
    parent: Parent | None = None
    schedule: str = ""
    origin: Origin | None = None
    order: tuple[int, ...] = ()
    baseline: Baseline | None = None


class ReportEnd(ToExecution, frozen=True, gc=False):
    """A schedule wants to know when the execution is over."""

    schedule: str


class CancelExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants the execution to stop: a person, or the task whose sub-workflow it is.

    What runs is given no time to end in good order if it ``is_forced``. It is heard once under
    a ``request_id``.
    """

    reason: str = ""
    parent: Parent | None = None
    is_forced: bool = False
    request_id: str = ""


class CancelSingleTask(ToExecution, frozen=True, gc=False):
    """Somebody wants one task to stop and the execution to go on without it; heard once under its id.

    What runs of it is given no time to end in good order if it ``is_forced``.
    """

    request_id: str
    task_id: str
    reason: str = ""
    is_forced: bool = False


class PauseExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants nothing new to start, of the execution or of one task; heard once under its id."""

    request_id: str
    task_id: str = ""
    reason: str = ""


class ResumeExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants the work to go on, of the execution or of one task; heard once under its id.

    ``limit_ms`` is the time that the execution gets from then on; 0 is what was
    left, or, where none was left, its whole limit once more.
    """

    request_id: str
    task_id: str = ""
    limit_ms: int = 0


class ReleaseTask(ToExecution, frozen=True, gc=False):
    """Somebody has decided about a parked task: it runs again, or has failed."""

    request_id: str
    task_id: str
    is_failed: bool = False


class ReprioritizeExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants what has not started in another order; heard once under its id.

    A ``strategy`` left empty, or a ``priority`` of None, stays as it was. ``order``
    is planned for the strategy, as in ``PlanAccepted``.
    """

    request_id: str
    strategy: str = ""
    priority: int | None = None
    order: tuple[int, ...] = ()


class ConfirmChild(ToExecution, frozen=True, gc=False):
    """The planner has recorded the sub-workflow of a task's attempt."""

    task_id: str
    attempt: int


class ChildFinished(ToExecution, frozen=True, gc=False):
    """The sub-workflow of a task's attempt is over; re-sent until settled."""

    task_id: str
    attempt: int
    child_id: str
    status: ExecutionState
    reason: str = ""
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None


class SettleChild(ToExecution, frozen=True, gc=False):
    """Whoever asked for the sub-workflow knows how it ended, or that it was undone for ``undo``."""

    undo: Parent | None = None


class RollBackChild(ToExecution, frozen=True, gc=False):
    """What undoes a task wants all that its sub-workflow did undone; re-sent until it has heard of it."""

    undo: Parent


class ChildRolledBack(ToExecution, frozen=True, gc=False):
    """All that a sub-workflow did is undone, or cannot be (``error`` says why); re-sent until settled."""

    task_id: str
    attempt: int
    child_id: str
    error: TaskFailure | None = None


class SignalExecution(ToExecution, frozen=True, gc=False):
    """The outside tells a task of the execution something; the same ``signal_id`` counts once.

    ``trigger`` names the trigger that says it and is told what became of it.
    """

    name: str
    signal_id: str
    data: Raw = Raw(b"null")
    trigger: str = ""


class AnswerApproval(ToExecution, frozen=True, gc=False):
    """Somebody answers what a task asks; heard once under a ``request_id``."""

    task_id: str
    choice: str
    by: str = ""
    comment: str = ""
    request_id: str = ""


class RollBackExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants the execution as it was at event ``to``, or at the end of ``task_id``.

    A request that arrives twice is known by ``request_id``.
    """

    to: int = 0
    task_id: str = ""
    then: Then = Then.CONTINUE
    accepts_irreversible: bool = False
    request_id: str = ""


class RestartExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants ``from_task`` and all behind it to run again, or what had not ended at ``from_event``.

    With neither, it is everything that did not succeed. ``progress`` is what
    ``from_task`` is to go on from, else it begins anew. A request that arrives
    twice is known by ``request_id``.
    """

    from_task: str = ""
    from_event: int = 0
    request_id: str = ""
    progress: Progress | None = None


class GrantAllocation(ToExecution, frozen=True, gc=False):
    """The pool's answer to a request; see ``AllocationGranted``."""

    task_id: str
    attempt: int
    allocation_id: str
    worker_id: str
    fence: int
    pool_version: int = 0
    hands: int = 0
    hands_until: int = 0
    incarnation: int = 0
    is_shared: bool = False


class RefuseAllocation(ToExecution, frozen=True, gc=False):
    """The pool will never grant what was asked for."""

    task_id: str
    attempt: int
    allocation_id: str
    code: str
    reason: str


class PreemptAllocation(ToExecution, frozen=True, gc=False):
    """The allocation is to be given back, when what runs on it has stopped, for the better request ``by``."""

    allocation_id: str
    by: str
    reason: str = ""


class WarnOfDeadline(ToExecution, frozen=True, gc=False):
    """The task still waits, and has to start by ``start_by`` (Unix milliseconds) or a deadline is missed."""

    task_id: str
    attempt: int
    start_by: int


class RevokeAllocation(ToExecution, frozen=True, gc=False):
    """The allocation's worker is gone."""

    allocation_id: str
    reason: str = ""


class ConfirmRelease(ToExecution, frozen=True, gc=False):
    """The pool has recorded the return of an allocation or of a waiting request."""

    allocation_id: str


class ConfirmHandOn(ToExecution, frozen=True, gc=False):
    """The pool has recorded who holds the allocation since ``fence``."""

    allocation_id: str
    fence: int


class WithdrawPermit(ToExecution, frozen=True, gc=False):
    """The allocation must come back instead of being handed on."""

    allocation_id: str


class AttemptStarted(ToExecution, frozen=True, gc=False):
    """A worker began to run an attempt; times are the worker's, in Unix milliseconds."""

    task_id: str
    attempt: int
    worker_id: str
    started_at: int


@quick
class Outcome(StrEnum):
    """How an attempt ended, as its worker saw it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"


DRAINING_CODE = "worker_draining"
"""The error code of an attempt that a worker handed back because it is shutting down."""


class AttemptFinished(ToExecution, frozen=True, gc=False):
    """A worker is done with an attempt; re-sent until the outcome is settled."""

    task_id: str
    attempt: int
    worker_id: str
    started_at: int
    finished_at: int
    outcome: Outcome
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}
    error: TaskFailure | None = None
    extension: Extension | None = None
    artifacts: dict[str, ClaimCheck | None] = {}
    usage: Usage | None = None


STALE_CODE = "stale_attempt"
"""Why what an attempt saved is refused when that attempt is not wanted any more."""


@quick
class Mark(StrEnum):
    """What an attempt asks to have recorded."""

    CHECKPOINT = "checkpoint"
    STEP = "step"
    READ = "read"
    WRITE = "write"
    BEAT = "beat"
    """A sign of life, which ends at the worker: nothing is recorded of it."""


class RecordProgress(ToExecution, frozen=True, gc=False):
    """A worker wants what an attempt saved in the log; re-sent until it is confirmed.

    ``sequence`` counts the attempt's requests of this kind from 1. A step has a
    ``name``, and so has an artifact that is read; the answer then holds its claim check.
    """

    task_id: str
    attempt: int
    worker_id: str
    started_at: int
    sequence: int
    mark: Mark
    name: str = ""
    saved: Saved = Saved()


PlannerMessage = SubmitWorkflow | ExecutionRecorded | ExtendPlan | Advance


SchedulerMessage = (
    AttemptFinished
    | AttemptStarted
    | RecordProgress
    | GrantAllocation
    | RefuseAllocation
    | PreemptAllocation
    | WarnOfDeadline
    | ConfirmRelease
    | ConfirmHandOn
    | StartExecution
    | CancelExecution
    | CancelSingleTask
    | PauseExecution
    | ResumeExecution
    | ReleaseTask
    | ReprioritizeExecution
    | ProposeBaseline
    | RollBackExecution
    | RestartExecution
    | SignalExecution
    | AnswerApproval
    | ConfirmChild
    | ChildFinished
    | SettleChild
    | RollBackChild
    | ChildRolledBack
    | ReportEnd
    | ArchiveExecution
    | RevokeAllocation
    | AnswerExtension
    | WithdrawPermit
    | TimerFired
    | Advance
)
