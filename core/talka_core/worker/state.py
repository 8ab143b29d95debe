"""What a worker knows of its incarnation and its attempts, and the facts that change it."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from talka_protocols.messages import (
    AttemptFinished,
    ConfirmProgress,
    RecordProgress,
    RegisterWorker,
    StartTask,
)

SEEN_KEPT = 50_000
"""How many tasks the worker remembers the highest attempt of."""

TaskKey = tuple[str, str]


class AttemptRecord(Struct):
    """One attempt on this worker; ``report`` is set when it has ended and is not settled yet.

    ``unconfirmed`` is what its task saved and waits to have recorded, by sequence.
    """

    attempt: int
    start: StartTask | None = None
    started_at: int = 0
    is_stopping: bool = False
    is_handed_back: bool = False
    is_cut_off: bool = False
    is_forced: bool = False
    report: AttemptFinished | None = None
    unconfirmed: dict[int, RecordProgress] = {}

    @property
    def is_running(self) -> bool:
        """Tell whether the executor still has it."""
        return self.report is None


class WorkerRecord(Struct):
    """One worker's state; ``offer`` is what it registers with.

    ``is_enlisting`` says that the incarnation is over; the next one is recorded only when it
    ``is_stopped``, which is when none of ``attempts`` and ``replaced`` runs any more.
    ``replaced`` are attempts that still run although a newer one took their place in ``attempts``.
    ``is_drain_recorded`` says that the pool knows that this incarnation is draining.
    ``is_cut_off`` says that the pool does not hear it: attempts that hold
    pool-wide amounts may not run, because the pool may give those to others.
    """

    worker_id: str
    version: int = 0
    offer: RegisterWorker | None = None
    incarnation: int = 0
    is_admitted: bool = False
    is_enlisting: bool = False
    is_stopped: bool = False
    is_draining: bool = False
    is_drain_recorded: bool = False
    is_handing_back: bool = False
    is_cut_off: bool = False
    attempts: dict[TaskKey, AttemptRecord] = {}
    replaced: dict[tuple[TaskKey, int], None] = {}
    seen: dict[TaskKey, int] = {}


class AttemptAccepted(Struct, frozen=True):
    """The attempt will run here."""

    start: StartTask


class AttemptBegun(Struct, frozen=True):
    """The executor has begun."""

    key: TaskKey
    attempt: int
    started_at: int


class ProgressReported(Struct, frozen=True):
    """The attempt saved something; it is sent until that is recorded."""

    progress: RecordProgress


class ProgressSettled(Struct, frozen=True):
    """What the attempt saved is recorded, or refused."""

    confirmation: ConfirmProgress


class AttemptReported(Struct, frozen=True):
    """The attempt has ended, or never ran; the report is kept until it is settled."""

    report: AttemptFinished


class ReplacedEnded(Struct, frozen=True):
    """An attempt that a newer one had replaced runs no more; nobody waits for its report."""

    key: TaskKey
    attempt: int


class AttemptStopping(Struct, frozen=True):
    """The attempt is to be stopped; one that stops already is to be killed if it ``is_forced`` now."""

    key: TaskKey
    attempt: int
    is_handed_back: bool = False
    is_cut_off: bool = False
    is_forced: bool = False


class AttemptSettled(Struct, frozen=True):
    """Nobody needs the report any more."""

    key: TaskKey


class EnlistingBegan(Struct, frozen=True):
    """The pool gave this incarnation up; the next one is recorded when nothing of it runs any more."""


class IncarnationStopped(Struct, frozen=True):
    """Nothing of the incarnation runs any more, so that the next one truly has what it offers."""


class IncarnationBegan(Struct, frozen=True):
    """The next incarnation is recorded and asks to be admitted."""

    incarnation: int


class Admitted(Struct, frozen=True):
    """The pool has recorded the incarnation."""


class DrainBegan(Struct, frozen=True):
    """The worker asks the pool for nothing new; what is on its way to it still runs."""


class DrainRecorded(Struct, frozen=True):
    """The pool grants this incarnation nothing any more."""


class HandBackBegan(Struct, frozen=True):
    """The worker gives back what runs and whatever still comes."""


class CutOff(Struct, frozen=True):
    """The pool has heard nothing of us for a whole lease, as far as we can know."""


class CutOffEnded(Struct, frozen=True):
    """The pool hears us again."""


WorkerFact = (
    AttemptAccepted
    | AttemptBegun
    | ProgressReported
    | ProgressSettled
    | AttemptReported
    | ReplacedEnded
    | AttemptStopping
    | AttemptSettled
    | EnlistingBegan
    | IncarnationStopped
    | IncarnationBegan
    | Admitted
    | DrainBegan
    | DrainRecorded
    | HandBackBegan
    | CutOff
    | CutOffEnded
)


def initial(worker_id: str) -> WorkerRecord:
    """Return the state before anything happened."""
    return WorkerRecord(worker_id)


def evolve(state: WorkerRecord, fact: WorkerFact, _at: int) -> None:
    """Remember one fact; total, and nothing else."""
    state.version += 1
    match fact:
        case AttemptAccepted():
            key = (fact.start.execution_id, fact.start.task.id)
            _replace(state, key, AttemptRecord(fact.start.attempt, fact.start))
            _see(state, key, fact.start.attempt)
        case AttemptBegun():
            state.attempts[fact.key].started_at = fact.started_at
        case ProgressReported():
            made = fact.progress
            state.attempts[made.execution_id, made.task_id].unconfirmed[made.sequence] = made
        case ProgressSettled():
            done = fact.confirmation
            state.attempts[done.execution_id, done.task_id].unconfirmed.pop(done.sequence, None)
        case AttemptReported():
            _report(state, fact.report)
        case ReplacedEnded():
            state.replaced.pop((fact.key, fact.attempt), None)
        case AttemptStopping():
            record = state.attempts[fact.key]
            record.is_stopping, record.is_handed_back = True, fact.is_handed_back
            record.is_cut_off, record.is_forced = fact.is_cut_off, fact.is_forced
        case AttemptSettled():
            state.attempts.pop(fact.key, None)
        case EnlistingBegan():
            state.is_enlisting, state.is_admitted, state.is_drain_recorded = True, False, False
        case IncarnationStopped():
            state.is_stopped = True
        case IncarnationBegan():
            state.incarnation, state.is_enlisting, state.is_admitted = fact.incarnation, False, False
            state.is_stopped = state.is_drain_recorded = False
        case Admitted():
            state.is_admitted = True
        case DrainBegan():
            state.is_draining = True
        case DrainRecorded():
            state.is_drain_recorded = True
        case HandBackBegan():
            state.is_handing_back = True
        case CutOff() | CutOffEnded():
            state.is_cut_off = isinstance(fact, CutOff)
        case _:
            assert_never(fact)


def _report(state: WorkerRecord, report: AttemptFinished) -> None:
    key = (report.execution_id, report.task_id)
    record = state.attempts.get(key)
    if record is None or record.attempt != report.attempt:
        record = AttemptRecord(report.attempt)
        _replace(state, key, record)
        _see(state, key, report.attempt)
    record.report, record.start = report, None
    record.unconfirmed.clear()


def _replace(state: WorkerRecord, key: TaskKey, record: AttemptRecord) -> None:
    older = state.attempts.get(key)
    if older is not None and older.is_running:
        state.replaced[key, older.attempt] = None
    state.attempts[key] = record


def _see(state: WorkerRecord, key: TaskKey, attempt: int) -> None:
    state.seen[key] = attempt
    if len(state.seen) > SEEN_KEPT:
        del state.seen[next(iter(state.seen))]
