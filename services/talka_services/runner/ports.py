"""Everything that an actor needs of the world, in one bundle."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from talka_protocols.ports import Alarms, Blobs, Inbox, Leases, Log, Post, Snapshots
from talka_protocols.subjects import Names


class Clock(Protocol):
    """The wall clock; durations are measured on the event loop's monotonic one."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


OpenInbox = Callable[[str, str, Callable[[], None]], Awaitable[Inbox]]


@dataclass(frozen=True)
class Ports:
    """The ports of one process; sizes are in bytes, times in seconds.

    ``max_bytes`` bounds a commit or an envelope; larger ones are split. What
    cannot be split may still be sent up to ``payload_bytes``, the server's own limit.
    ``snapshot_every`` counts events of one log between snapshots.
    """

    log: Log
    snapshots: Snapshots
    post: Post
    blobs: Blobs
    leases: Leases
    open_inbox: OpenInbox
    names: Names
    shards: int
    alarms: Alarms | None = None
    clock: Clock = field(default_factory=SystemClock)
    max_bytes: int = 900_000
    payload_bytes: int = 64_000_000
    snapshot_every: int = 10_000
    resend_s: float = 1.0
    resend_max_s: float = 15.0
