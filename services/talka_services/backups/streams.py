"""One stream as the server itself saves and restores it: messages, sequences and all.

The server sends a snapshot in chunks, a few at a time until they are
acknowledged, and ends with an empty message. It takes one back chunk by
chunk, each answered, and says at the empty one whether all of it was whole.
Both are of the server's API: ``$JS.API.STREAM.SNAPSHOT`` and ``RESTORE``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from talka_protocols.errors import CallerError, ServerUnavailableError
from talka_services.jetstream.api import PREFIX, Failure, RefusedError, refused
from talka_services.jetstream.connection import (
    Connection,
    Message,
    NoAnswerError,
    NobodyThereError,
)

CHUNK_BYTES = 128 * 1024
SILENCE_S = 20.0
"""How long the server may take for the next chunk, or for an answer to one."""
ENDED_WELL = "204"
WHOLE = "Copy the whole directory again from where it was written, or take another backup."


class BackupError(CallerError):
    """A directory holds no backup, a part of one, or something else than was written to it."""

    code = "bad_backup"


class SavedStream(Struct, frozen=True):
    """What a backup knows of a stream: what it is called, and what its file holds."""

    config: dict[str, Any]
    state: dict[str, Any]
    bytes: int
    sha256: str


class _Answer(Struct, frozen=True):
    """What the server answers to the beginning and the end of a snapshot or a restore."""

    error: Failure | None = None
    config: dict[str, Any] = {}
    state: dict[str, Any] = {}
    deliver_subject: str = ""


async def save_stream(connection: Connection, stream: str, path: Path) -> SavedStream:
    """Write a snapshot of a stream, as it is at this moment, to a file.

    Raises:
        ServerUnavailableError: the server stopped answering in the middle of it.
        PlatformError: the server refused.
        OSError: the file cannot be written.
    """
    digest, size = sha256(), 0
    chunks: asyncio.Queue[Message] = asyncio.Queue()
    inbox = connection.wire.new_inbox()
    subscription = await connection.wire.subscribe(inbox, cb=chunks.put)
    try:
        request = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES}
        begun = await _ask(connection, f"{PREFIX}.STREAM.SNAPSHOT.{stream}", msgspec.json.encode(request))
        _check(f"a snapshot of the stream {stream}", begun)
        with path.open("wb") as file:
            async with aclosing(_chunks(connection, stream, chunks)) as arriving:
                async for chunk in arriving:
                    digest.update(chunk)
                    size += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
    finally:
        await subscription.unsubscribe()
    return SavedStream(begun.config, begun.state, size, digest.hexdigest())


async def _chunks(
    connection: Connection, stream: str, arriving: asyncio.Queue[Message]
) -> AsyncGenerator[bytes]:
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await arriving.get()
        except TimeoutError:
            raise _silent(connection, stream) from None
        if message.reply:
            await connection.publish(message.reply)
        if message.data:
            yield message.data
            continue
        status = (message.headers or {}).get("Status", ENDED_WELL)
        if status != ENDED_WELL:
            reason = (message.headers or {}).get("Description", "no reason given")
            raise refused(f"a snapshot of the stream {stream}", RefusedError(Failure(int(status), 0, reason)))
        return


async def restore_stream(connection: Connection, saved: SavedStream, path: Path, replicas: int) -> None:
    """Make a stream anew from a file.

    Raises:
        BackupError: the file is not what was saved.
        ServerUnavailableError: the server stopped answering in the middle of it; it drops what it had.
        PlatformError: the server refused.
    """
    name = str(saved.config["name"])
    wanted: Mapping[str, Any] = {
        "config": {**saved.config, "num_replicas": replicas},
        "state": saved.state,
    }
    begun = await _ask(connection, f"{PREFIX}.STREAM.RESTORE.{name}", msgspec.json.encode(wanted))
    doing = f"restoring the stream {name}"
    _check(doing, begun)
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            _check(doing, await _ask(connection, begun.deliver_subject, chunk))
    _check(doing, await _ask(connection, begun.deliver_subject, b""))


def check_file(saved: SavedStream, path: Path) -> None:
    """Compare a file with what was saved.

    Raises:
        BackupError: it is missing, or holds something else.
    """
    try:
        with path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.", hint=WHOLE) from error
    if found != saved.sha256:
        raise BackupError(f"{path} is not what was backed up: its digest differs.", hint=WHOLE)


def _check(doing: str, answer: _Answer) -> None:
    if answer.error is not None:
        error = RefusedError(answer.error)
        raise refused(doing, error) from error


async def _ask(connection: Connection, subject: str, body: bytes) -> _Answer:
    try:
        message = await connection.request(subject, body, wait_s=SILENCE_S)
    except (NoAnswerError, NobodyThereError) as error:
        raise _silent(connection, subject) from error
    # A chunk that was taken is answered with nothing.
    return msgspec.json.decode(message.data, type=_Answer) if message.data else _Answer()


def _silent(connection: Connection, what: str) -> ServerUnavailableError:
    return ServerUnavailableError(
        f"{connection.address} stopped answering in the middle of {what}.",
        hint="Nothing of what is there was changed. Do it again when the server is well.",
    )
