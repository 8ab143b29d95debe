"""Messages between actors: requests are imperative, reports past tense.

Each names the state it is for (``key``: an execution, a pool or a worker).
Messages travel in envelopes, many at once; every sender re-sends what is not
settled, so every receiver ignores repeats by the message's own content.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Raw, Struct, field

from talka_protocols.events import Holder, TaskFailure
from talka_protocols.workflow import ClaimCheck, Task, Workflow


class Recipient(StrEnum):
    """The kinds of inbox."""

    PLANNER = "planner"
    SCHEDULER = "scheduler"
    RESOURCE = "resource"
    WORKER = "worker"
    CLIENT = "client"


class Say(Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True, gc=False):
    """Root of all messages."""


class ToExecution(Say, frozen=True, gc=False):
    """For the planner or the scheduler: about one execution."""

    execution_id: str

    @property
    def key(self) -> str:
        """Return the execution id."""
        return self.execution_id


class ToPool(Say, frozen=True, gc=False):
    """For the resource actor: about one pool."""

    pool: str

    @property
    def key(self) -> str:
        """Return the pool's name."""
        return self.pool


class ToWorker(Say, frozen=True, gc=False):
    """For one worker."""

    worker_id: str

    @property
    def key(self) -> str:
        """Return the worker's id."""
        return self.worker_id


class ToClient(Say, frozen=True, gc=False):
    """For one client."""

    client_id: str

    @property
    def key(self) -> str:
        """Return the client's id."""
        return self.client_id


# --- to the planner ------------------------------------------------------------------------------


class SubmitWorkflow(ToExecution, frozen=True, gc=False):
    """A client asks for an execution under an id of its choice."""

    workflow: Workflow | None = None
    definition: ClaimCheck | None = None


class ExecutionRecorded(ToExecution, frozen=True, gc=False):
    """The scheduler has recorded what the planner handed over."""


# --- to the scheduler ----------------------------------------------------------------------------


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


# --- to the resource actor -----------------------------------------------------------------------


class RequestAllocation(ToPool, frozen=True, gc=False):
    """Somebody wants amounts on one worker that can run ``agent_type``."""

    allocation_id: str
    holder: Holder
    agent_type: str = ""
    amounts: dict[str, float] = {}
    rank: tuple[float, ...] = ()
    reservation_id: str = ""


class ReleaseAllocation(ToPool, frozen=True, gc=False):
    """The holder gives an allocation back, or no longer wants what it asked for."""

    allocation_id: str
    holder: Holder = field(default_factory=Holder)
    fence: int = 0


class RecordHandOn(ToPool, frozen=True, gc=False):
    """An execution handed an allocation on."""

    allocation_id: str
    holder: Holder
    fence: int


class RegisterWorker(ToPool, frozen=True, gc=False):
    """A worker's incarnation offers its capacity and names the allocations it still runs.

    One that ``is_draining`` joins so that it is known, and is granted nothing.
    """

    worker_id: str
    incarnation: int
    agent_types: tuple[str, ...]
    slots: int
    capacity: dict[str, float] = {}
    slots_by_agent: dict[str, int] = {}
    running: tuple[str, ...] = ()
    is_draining: bool = False


class DrainWorker(ToPool, frozen=True, gc=False):
    """The worker takes nothing new."""

    worker_id: str
    incarnation: int


class WorkerLeft(ToPool, frozen=True, gc=False):
    """The worker's incarnation has ended, or has been silent for its whole lease."""

    worker_id: str
    incarnation: int
    reason: str = ""


class ClientLeft(ToPool, frozen=True, gc=False):
    """A client that held allocations or reservations has been silent for its whole lease."""

    client_id: str


class ReserveResources(ToPool, frozen=True, gc=False):
    """A client wants amounts kept for it; ``ttl_ms`` counts from the grant."""

    reservation_id: str
    client_id: str
    amounts: dict[str, float] = {}
    agent_type: str = ""
    ttl_ms: int = 60_000


class EndReservation(ToPool, frozen=True, gc=False):
    """The client no longer needs its reservation."""

    reservation_id: str
    client_id: str = ""


class ConfigurePool(ToPool, frozen=True, gc=False):
    """The pool's operator declares what the pool is, in place of what was declared before.

    ``shared`` are amounts that the pool has as a whole. ``ceiling`` is the most
    that one worker will ever offer, and ``agent_types`` what will ever be
    served; None leaves them open.
    """

    shared: dict[str, float] = {}
    ceiling: dict[str, float] | None = None
    agent_types: tuple[str, ...] | None = None


# --- to a worker ---------------------------------------------------------------------------------


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
    ``incarnation`` is the one the allocation stands on; another one must not run the attempt.
    ``is_shared`` says that the allocation holds pool-wide amounts, so that the
    worker stops the attempt when it has lost contact with the pool.
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


class CancelTask(ToWorker, frozen=True, gc=False):
    """Stop an attempt, or never start it."""

    execution_id: str
    task_id: str
    attempt: int


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


# --- to a client ---------------------------------------------------------------------------------


class AllocationAnswered(ToClient, frozen=True, gc=False):
    """A client's request was granted."""

    allocation_id: str
    worker_id: str
    fence: int
    amounts: dict[str, float]
    granted_at: int


class ReleaseAnswered(ToClient, frozen=True, gc=False):
    """A client's release was recorded."""

    allocation_id: str


class ReservationAnswered(ToClient, frozen=True, gc=False):
    """A client's reservation was made, or refused with a reason."""

    reservation_id: str
    expires_at: int = 0
    reason: str = ""


# --- within one actor ----------------------------------------------------------------------------


class TimerFired(Say, frozen=True, gc=False):
    """A timer that the state asked for ran out on a monotonic clock."""

    key: str
    name: str


class AttemptBegan(ToWorker, frozen=True, gc=False):
    """The executor has begun; ``started_at`` in Unix milliseconds."""

    execution_id: str
    task_id: str
    attempt: int
    started_at: int


class AttemptEnded(ToWorker, frozen=True, gc=False):
    """The executor has ended, or was stopped, and nothing of it runs any more."""

    report: AttemptFinished


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


class Advance(Say, frozen=True, gc=False):
    """Do whatever the recorded state calls for; said after every fold."""

    key: str


PlannerMessage = SubmitWorkflow | ExecutionRecorded | Advance
SchedulerMessage = (
    AttemptFinished
    | AttemptStarted
    | GrantAllocation
    | ConfirmRelease
    | ConfirmHandOn
    | StartExecution
    | CancelExecution
    | RevokeAllocation
    | WithdrawPermit
    | TimerFired
    | Advance
)
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
    | TimerFired
    | Advance
)
WorkerMessage = (
    StartTask
    | SettleReport
    | AttemptEnded
    | AttemptBegan
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
ClientMessage = AllocationAnswered | ReleaseAnswered | ReservationAnswered
Message = PlannerMessage | SchedulerMessage | ResourceMessage | WorkerMessage | ClientMessage


class Letter(Struct, frozen=True, array_like=True, gc=False):
    """One message under its id, ``<log>:<version>:<position>`` of the event that called for it."""

    id: str
    message: Message


class Parcel(Struct, frozen=True, array_like=True):
    """Letters of one sender; receivers drop what carries an older epoch than they have seen."""

    sender: str
    epoch: int
    letters: tuple[Letter, ...]


class Envelope(Struct, frozen=True):
    """What travels: the parcels that one batch has for one inbox."""

    parcels: tuple[Parcel, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the envelope's bytes."""
    return _encoder.encode(envelope)


def encode_letter(letter: Letter) -> bytes:
    """Return one letter's bytes, for ``sealed_letters``."""
    return _encoder.encode(letter)


def sealed_letters(sender: str, epoch: int, letters: Sequence[bytes]) -> bytes:
    """Return the envelope that holds one parcel of letters that are encoded already."""
    head = _encoder.encode((sender, epoch))[:-1]
    return b'{"parcels":[' + head + b",[" + b",".join(letters) + b"]]]}"


def decode_envelope(body: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        msgspec.DecodeError: the bytes are no envelope; the inbox sets them aside.
    """
    return _decoder.decode(body)


def sealed(sender: str, message: Message, *, letter_id: str, epoch: int = 0) -> bytes:
    """Return the envelope that holds nothing but one message of one sender."""
    return encode_envelope(Envelope((Parcel(sender, epoch, (Letter(letter_id, message),)),)))
