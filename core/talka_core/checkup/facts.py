"""What is known of a server, and what is found about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Level(StrEnum):
    """How bad a finding is; ``unknown`` is what could not be found out."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    ERROR = "error"


class Finding(Struct, frozen=True):
    """What a check found about a subject, and what to do; ``advice`` is empty where nothing is."""

    check: str
    level: Level
    subject: str
    message: str
    advice: str = ""


class StreamFacts(Struct, frozen=True):
    """A stream as it should be and as it is; ``present`` is None if there is none.

    ``size`` is in bytes. ``leader`` is empty while there is none; ``behind`` are
    the servers whose replica is away or not up to date. One that ``is_silent`` nobody answers
    about, so whether it is there is not known.
    """

    wanted: Mapping[str, Any]
    present: Mapping[str, Any] | None = None
    size: int = 0
    leader: str = ""
    behind: tuple[str, ...] = ()
    is_silent: bool = False

    @property
    def name(self) -> str:
        """Return the stream's name."""
        return str(self.wanted["name"])


class StorageFacts(Struct, frozen=True):
    """What an account's streams take, hold in reserve and may take at most, in bytes; below 0 is no limit."""

    used: int = 0
    reserved: int = 0
    limit: int = -1


class Skew(Struct, frozen=True):
    """How far a server's clock is ahead of ours, and how much that may be off."""

    ms: float
    error_ms: float


class NodeFacts(Struct, frozen=True):
    """What one server tells of itself at its monitoring port.

    ``fault`` says why it is not healthy; ``file`` and ``memory`` are those of all its accounts together.
    """

    name: str
    version: tuple[int, int]
    is_synced: bool
    skew: Skew
    fault: str = ""
    file: StorageFacts = StorageFacts()
    memory: StorageFacts = StorageFacts()


class ServerFacts(Struct, frozen=True):
    """What could be found out about a server, those that store with it, and the streams of one namespace.

    ``jetstream_fault`` says why JetStream does not answer. ``cluster`` is empty for
    a server that stands alone. ``is_synced`` tells whether it syncs before it
    acknowledges, None if nobody knows. ``skews`` are by the server that was asked.
    ``nodes`` are the servers whose monitoring ports we know; ``disk_free`` are the bytes free
    where an embedded server stores, None for any other. ``refused`` are subjects that we may not write to.
    """

    address: str
    version: tuple[int, int] = (0, 0)
    cluster: str = ""
    max_payload: int = 0
    jetstream_fault: str = ""
    file: StorageFacts = StorageFacts()
    memory: StorageFacts = StorageFacts()
    skews: Mapping[str, Skew] = {}
    is_synced: bool | None = None
    nodes: tuple[NodeFacts, ...] = ()
    disk_free: int | None = None
    streams: tuple[StreamFacts, ...] = ()
    refused: tuple[str, ...] = ()
    answered_ms: float = 0.0
