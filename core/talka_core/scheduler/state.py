"""What the scheduler remembers of one execution.

Invariants, checked by the property tests:
S1 a task is READY or further only when what its join asks for has succeeded;
S2 ``active`` counts the tasks that are QUEUED, SCHEDULED or RUNNING;
S3 every allocation that the execution was granted is held by exactly one
   active task, or is ``kept`` for a moment on the ended task that held it, or is
   in ``returning`` until the pool has recorded its return; ``holder_of`` finds
   whoever has it, or has asked for it, at once.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

from talka_core.scheduler.index import WorkflowIndex
from talka_protocols.baseline import Baseline
from talka_protocols.events import (
    DeadlineThreatened,
    DependencyViolationDetected,
    ExecutionArchived,
    Holder,
    Origin,
    Parent,
    Progress,
    Saved,
    TaskAdopted,
    TaskFailure,
    TasksAdded,
    TaskUsageMeasured,
)
from talka_protocols.policies import Then
from talka_protocols.states import FINAL_TASK_STATUSES, ExecutionState, Health, TaskStatus
from talka_protocols.workflow import ClaimCheck, Dependency, Extension, Workflow

KEEP_MS = 20
"""How long an allocation waits for an heir: tasks of one level end within milliseconds of each other."""

REQUESTS_KEPT = 100
"""How many ids of requests are remembered, to hear each of them once."""
SIGNALS_MAX = 100
"""Signals that may be kept for tasks that do not wait yet."""

SIGNAL_IDS_MAX = 1_000
"""Signals that are known again when they are repeated."""

LOST_MAX = 10
"""Attempts that may be lost with their workers before the task itself is blamed and parked."""

PARKED = "parked"
"""What a task waits for that somebody must decide about."""


class Checkpoint(Struct, frozen=True, gc=False):
    """The newest thing that a task saved of its progress, and which attempt did."""

    attempt: int
    sequence: int
    saved: Saved


class TaskRecord(Struct, gc=False):
    """One task's state; instants are milliseconds since the epoch, 0 for never.

    ``round`` counts how often its effect was asked for anew: attempts of one
    round share an idempotency key. ``undoes`` is the task that it undoes, if it
    is a compensation. ``ended_version`` is the version at which it ended;
    ``spans`` are those at which it became active and ceased to be, in turn.
    ``may_have_acted`` says that an attempt of this round was sent to a worker,
    and ``is_unclear`` that one was lost or stopped, so that nobody knows what it did;
    ``newest_fence`` is that of the newest one, or of what undid it.
    ``is_tolerated`` says that its end without success is no fault of the
    execution; ``added_at`` is the version at which it joined the graph, 0 for
    the definition's own; ``iteration`` counts the rounds of a loop that are
    over. ``waiting`` is the kind of what it waits for, ``awaited`` its name,
    ``asked`` what is shown to whoever may end it, and ``answer`` what has come
    for it once it ``is_answered``. ``children`` are the executions of its
    sub-workflow in this round that nothing has undone. ``steps`` are the results of finished steps
    inside the task, by name. ``is_paused`` keeps it from starting;
    ``near`` is the worker that holds what it takes in;
    ``is_expired`` says that the execution's time limit cancelled it, and
    ``is_fallback`` that its fallback runs in its place. ``is_unwanted`` says
    that somebody cancelled it alone, ``is_forced_out`` that this was by force, and
    ``unwanted_reason`` why. ``is_overdue`` says that the attempt did not start in
    time, so that its worker was asked not to start it any more;
    ``paused_version`` is the version at which the pause began that it is in.
    Under the name ``gang`` it was asked for with others,
    so many ``members`` in all, and 0 once it has been granted so. It has to start by
    ``start_by``, or a deadline is missed. An attempt that ``is_preempted`` is being
    stopped for a better rank, ``preempted`` says why, and ``preemptions`` counts those of the task.
    The newest attempt takes in what others had returned by ``began_version``.
    """

    status: TaskStatus = TaskStatus.PENDING
    waits_for: int = 0
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    rank: tuple[float, ...] = ()
    worker_id: str = ""
    incarnation: int = 0
    allocation_id: str = ""
    fence: int = 0
    hands: int = 0
    hands_until: int = 0
    is_shared: bool = False
    is_stopping: bool = False
    ready_at: int = 0
    queued_at: int = 0
    scheduled_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    due_at: int = 0
    result: Raw = Raw(b"null")  # msgspec cannot read an optional Raw back
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}
    error: TaskFailure | None = None
    because: str = ""
    condition: str = ""
    is_tolerated: bool = False
    waiting: str = ""
    added_at: int = 0
    round: int = 1
    undoes: str = ""
    ended_version: int = 0
    spans: list[int] = []
    may_have_acted: bool = False
    is_unclear: bool = False
    newest_fence: int = 0
    awaited: str = ""
    asked: Raw = Raw(b"null")
    answer: Raw = Raw(b"null")
    is_answered: bool = False
    is_child_started: bool = False
    children: list[str] = []
    iteration: int = 0
    checkpoint: Checkpoint | None = None
    steps: dict[str, Saved] = {}
    is_paused: bool = False
    is_expired: bool = False
    is_fallback: bool = False
    is_forced: bool = False
    near: str = ""
    is_unwanted: bool = False
    is_forced_out: bool = False
    unwanted_reason: str = ""
    is_overdue: bool = False
    paused_version: int = 0
    gang: str = ""
    members: int = 0
    start_by: int = 0
    is_preempted: bool = False
    preempted: str = ""
    preemptions: int = 0
    began_version: int = 0

    @property
    def is_over(self) -> bool:
        """Tell whether what it returned is its result; what a round of a loop returned is none."""
        return self.status in FINAL_TASK_STATUSES or self.status is TaskStatus.COMPENSATING

    @property
    def is_failure(self) -> bool:
        """Tell whether it ended so that it counts as failed: also if somebody cancelled it alone."""
        is_out = self.status is TaskStatus.CANCELLED and self.is_unwanted and not self.because
        return is_out or self.status in (TaskStatus.FAILED, TaskStatus.TIMED_OUT)


class Return(Struct, frozen=True):
    """An allocation, or a request, on its way back to the pool, or to its next holder.

    ``failed`` are the fences of its attempts that failed by their agent's fault
    and that the pool may not know of; ``health`` is what the last one says.
    """

    holder: Holder
    fence: int
    failed: tuple[int, ...] = ()
    health: Health = Health.UNKNOWN


class Kept(Struct, frozen=True):
    """An allocation that waits for an heir on the ended task that held it."""

    task_id: str
    until: int
    health: Health = Health.UNKNOWN


class Signal(Struct, frozen=True):
    """A signal that no task has taken yet."""

    name: str
    signal_id: str
    data: Raw = Raw(b"null")


class OpenExtension(Struct):
    """What a task wants to add to the graph, until that is done and the task has ended."""

    extension: Extension
    finished_at: int
    dependencies: tuple[Dependency, ...] = ()
    is_accepted: bool = False
    is_settled: bool = False


class MapRecord(Struct):
    """A map's items: how many there are, are tasks already, have ended, and ended without success.

    ``since`` is the version at which it began to wait for them. Those that are
    tasks are the first ones of the list if they were ``taken_in_order``; a map
    that goes on with what it kept may lack any.
    """

    items: int
    added: int = 0
    ended: int = 0
    failed: int = 0
    since: int = 0
    taken_in_order: bool = False


class Rollback(Struct, frozen=True):
    """On the way back to event ``to``; ``tasks`` had not ended then.

    One that ``has_failed`` stands still until it is asked for again. Maps that
    are ``resumed`` keep the items that are not among the tasks, and what was ``paused`` stays so.
    ``progress`` is what one of the tasks goes on from afterwards.
    """

    to: int
    tasks: tuple[str, ...]
    then: Then
    has_failed: bool = False
    resumed: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    progress: Progress | None = None


class Retired(Struct, frozen=True):
    """What is remembered of a task that left the graph: one that comes back under its id counts on."""

    attempt: int
    round: int
    newest_fence: int


class Artifact(Struct, frozen=True, gc=False):
    """Who wrote an artifact last, and where its content is if it is kept."""

    task_id: str
    attempt: int
    claim: ClaimCheck | None = None


class ExecutionRecord(Struct):
    """One execution's state; ``index`` and ``holders`` are derived from the rest and not part of snapshots.

    ``holders`` are the tasks by the allocations that they have, or have asked for.
    ``broken`` are groups by name, with the member that failed.
    ``added`` are the additions to the graph and ``added_versions`` when they
    were made. ``lost_spans`` are ranges of events (first, and the one after the
    last) whose state nothing can bring back, because what had ended then was
    undone or run again. ``requests`` are the newest ids of requests that must
    not be followed twice.
    ``signals`` are those kept for tasks to come, ``signal_ids`` the newest that
    were recorded. ``parent`` is the task whose sub-workflow it is,
    and ``undone_for`` is what undoes that task, once that has asked to have everything here undone.
    ``limit_ms`` is its time limit and ``limit_stopped_at`` the instant since
    which that stands still, 0 while it goes on. ``is_failing`` says that one failure
    ends everything; ``is_forced`` that what runs is killed instead of asked to end.
    ``order`` are the tasks of the definition by position, in the order that was planned for them;
    ``strategy`` and ``priority`` are what somebody chose since, in place of the definition's.
    ``origin`` is what it was forked from, and ``adopting`` what it has still to take over,
    after the additions to the graph that are ``growing``.
    ``archived`` says where it lies, if nothing else of it is here any more.
    ``is_off_baseline`` says that something went otherwise than the baseline schedule knows,
    ``is_replanned`` that another schedule was adopted under way; ``plan_version`` counts both.
    """

    execution_id: str
    version: int = 0
    status: ExecutionState | None = None
    workflow: Workflow | None = None
    definition: ClaimCheck | None = None
    index: WorkflowIndex = field(default_factory=WorkflowIndex)
    tasks: dict[str, TaskRecord] = {}
    holders: dict[str, str] = {}
    extensions: dict[str, OpenExtension] = {}
    maps: dict[str, MapRecord] = {}
    added: list[TasksAdded] = []
    added_versions: list[int] = []
    retired: dict[str, Retired] = {}
    rollback: Rollback | None = None
    broken: dict[str, str] = {}
    lost_spans: list[tuple[int, int]] = []
    requests: list[str] = []
    ready: list[tuple[tuple[float, ...], str]] = []
    active: int = 0
    queued: int = 0
    unfinished: int = 0
    returning: dict[str, Return] = {}
    handing: dict[str, Return] = {}
    kept: dict[str, Kept] = {}
    failed: list[str] = []
    accepted_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    timeout_at: int = 0
    is_cancelling: bool = False
    is_timing_out: bool = False
    reason: str = ""
    name: str = ""
    schedule: str = ""
    artifacts: dict[str, Artifact] = {}
    readers: dict[str, dict[str, str]] = {}
    violations: list[DependencyViolationDetected] = []
    signals: list[Signal] = []
    signal_ids: dict[str, None] = {}
    parent: Parent | None = None
    is_parent_informed: bool = False
    undone_for: Parent | None = None
    limit_ms: int = 0
    limit_stopped_at: int = 0
    is_failing: bool = False
    is_forced: bool = False
    origin: Origin | None = None
    adopting: dict[str, TaskAdopted] = {}
    order: tuple[int, ...] = ()
    usage: dict[str, TaskUsageMeasured] = {}
    baseline: Baseline | None = None
    is_off_baseline: bool = False
    is_replanned: bool = False
    plan_version: int = 0
    growing: list[TasksAdded] = []
    strategy: str = ""
    priority: int | None = None
    threatened: DeadlineThreatened | None = None
    archived: ExecutionArchived | None = None

    @property
    def is_reordered(self) -> bool:
        """Tell whether another order came under way than the one that the execution began with."""
        return bool(self.strategy) or self.priority is not None or self.is_replanned

    @property
    def is_stopping(self) -> bool:
        """Tell whether everything is being brought to an end."""
        return self.is_cancelling or self.is_timing_out or self.is_failing

    @property
    def may_start(self) -> bool:
        """Tell whether anything new may start."""
        is_under_way = self.status in (ExecutionState.RUNNING, ExecutionState.ROLLING_BACK)
        return is_under_way and not self.is_stopping

    @property
    def is_rolling_back(self) -> bool:
        """Tell whether only compensations may start."""
        return self.status is ExecutionState.ROLLING_BACK

    def holder_of(self, allocation: str) -> str | None:
        """Return the task that has an allocation, or has asked for it; None if no task has."""
        task_id = self.holders.get(allocation, "")
        record = self.tasks.get(task_id)
        # A task that begins anew gets a record that has none.
        return task_id if record is not None and record.allocation_id == allocation else None

    def holds_back(self, record: TaskRecord) -> bool:
        """Tell whether a task may not start although all that it needs has happened."""
        return self.is_stopping or (self.is_rolling_back and not record.undoes)

    @property
    def pool(self) -> str:
        """Return the pool that the execution runs on."""
        if self.archived is not None:
            return self.archived.pool
        return self.workflow.config.pool if self.workflow else "default"


def initial(execution_id: str) -> ExecutionRecord:
    """Return the state before anything happened."""
    return ExecutionRecord(execution_id)


def allocation_id(execution_id: str, task_id: str, attempt: int) -> str:
    """Name what one attempt asks of the pool."""
    return f"{execution_id}/{task_id}/{attempt}"
