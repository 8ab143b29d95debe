"""What a namespace was made with and never changes: its format and its number of shards."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from talka_protocols.errors import CallerError, DataDirectoryError
from talka_services.jetstream.api import (
    EXPECTED_LAST,
    WRONG_LAST_SEQUENCE,
    RefusedError,
    last_message,
    publish_until_answered,
    refused,
)
from talka_services.jetstream.connection import Connection

FORMAT = 1
KEY = "namespace"


class Settings(Struct, frozen=True):
    """The settings of a namespace as they are stored."""

    format: int
    shards: int


async def ensure_settings(
    connection: Connection, shards: int | None = None, default_shards: int = 16
) -> Settings:
    """Write the settings on first use and return those that hold.

    Args:
        connection: where `ensure_topology` has been called.
        shards: the number asked for; None takes what is stored.
        default_shards: the number a new namespace gets when none was asked for.

    Raises:
        CallerError: the namespace was made with another number of shards.
        DataDirectoryError: it was written by a newer version of Talka.
    """
    stored = await _load(connection)
    if stored is None:
        stored = await _create(connection, Settings(FORMAT, shards or default_shards))
    namespace = connection.names.namespace
    if stored.format > FORMAT:
        raise DataDirectoryError(
            f"Namespace {namespace!r} at {connection.address} has format {stored.format}; "
            f"this version of Talka knows formats up to {FORMAT}.",
            hint="Upgrade Talka, or use another namespace.",
        )
    if shards is not None and stored.shards != shards:
        raise CallerError(
            f"Namespace {namespace!r} has {stored.shards} shards, not {shards}; it keeps them for ever.",
            hint=f"Ask for {stored.shards} shards, or use another namespace.",
        )
    return stored


def _place(connection: Connection) -> tuple[str, str]:
    return connection.names.kv_stream("settings"), connection.names.setting(KEY)


async def _load(connection: Connection) -> Settings | None:
    current = await last_message(connection, *_place(connection))
    return msgspec.json.decode(current.data, type=Settings) if current else None


async def _create(connection: Connection, settings: Settings) -> Settings:
    """Write the settings unless somebody else was first, and return those that are there."""
    _, subject = _place(connection)
    answer = await publish_until_answered(
        connection, subject, msgspec.json.encode(settings), {EXPECTED_LAST: "0"}
    )
    if answer.error is not None and answer.error.err_code not in WRONG_LAST_SEQUENCE:
        raise refused("writing the namespace's settings", RefusedError(answer.error))
    return await _load(connection) or settings
