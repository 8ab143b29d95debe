"""What worker and child process say to each other, and how it is framed.

A frame is four bytes of length (big-endian) and a JSON array of messages.
Messages are encoded one by one before they are put together, so that one that
cannot be encoded harms no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from talka_protocols.messages import Mark
from talka_protocols.tasklogs import Channel
from talka_protocols.workflow import Extension
from talka_services.executors.context import Facts

_HEADER = 4


class Hello(Struct, frozen=True, array_like=True, tag="hello"):
    """First message to a child: where to find modules, which are allowed, how many threads.

    ``is_alone`` says that it never has more than one task at a time.
    """

    path: list[str]
    allow_modules: tuple[str, ...]
    threads: int
    is_alone: bool = False


class Run(Struct, frozen=True, array_like=True, tag="run"):
    """Run a function; ``number`` names this request in every message about it."""

    number: int
    call: str
    arguments: Any
    context: Facts


class Cancel(Struct, frozen=True, array_like=True, tag="cancel"):
    """Stop what was asked for under this number."""

    number: int


class Recorded(Struct, frozen=True, array_like=True, tag="recorded"):
    """What was saved under ``call`` is recorded, or ``data`` is what was read.

    With a ``code``, it is refused and ``text`` says why.
    """

    number: int
    call: int
    code: str = ""
    text: str = ""
    hint: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Ready(Struct, frozen=True, array_like=True, tag="ready"):
    """The child has started and takes requests."""


class Returned(Struct, frozen=True, array_like=True, tag="returned"):
    """The function returned; from the child the result comes already encoded.

    ``cpu_s`` is the processor time it used, None where that cannot be told from others'.
    """

    number: int
    result: Any
    extension: Extension | None = None
    cpu_s: float | None = None


class Raised(Struct, frozen=True, array_like=True, tag="raised"):
    """The function failed; ``text`` describes it, ``hint`` says what to do, ``kinds`` are its classes."""

    number: int
    text: str
    hint: str = ""
    kinds: tuple[str, ...] = ()
    cpu_s: float | None = None


class Refused(Struct, frozen=True, array_like=True, tag="refused"):
    """The function may not be run here."""

    number: int
    text: str
    hint: str = ""


class Cancelled(Struct, frozen=True, array_like=True, tag="cancelled"):
    """What was asked for under this number has stopped."""

    number: int


class Save(Struct, frozen=True, array_like=True, tag="save"):
    """The function saves something and waits for ``Recorded`` under the same ``call``."""

    number: int
    call: int
    mark: Mark
    name: str
    data: msgspec.Raw


class Wrote(Struct, frozen=True, array_like=True, tag="wrote"):
    """What the function printed or logged since the last time; ``dropped`` bytes of it are left out."""

    number: int
    channel: Channel
    text: str
    dropped: int = 0


class Busy(Struct, frozen=True, array_like=True, tag="busy"):
    """A plain function is under way and cannot be interrupted."""

    number: int


Request = Hello | Run | Cancel | Recorded
Answer = Ready | Returned | Raised | Refused | Cancelled | Busy | Save | Wrote

encode = msgspec.json.Encoder().encode
decode_requests = msgspec.json.Decoder(list[Request]).decode
decode_answers = msgspec.json.Decoder(list[Answer]).decode


def frame(messages: Iterable[bytes]) -> bytes:
    """Put encoded messages into one frame."""
    body = b"[" + b",".join(messages) + b"]"
    return len(body).to_bytes(_HEADER, "big") + body


class FrameReader:
    """Cuts a stream of bytes back into the bodies of its frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the bytes that arrived and return the bodies that are complete now."""
        rest = self._rest
        rest += data
        bodies: list[bytes] = []
        start = 0
        while len(rest) - start >= _HEADER:
            end = start + _HEADER + int.from_bytes(rest[start : start + _HEADER], "big")
            if len(rest) < end:
                break
            bodies.append(bytes(rest[start + _HEADER : end]))
            start = end
        del rest[:start]
        return bodies
