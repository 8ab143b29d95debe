"""To the planner and to the scheduler: about one execution."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw, Struct

from talka_protocols.events import TaskFailure
from talka_protocols.messages.kinds import Advance, TimerFired, ToExecution
from talka_protocols.policies import Then
from talka_protocols.workflow import ClaimCheck, Workflow


class SubmitWorkflow(ToExecution, frozen=True, gc=False):
    """A client asks for an execution under an id of its choice."""

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None


class ExecutionRecorded(ToExecution, frozen=True, gc=False):
    """The scheduler has recorded what the planner handed over."""


class Refusal(Struct, frozen=True):
    """Why the planner refused."""

    code: str
    message: str


class StartExecution(ToExecution, frozen=True, gc=False):
    """The planner hands over a checked workflow, or its refusal."""

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    refusal: Refusal | None = None
    name: str = ""


class CancelExecution(ToExecution, frozen=True, gc=False):
    """Somebody wants the execution to stop."""

    reason: str = ""


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

    With neither, it is everything that did not succeed. A request that arrives
    twice is known by ``request_id``.
    """

    from_task: str = ""
    from_event: int = 0
    request_id: str = ""


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


PlannerMessage = SubmitWorkflow | ExecutionRecorded | Advance


SchedulerMessage = (
    AttemptFinished
    | AttemptStarted
    | GrantAllocation
    | ConfirmRelease
    | ConfirmHandOn
    | StartExecution
    | CancelExecution
    | RollBackExecution
    | RestartExecution
    | RevokeAllocation
    | WithdrawPermit
    | TimerFired
    | Advance
)
