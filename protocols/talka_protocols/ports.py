"""Ports: what the actors need from the world, as structural types.

Each has a contract suite in ``tests/contract`` that runs over every
implementation. A *position* is the place of a commit in its log as the
implementation counts it (JetStream: the stream sequence); 0 means the log is
empty. Positions grow, versions (counted per event) are gapless.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any, Protocol

from msgspec import Raw, Struct

from talka_protocols.messages import Mark
from talka_protocols.subjects import LogName
from talka_protocols.tasklogs import Channel
from talka_protocols.workflow import ClaimCheck, Dependency, Task


class StoredCommit(Struct, frozen=True):
    """One commit as it lies in a log: its place and its exact bytes.

    ``stored_at`` is when it was stored (milliseconds since the epoch), 0 where nobody asked.
    One that lies there sealed has its plain bytes in ``body``, and those of the log in ``sealed``.
    """

    log: LogName
    position: int
    body: bytes
    commit_id: str
    stored_at: int = 0
    sealed: bytes = b""


class Heap(Struct, frozen=True):
    """Some commits of many logs in the order of their positions, and how many messages are yet to be read."""

    commits: tuple[StoredCommit, ...]
    following: int


class Log(Protocol):
    """Append-only logs with optimistic concurrency, one writer at a time each."""

    async def append(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append one commit behind position ``after`` and return its position.

        The same bytes are sent again after a time-out until there is a
        definite answer; an append of ours whose answer was lost is recognised
        by ``commit_id`` and returns its position.

        Raises:
            ConflictError: the log's last position is not ``after``.
        """
        ...

    async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
        """Return the commits behind position ``after``, oldest first, as the leader has them."""
        ...

    async def names(self, kind: str, shard: str | None = None) -> Sequence[LogName]:
        """Return the names of the logs of one kind that hold at least one commit."""
        ...

    def follow(self, log: LogName, after: int = 0) -> AsyncGenerator[StoredCommit]:
        """Yield the commits behind ``after`` and go on with each new one as it is appended."""
        ...

    def read_all(self, kinds: Collection[str]) -> AsyncGenerator[Heap]:
        """Yield the commits of all logs of these kinds by position, up to the end that there is now."""
        ...


class Snapshot(Struct, frozen=True):
    """A folded state: everything up to ``position`` and ``version``; ``at`` is its last commit's time."""

    position: int
    version: int
    body: bytes
    at: int = 0


class Snapshots(Protocol):
    """The newest snapshots of each log; losing them costs time, never facts."""

    async def save(self, log: LogName, snapshot: Snapshot) -> None:
        """Keep the snapshot unless a newer one is already there."""
        ...

    async def load(self, log: LogName) -> Snapshot | None:
        """Return the newest snapshot, or None."""
        ...


class Delivery(Struct, frozen=True):
    """One envelope that reached an inbox; ``token`` is what acknowledging it takes.

    ``speaker`` is who wrote it, as far as the server vouches for that: see the module ``speakers``.
    """

    body: bytes
    token: Any = None
    speaker: str = "platform"


class Inbox(Protocol):
    """The envelopes sent to one address, redelivered until acknowledged."""

    async def receive(self) -> Sequence[Delivery]:
        """Wait for at least one delivery and return all that are there, oldest first."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these deliveries, and with them every earlier one."""
        ...

    async def close(self) -> None:
        """Stop receiving; what is not acknowledged stays for the next owner."""
        ...


class Post(Protocol):
    """Sends envelopes to inboxes."""

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Publish each (subject, body) in order and return when the server acknowledged all.

        Raises:
            ServerUnavailableError: the server did not acknowledge; sending again is safe.
        """
        ...


class Lease(Protocol):
    """Sole ownership of a name for as long as it is renewed."""

    @property
    def epoch(self) -> int:
        """A number that is larger for every later owner."""
        ...

    def is_held(self) -> bool:
        """Tell, by our own monotonic clock and with margin, whether we still own the name."""
        ...

    async def lost(self) -> None:
        """Return when the lease is lost for good."""
        ...

    async def release(self) -> None:
        """Give the name up at once, for the next owner to take."""
        ...


class Leases(Protocol):
    """Hands out leases."""

    async def acquire(self, name: str, holder: str) -> Lease:
        """Wait until the name is free and take it; ``holder`` is shown to people."""
        ...


class Alarms(Protocol):
    """Envelopes that the server delivers later, by its own wall clock."""

    async def set(self, kind: str, address: str, key: str, due_at: int, body: bytes) -> None:
        """Have an envelope put into an inbox at ``due_at`` (milliseconds since the epoch).

        It takes the place of the alarm that was set for the key before.

        Raises:
            ServerUnavailableError: the server did not acknowledge; setting it again is safe.
        """
        ...

    async def clear(self, kind: str, key: str) -> None:
        """Let the key's alarm not ring; that there is none is no error.

        Raises:
            ServerUnavailableError: the server did not acknowledge; clearing it again is safe.
        """
        ...


class Blobs(Protocol):
    """Large values, stored by digest."""

    async def put(self, data: bytes) -> ClaimCheck:
        """Store the bytes, once however often they are put, and return their claim check."""
        ...

    async def get(self, claim: ClaimCheck) -> bytes:
        """Return the bytes.

        Raises:
            BrokenHistoryError: they are gone, or their digest differs.
        """
        ...


class Progress(Protocol):
    """What a task's attempts have saved, and the way to save more.

    ``checkpoint`` is the newest one as JSON (null if there is none), and
    ``steps`` are the results of finished steps by name.
    """

    checkpoint: Raw
    steps: dict[str, Raw]
    artifacts: dict[str, ClaimCheck | None]
    """What the attempt has written, by name; None for what was only seen to change."""

    async def save(self, mark: Mark, name: str, data: Raw) -> Raw:
        """Return when the execution's log holds it; an artifact's content where one is read.

        Artifacts that are written are recorded with the attempt's success. Their
        content, ``data`` or what is returned, is a JSON text in base64.

        Raises:
            StaleAttemptError: another attempt has taken this one's place.
            TaskFailedError: it is too large, the attempt saves too often, or there is no such artifact.
        """
        ...

    async def settled(self) -> None:
        """Return when nothing that was saved waits to be recorded any more."""
        ...

    def beat(self) -> None:
        """Show that the attempt is alive; that costs nothing and is recorded nowhere."""
        ...


class Meter(Protocol):
    """What an attempt is seen to use; an executor adds what it can see, and what it cannot stays unknown."""

    def add_cpu(self, seconds: float) -> None:
        """Count processor time, of user and system, that the attempt used."""
        ...

    def see_memory(self, megabytes: float) -> None:
        """Note how many MiB the attempt's own processes hold together now; the most is kept."""
        ...

    def see_gpus(self, count: int, megabytes: float) -> None:
        """Note on how many GPUs the attempt's own processes are now, and how many MiB they hold there."""
        ...


class Logbook(Protocol):
    """Takes what an attempt writes; it never blocks, and what is too much is dropped and counted."""

    def write(self, channel: Channel, data: bytes) -> None:
        """Take the next bytes, in UTF-8, of one of the attempt's channels."""
        ...

    def miss(self, channel: Channel, count: int) -> None:
        """Note that so many bytes of a channel are missing from now on."""
        ...


class Extended(Struct, frozen=True):
    """A result together with what the task adds to its own graph; an executor may return it."""

    result: Any = None
    tasks: Sequence[Task] = ()
    dependencies: Sequence[Dependency] = ()


class Attempt(Struct, frozen=True):
    """What an executor is given: one attempt of a task, its references already resolved.

    ``idempotency_key`` is the same for every attempt of the task until its
    effect is undone or it is asked to run again; ``fence`` grows with each, so
    an outside system can refuse an older one. ``progress``
    is what earlier attempts saved, ``meter`` takes what this one is seen to
    use, and ``logbook`` what it prints; an attempt made by hand has none of them.
    ``secrets`` are values in the payload that are to be kept nowhere.
    """

    execution_id: str
    task: Task
    attempt: int
    fence: int
    worker_id: str
    progress: Progress | None = None
    effect_key: str = ""
    meter: Meter | None = None
    logbook: Logbook | None = None
    secrets: tuple[str, ...] = ()

    @property
    def idempotency_key(self) -> str:
        """Name the task's effect: ``EXECUTION/TASK``, from its second round on ``EXECUTION/TASK/ROUND``.

        A compensation's is that of what it undoes with ``/undo`` behind it.
        """
        return self.effect_key or f"{self.execution_id}/{self.task.id}"


class Executor(Protocol):
    """Runs the tasks of one agent type. Others may implement it and register an entry point."""

    async def execute(self, attempt: Attempt) -> Any:
        """Run the attempt and return its result, which must be encodable as JSON.

        On cancellation (``asyncio.CancelledError``) everything that was
        started must be stopped, children included, before this returns.

        Raises:
            TaskFailedError, TaskCrashedError, NotAllowedError: recorded as the outcome.
                Any other exception is recorded as the task's failure with its type and text.
        """
        ...

    async def close(self) -> None:
        """Free whatever is held between attempts."""
        ...
