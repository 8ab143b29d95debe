"""To one worker, from others and from its own process."""

from __future__ import annotations

from msgspec import Raw, Struct

from talka_protocols.events import Saved
from talka_protocols.messages.execution import AttemptFinished, RecordProgress
from talka_protocols.messages.growth import Refusal
from talka_protocols.messages.kinds import Advance, ToWorker
from talka_protocols.workflow import ClaimCheck, Task


class Excerpt(Struct, frozen=True):
    """A part of a stored result: the object and the path into it."""

    claim: ClaimCheck
    path: tuple[str, ...] = ()


class StartTask(ToWorker, frozen=True, gc=False):
    """Run one attempt.

    ``inputs`` maps each reference in the payload to its value, and ``excerpts``
    those whose value must be taken out of a stored object. ``extract`` names
    the paths of this task's own result that others refer to, by reference.
    ``bundle`` names a stored object that holds the inputs when they are too
    large to travel here.
    ``effect_key`` names the attempt's effect (see ``Attempt.idempotency_key``).
    ``incarnation`` is the one the allocation stands on; another one must not run the attempt.
    ``is_shared`` says that the allocation holds pool-wide amounts, so that the
    worker stops the attempt when it has lost contact with the pool.
    ``checkpoint`` and ``steps``, by name, are what earlier attempts saved.
    """

    execution_id: str
    attempt: int
    fence: int
    allocation_id: str
    task: Task
    inputs: dict[str, Raw] = {}
    excerpts: dict[str, Excerpt] = {}
    extract: dict[str, tuple[str, ...]] = {}
    incarnation: int = 0
    is_shared: bool = False
    bundle: ClaimCheck | None = None
    effect_key: str = ""
    checkpoint: Saved | None = None
    steps: dict[str, Saved] = {}


class CancelTask(ToWorker, frozen=True, gc=False):
    """Stop an attempt, at once if it ``is_forced``, or never start it.

    With ``unless_started`` one that has started goes on. What a worker's other ``incarnation`` made of
    it, the worker cannot know: then it is lost. 0 is any.
    """

    execution_id: str
    task_id: str
    attempt: int
    is_forced: bool = False
    unless_started: bool = False
    incarnation: int = 0


class SettleReport(ToWorker, frozen=True, gc=False):
    """The execution's log holds the outcome, or wants none: stop reporting the attempt."""

    execution_id: str
    task_id: str
    attempt: int


class AdmitWorker(ToWorker, frozen=True, gc=False):
    """The pool has recorded the incarnation; allocations in ``stop`` are no longer its own."""

    incarnation: int
    stop: tuple[str, ...] = ()


class ConfirmDrain(ToWorker, frozen=True, gc=False):
    """The pool has recorded that the incarnation takes nothing new, or that it is gone."""

    incarnation: int


class RejoinWorker(ToWorker, frozen=True, gc=False):
    """The pool gave this incarnation up; a new one must register."""

    incarnation: int


class AttemptBegan(ToWorker, frozen=True, gc=False):
    """The executor has begun; ``started_at`` in Unix milliseconds."""

    execution_id: str
    task_id: str
    attempt: int
    started_at: int


class AttemptEnded(ToWorker, frozen=True, gc=False):
    """The executor has ended, or was stopped, and nothing of it runs any more."""

    report: AttemptFinished


class ProgressMade(ToWorker, frozen=True, gc=False):
    """A task on this worker saved something and waits until it is recorded."""

    progress: RecordProgress


class ConfirmProgress(ToWorker, frozen=True, gc=False):
    """The execution's log holds what the attempt saved, or never will: then ``refusal`` says why."""

    execution_id: str
    task_id: str
    attempt: int
    sequence: int
    refusal: Refusal | None = None
    claim: ClaimCheck | None = None


class Enlisted(ToWorker, frozen=True, gc=False):
    """The worker's log holds its new incarnation."""

    incarnation: int


class Drain(ToWorker, frozen=True, gc=False):
    """Take nothing new; with ``hand_back`` stop what runs and give it back."""

    hand_back: bool = False


class ContactLost(ToWorker, frozen=True, gc=False):
    """The pool has acknowledged no heartbeat for a whole lease, on the worker's monotonic clock."""


class ContactMade(ToWorker, frozen=True, gc=False):
    """The pool acknowledges heartbeats again."""


WorkerMessage = (
    StartTask
    | SettleReport
    | AttemptEnded
    | AttemptBegan
    | ProgressMade
    | ConfirmProgress
    | CancelTask
    | AdmitWorker
    | ConfirmDrain
    | RejoinWorker
    | Enlisted
    | Drain
    | ContactLost
    | ContactMade
    | Advance
)
