"""What travels: letters in parcels in envelopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from talka_protocols.messages.client import ClientMessage
from talka_protocols.messages.execution import PlannerMessage, SchedulerMessage
from talka_protocols.messages.pool import ResourceMessage
from talka_protocols.messages.schedule import StarterMessage
from talka_protocols.messages.trigger import TriggerMessage
from talka_protocols.messages.worker import WorkerMessage

Message = (
    PlannerMessage
    | SchedulerMessage
    | ResourceMessage
    | WorkerMessage
    | ClientMessage
    | StarterMessage
    | TriggerMessage
)


class Letter(Struct, frozen=True, array_like=True, gc=False):
    """One message under its id, ``<log>:<version>:<position>`` of the event that called for it."""

    id: str
    message: Message


class Parcel(Struct, frozen=True, array_like=True):
    """Letters of one sender; receivers drop what carries an older epoch than they have seen.

    ``asked_by`` is the person or program for whom a client asks.
    """

    sender: str
    epoch: int
    letters: tuple[Letter, ...]
    asked_by: str = ""


class Envelope(Struct, frozen=True):
    """What travels: the parcels that one batch has for one inbox."""

    parcels: tuple[Parcel, ...]


_encoder = msgspec.json.Encoder()
encode_letter: Callable[[Letter], bytes] = _encoder.encode
"""Returns one letter's bytes, for ``sealed_letters``."""


_decoder = msgspec.json.Decoder(Envelope)


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the envelope's bytes."""
    return _encoder.encode(envelope)


def sealed_letters(sender: str, epoch: int, letters: Sequence[bytes]) -> bytes:
    """Return the envelope that holds one parcel of letters that are encoded already."""
    head = _encoder.encode((sender, epoch))[:-1]
    return b'{"parcels":[' + head + b",[" + b",".join(letters) + b"]]]}"


def decode_envelope(body: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        ValueError: the bytes are no envelope, or no UTF-8; the inbox sets them aside.
        RecursionError: they are nested too deep; likewise.
    """
    if not body.isascii():
        body.decode()  # What is passed on raw is looked at later, by those who rely on it.
    return _decoder.decode(body)


def sealed(sender: str, message: Message, *, letter_id: str, epoch: int = 0, asked_by: str = "") -> bytes:
    """Return the envelope that holds nothing but one message of one sender."""
    return encode_envelope(Envelope((Parcel(sender, epoch, (Letter(letter_id, message),), asked_by),)))
