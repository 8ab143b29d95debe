"""``execution.<id>``: what people ask of work under way, its time limit, and what failures lead to."""

from __future__ import annotations

from talka_protocols.baseline import Baseline
from talka_protocols.events.fact import Fact, TaskFailure


class ExecutionPaused(Fact, frozen=True, gc=False):
    """Nothing new starts until the execution is resumed; what runs goes on. ``request_id`` asked for it."""

    request_id: str = ""
    reason: str = ""


class ExecutionResumed(Fact, frozen=True, gc=False):
    """Work goes on: after a pause, or where the time limit had stopped it.

    ``limit_ms`` is what the execution has from now on; 0 leaves it what was left.
    """

    request_id: str = ""
    limit_ms: int = 0


class TaskUnwanted(Fact, frozen=True, gc=False):
    """Somebody cancelled this task alone, perhaps once more and now by force; it counts as failed to others.

    It ends at once where nothing of it runs, and otherwise with its attempt or its sub-workflow.
    """

    task_id: str
    request_id: str = ""
    reason: str = ""
    is_forced: bool = False


class ExecutionReprioritized(Fact, frozen=True, gc=False):
    """What has not started goes by another strategy or priority; see ``ReprioritizeExecution``."""

    request_id: str = ""
    strategy: str = ""
    priority: int | None = None
    order: tuple[int, ...] = ()


class BaselineAdopted(Fact, frozen=True, gc=False):
    """What has not started goes by this schedule, made for this version of the plan, from now on."""

    request_id: str
    baseline: Baseline
    plan_version: int = 0


class TaskPaused(Fact, frozen=True, gc=False):
    """The task does not start until it is resumed; an attempt that runs goes on."""

    task_id: str
    request_id: str = ""
    reason: str = ""


class TaskResumed(Fact, frozen=True, gc=False):
    """The task may start again."""

    task_id: str
    request_id: str = ""


class TaskWithdrawn(Fact, frozen=True, gc=False):
    """The pool is no longer asked for the task's resources, granted or not: the task is ready again."""

    task_id: str
    attempt: int


class TaskStartTimeoutReached(Fact, frozen=True, gc=False):
    """The attempt was sent to a worker and has not started in time: it is withdrawn unless it has by now."""

    task_id: str
    attempt: int


class TaskPreempted(Fact, frozen=True, gc=False):
    """The pool wants the attempt's resources for the allocation ``by``: its worker is asked to stop it.

    It holds them until it has ended. That counts neither as a failure nor as a loss.
    """

    task_id: str
    attempt: int
    by: str
    reason: str = ""


class DeadlineThreatened(Fact, frozen=True, gc=False):
    """A task still waits for resources that has to start by ``start_by``, or a deadline is missed.

    It is said once for an execution, of the first such task. Instants are Unix milliseconds.
    """

    task_id: str
    start_by: int


class TimeLimitStopped(Fact, frozen=True, gc=False):
    """The execution's time stands still: it is paused, or all that is left of it only waits."""


class TimeLimitResumed(Fact, frozen=True, gc=False):
    """The execution's time goes on, its limit moved by as long as it stood still."""


class TaskFellBack(Fact, frozen=True, gc=False):
    """The task failed for good as it was, so its fallback runs in its place, with attempts of its own."""

    task_id: str
    attempt: int
    finished_at: int
    error: TaskFailure


class FailFastBegan(Fact, frozen=True, gc=False):
    """The task's failure ends everything: what runs is stopped and nothing else starts."""

    task_id: str


class TaskParked(Fact, frozen=True, gc=False):
    """Too many attempts were lost with their workers, perhaps by the task's fault: somebody must decide."""

    task_id: str
    attempt: int
    reason: str


class TaskReleased(Fact, frozen=True, gc=False):
    """A parked task may run again."""

    task_id: str
    request_id: str = ""


ControlEvent = (
    ExecutionPaused
    | ExecutionResumed
    | TaskUnwanted
    | ExecutionReprioritized
    | BaselineAdopted
    | TaskPaused
    | TaskResumed
    | TaskWithdrawn
    | TaskStartTimeoutReached
    | TaskPreempted
    | DeadlineThreatened
    | TimeLimitStopped
    | TimeLimitResumed
    | TaskFellBack
    | FailFastBegan
    | TaskParked
    | TaskReleased
)
