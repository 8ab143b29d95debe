"""A commit: one message in a log, holding the events of one batch of decisions.

A commit is atomic. Its events are numbered on from ``version`` without gaps;
``at`` is the time of all of them in milliseconds since the epoch; each
decision names its cause, the id of the message that led to it, and who asked
for it if somebody did. ``previous`` and ``key_id`` are those of a chained, signed
commit; `talka_protocols.seals` says how they are written, and where its signature is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import (
    AlertEvent,
    Event,
    ExecutionEvent,
    PlanEvent,
    PoolEvent,
    ScheduleEvent,
    ShardEvent,
    TriggerEvent,
    WorkerEvent,
)
from talka_protocols.seals import is_sealed, read_sealed
from talka_protocols.subjects import ALERT, EXECUTION, PLAN, POOL, SCHEDULE, SHARD, TRIGGER, WORKER, LogName

E_co = TypeVar("E_co", covariant=True)

COMMIT_TYPE = "talka.commit.v1"


class Decision(Struct, Generic[E_co], frozen=True, omit_defaults=True, gc=False):
    """The events that one message led to; ``asked_by`` is empty where nobody asked for them."""

    cause: str
    events: tuple[E_co, ...]
    asked_by: str = ""


class Commit(Struct, Generic[E_co], frozen=True, omit_defaults=True):
    """The body of one log message; ``epoch`` is the owner's lease epoch."""

    version: int
    at: int
    epoch: int
    decisions: tuple[Decision[E_co], ...]
    previous: str = ""
    key_id: str = ""

    def __len__(self) -> int:
        return sum(len(decision.events) for decision in self.decisions)

    def decided(self) -> Iterator[tuple[int, Decision[E_co], E_co]]:
        """Yield (version, the decision that it is part of, event) in order."""
        version = self.version
        for decision in self.decisions:
            for event in decision.events:
                yield version, decision, event
                version += 1

    def events(self) -> Iterator[tuple[int, str, E_co]]:
        """Yield (version, cause, event) in order."""
        version = self.version
        for decision in self.decisions:
            for event in decision.events:
                yield version, decision.cause, event
                version += 1


_encoder = msgspec.json.Encoder()
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    EXECUTION: msgspec.json.Decoder(Commit[ExecutionEvent]),
    PLAN: msgspec.json.Decoder(Commit[PlanEvent]),
    POOL: msgspec.json.Decoder(Commit[PoolEvent]),
    WORKER: msgspec.json.Decoder(Commit[WorkerEvent]),
    SCHEDULE: msgspec.json.Decoder(Commit[ScheduleEvent]),
    TRIGGER: msgspec.json.Decoder(Commit[TriggerEvent]),
    SHARD: msgspec.json.Decoder(Commit[ShardEvent]),
    ALERT: msgspec.json.Decoder(Commit[AlertEvent]),
}

KINDS = tuple(_DECODERS)
"""The kinds of logs that there are."""


def encode_commit(commit: Commit[Event]) -> bytes:
    """Return the exact bytes that are stored."""
    return _encoder.encode(commit)


def decode_commit(log: LogName, body: bytes) -> Commit[Event]:
    """Read a stored commit of any version ever written.

    Raises:
        BrokenHistoryError: the bytes are no commit of this kind of log.
    """
    if is_sealed(body):
        sealed = read_sealed(body)
        raise BrokenHistoryError(
            f"The log {log} holds a sealed commit that does not open"
            + (f" with a key {sealed.key_id!r} that is here" if sealed else "")
            + ": it was changed, or is another log's.",
            hint="`talka audit --signatures` says what else is wrong; restore the stream from a backup.",
        )
    try:
        commit: Commit[Event] = _DECODERS[log.kind].decode(body)
    except (ValueError, KeyError, RecursionError) as error:  # Bytes that are no UTF-8 are a ValueError, too.
        raise BrokenHistoryError(
            f"The log {log} holds a commit that cannot be read: {error}.",
            hint="It may have been written by a newer version; upgrade, or export the log and report it.",
        ) from error
    return commit


def commit_id(log: LogName, version: int, epoch: int, body: bytes) -> str:
    """Name a commit by log, version, the owner's epoch and the digest of its body."""
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return f"{log}:{version}:{epoch}:{digest}"


def event_id(log: LogName, version: int) -> str:
    """Name one event."""
    return f"{log}:{version}"
