"""How a value lies in the object store: chunks under a name of their own, and a message that describes them.

The form is that of NATS object stores, so the `nats` tool reads them. Unlike
other writers this one never rolls up what a newer description replaces: that
takes a right by which a whole stream could be emptied. The collector removes it.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

import msgspec
from msgspec import Struct

from talka_protocols.subjects import Names
from talka_services.jetstream.api import RefusedError, call, last_message, publish_until_answered, refused
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.feed import Feed
from talka_services.telemetry import get_logger

CHUNK_BYTES = 128 * 1024
MESSAGE_ID = "Nats-Msg-Id"
CLAIM = "Talka-Claim"
"""The header of a message whose body is a stored value."""

log = get_logger(__name__)


class _Options(Struct, frozen=True):
    max_chunk_size: int = CHUNK_BYTES


class Stored(Struct, frozen=True, omit_defaults=True):
    """What describes a stored value."""

    name: str
    bucket: str = ""
    nuid: str = ""
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: str | None = None
    deleted: bool | None = None
    options: _Options = _Options()


class IncompleteError(Exception):
    """What is stored is not what its description says."""


_decode = msgspec.json.Decoder(Stored).decode


def meta_subject(names: Names, name: str) -> str:
    """Return the subject of what describes a value."""
    return names.object_meta(base64.urlsafe_b64encode(name.encode()).decode())


def described(body: bytes) -> Stored:
    """Read a description.

    Raises:
        IncompleteError: it is none.
    """
    try:
        return _decode(body)
    except (ValueError, RecursionError) as error:
        raise IncompleteError(f"its description cannot be read: {error}") from error


async def find(connection: Connection, name: str) -> Stored | None:
    """Return the newest description of a value, or None if there is no such value.

    Raises:
        IncompleteError: what is there is no description.
    """
    names = connection.names
    newest = await last_message(connection, names.objects_stream(), meta_subject(names, name))
    if newest is None:
        return None
    stored = described(newest.data)
    return None if stored.deleted else stored


async def write(connection: Connection, name: str, data: bytes) -> None:
    """Store a value under a name, and after that, what describes it.

    Raises:
        ServerUnavailableError: the stream has been away for half a minute.
        PlatformError: the server refused it.
    """
    names, nuid = connection.names, uuid4().hex
    chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    for number, chunk in enumerate(chunks):
        await _publish(connection, names.object_chunks(nuid), chunk, {MESSAGE_ID: f"{nuid}.{number}"})
    digest = f"SHA-256={base64.urlsafe_b64encode(sha256(data).digest()).decode()}"
    now = datetime.now(UTC).isoformat()
    stored = Stored(name, names.bucket("objects"), nuid, len(data), len(chunks), digest, now)
    await _publish(connection, meta_subject(names, name), msgspec.json.encode(stored), {MESSAGE_ID: nuid})


async def _publish(connection: Connection, subject: str, body: bytes, headers: dict[str, str]) -> None:
    answer = await publish_until_answered(connection, subject, body, headers)
    if answer.error is not None:
        raise refused(f"a stored value on {subject}", RefusedError(answer.error))


async def read(connection: Connection, stored: Stored) -> bytes:
    """Return the content of a value; whether it is the right one, its digest tells.

    Raises:
        IncompleteError: a part of it is missing.
        ServerUnavailableError: there is no answer.
    """
    names, content = connection.names, bytearray()
    feed = Feed(connection, names.objects_stream(), names.object_chunks(stored.nuid), 0)
    try:
        while len(content) < stored.size:
            arrived = await feed.next()
            if not arrived:
                raise IncompleteError(f"{len(content)} of {stored.size} bytes are there")
            for _, message in arrived:
                content += message.data
    finally:
        await feed.close()
    return bytes(content)


async def descriptions(connection: Connection) -> list[tuple[int, Stored]]:
    """Return everything that describes a value, also what a newer one has replaced, oldest first."""
    names = connection.names
    stream, subject = names.objects_stream(), names.object_meta(">")
    last = await last_message(connection, stream, subject)
    found: list[tuple[int, Stored]] = []
    if last is None:
        return found
    feed = Feed(connection, stream, subject, 0)
    try:
        while feed.position < last.seq:
            arrived = await feed.next()
            for position, message in arrived:
                try:
                    found.append((position, described(message.data)))
                except IncompleteError as error:
                    log.warning("object.not_described", subject=message.subject, error=str(error))
            if not arrived and feed.pending == 0:
                break
    finally:
        await feed.close()
    return found


async def remove(connection: Connection, position: int, stored: Stored) -> None:
    """Remove a value: its content first, then what describes it, but nothing that is newer.

    Raises:
        PlatformError: the server refused it.
    """
    names = connection.names
    purge = f"STREAM.PURGE.{names.objects_stream()}"
    try:
        if stored.nuid:
            await call(connection, purge, {"filter": names.object_chunks(stored.nuid)})
        await call(connection, purge, {"filter": meta_subject(names, stored.name), "seq": position + 1})
    except RefusedError as error:
        raise refused(f"removing the stored value {stored.name}", error) from error
