"""One world: logs, inboxes and leases in memory that fail as one seed says.

What is sent to a log or an inbox is on its way by itself: it arrives although
its sender has died meanwhile, as packets do. Everything that happens goes into
one digest, so that two runs of a seed can be compared.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from talka_chaos.events import EventStream
from talka_chaos.ledger import LogBook
from talka_chaos.progress import Saves
from talka_chaos.runs import Runs
from talka_chaos.swarm import Chance, Faults, draw
from talka_chaos.virtual_loop import at_once
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.messages import StarterMessage
from talka_protocols.ports import Attempt
from talka_protocols.subjects import LogName, Names
from talka_services.memory import MemoryBlobs, MemoryInbox, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.definitions import Definitions

Suffered = tuple[str, int]
"""A fault of one world: its kind, and how many of that kind there were with it."""

EPOCH_MS = 1_700_000_000_000
TAIL_S = 4.0
DAWDLING_S = 15.0
SHARED = {"licence": 1.0}
"""What the pool of every world has as a whole."""


class World:
    """What all processes share, and the only source of chance.

    ``shared`` is what its pool has as a whole. ``suffered`` are the faults, with their moments; of those
    that are drawn only the ones in ``only`` happen, or all of them. Two clocks may differ by ``skew_ms``.
    """

    def __init__(
        self,
        seed: int,
        faults: Faults | None = None,
        *,
        shared: Mapping[str, float] | None = None,
        only: frozenset[Suffered] | None = None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311  (faults are no secret)
        self.faults = faults or draw(self.random)
        self.names = Names("sim")
        self.log = MemoryLog()
        self.post = MemoryPost(self.names)
        self.snapshots = MemorySnapshots()
        self.blobs = MemoryBlobs()
        self.is_stormy = True
        self.epoch_ms = EPOCH_MS
        self.skew_ms = 0
        self.outage_s = (0.0, 0.0)
        self.slow_disk_s = 0.0
        self.dawdling = 0.0
        self.surprises: list[str] = []
        self.acknowledged: list[tuple[LogName, int, str]] = []
        self.listeners: dict[str, Callable[[bytes], object]] = {}
        self.readers: dict[str, list[MemoryInbox]] = {}
        self.shared = dict(SHARED if shared is None else shared)
        self.runs = Runs(self.shared)
        self.book = LogBook(self.runs, Definitions(self.blobs))
        self.injected: Counter[str] = Counter()
        self.suffered: dict[Suffered, float] = {}
        self._only = only
        self._drawn: Counter[str] = Counter()
        self.saves = Saves(seed)
        self.silent: set[tuple[str, str, int]] = set()
        self.killed_s: dict[tuple[str, str, int], float] = {}
        self.events = EventStream()
        self.asked: list[StarterMessage] = []
        self.happenings = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._arrivals: dict[str, float] = {}

    # --- chance --------------------------------------------------------------------------------

    def strikes(self, chance: Chance) -> bool:
        """Tell whether a fault happens now, and count it."""
        is_drawn = self.is_stormy and self.random.random() < getattr(self.faults, chance)
        is_now = is_drawn and self.allows(chance)
        self.injected[chance] += is_now
        return is_now

    def allows(self, kind: str) -> bool:
        """Tell whether a fault that is drawn for now may happen, and remember it if it may."""
        self._drawn[kind] += 1
        fault = (kind, self._drawn[kind])
        if self._only is not None and fault not in self._only:
            return False
        self.suffered[fault] = self.now_s()
        return True

    def is_out(self) -> bool:
        """Tell whether what all tasks need is away."""
        begins_s, ends_s = self.outage_s
        return begins_s <= self.now_s() < ends_s

    def killed(self, attempt: Attempt) -> None:
        """Remember when an attempt first took its worker with it, which some go on to do in the calm.

        One that does so again is new trouble no longer: whoever starts it for ever is not waited for.
        """
        self.killed_s.setdefault((attempt.execution_id, attempt.task.id, attempt.attempt), self.now_s())

    @property
    def last_killed_s(self) -> float:
        """Return when something took a worker with it that had not done so before; 0 if nothing has."""
        return max(self.killed_s.values(), default=0.0)

    def delay_s(self) -> float:
        """Draw how long something takes: mostly little, sometimes very long."""
        if not self.is_stormy:
            return 0.001
        if self.strikes("tail"):
            return self.random.uniform(0.0, TAIL_S)
        return self.random.expovariate(1.0 / self.faults.delay_s)

    # --- time ----------------------------------------------------------------------------------

    @staticmethod
    def now_s() -> float:
        """Return the virtual time."""
        return asyncio.get_running_loop().time()

    def now_ms(self) -> int:
        """Return virtual milliseconds since the epoch."""
        return self.epoch_ms + int(self.now_s() * 1000)

    # --- what happens --------------------------------------------------------------------------

    def note(self, *what: object) -> None:
        """Add one happening to the digest."""
        self.happenings += 1
        self._digest.update(f"{self.now_s():.6f} {what}\n".encode())

    @property
    def digest(self) -> str:
        """Name everything that has happened so far."""
        return self._digest.hexdigest()

    def store(self, log: LogName, after: int, body: bytes, commit_id: str) -> int:
        """Append a commit at this moment.

        Raises:
            ConflictError: the log ends elsewhere.
        """
        position: int = at_once(self.log.append(log, after, body, commit_id))
        if self.book.take(log, position, body, self.now_s()):
            self.note("append", str(log), position, commit_id)
        return position

    def dispatch(self, subject: str, body: bytes) -> None:
        """Put an envelope on its way: it arrives later, perhaps past others, and perhaps once more."""
        loop, at = asyncio.get_running_loop(), self.now_s() + self.delay_s()
        if self.dawdling and self._dawdles(subject):
            at += self.random.uniform(0.0, DAWDLING_S)
        elif not self.strikes("reorder"):
            at = self._arrivals[subject] = max(at, self._arrivals.get(subject, 0.0))
        loop.call_at(at, self._arrive, subject, body)
        if self.strikes("duplicate"):
            loop.call_at(at + self.random.uniform(0.0, TAIL_S), self._arrive, subject, body)

    def _dawdles(self, subject: str) -> bool:
        """Tell whether a message is for a worker and takes its time, while others pass it."""
        is_one = self.is_stormy and ".inbox.worker." in subject and self.random.random() < self.dawdling
        is_one = is_one and self.allows("dawdle")
        self.injected["dawdle"] += is_one
        return is_one

    def _arrive(self, subject: str, body: bytes) -> None:
        self.note("deliver", subject, hashlib.blake2b(body, digest_size=6).hexdigest())
        at_once(self.post.send([(subject, body)]))

    def request(self, kind: str, address: str, body: bytes) -> None:
        """Put a client's envelope where it stays until it is recorded."""
        self._arrive(self.names.requests(kind, address), body)

    def publish(self, event: CloudEvent) -> None:
        """Let somebody outside publish an event."""
        self.note("event", event.source, event.id)
        self.events.publish(self.names.event(event.type), event, self.now_s())

    def lose_inbox(self, subject: str) -> None:
        """Let an inbox's memory be lost, and its owner notice that the stream is new."""
        self.note("inbox lost", subject)
        self.injected["inbox_loss"] += 1
        self.post.lose(subject)
