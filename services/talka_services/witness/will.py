"""What is to be told when a process has ended, and where; only pipes carry it, for it may hold secrets."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from talka_services.jetstream.access import Access


class Incarnation(Struct, frozen=True):
    """What one worker of the process was to its pool."""

    pool: str
    worker_id: str
    incarnation: int


class Will(Struct, frozen=True):
    """The incarnations that end with the process, and the servers to tell it to, and as whom."""

    servers: tuple[str, ...]
    namespace: str
    incarnations: tuple[Incarnation, ...]
    access: Access = Access()


def encoded(will: Will) -> bytes:
    """Return a will as one line, with its end; files are named by their whole paths."""
    return msgspec.json.encode(will, enc_hook=str) + b"\n"


def decoded(line: bytes) -> Will:
    """Return the will that a line holds.

    Raises:
        msgspec.DecodeError: it holds none.
    """
    return msgspec.json.decode(line, type=Will, dec_hook=_placed)


def _placed(kind: type, value: Any) -> Any:
    # Of what a will holds only paths are no plain data.
    return kind(value)
