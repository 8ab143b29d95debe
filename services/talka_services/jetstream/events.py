"""The stream of outside events: publishing to it, and how far it has been taken in.

An event is published under an id that follows from its source and its own id,
so the server drops a repeat within its window; after that, triggers do.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from talka_core.cloudevents import STRUCTURED, event_key, write_event
from talka_protocols.cloudevents import CloudEvent
from talka_services.jetstream.api import (
    RefusedError,
    call,
    last_message,
    publish_until_answered,
    refused,
)
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.feed import Feed

MESSAGE_ID = "Nats-Msg-Id"
CONTENT_TYPE = "Content-Type"
KEY = "events"


class Published(Struct, frozen=True):
    """What became of an event: where it lies, and whether it lay there before."""

    position: int
    is_duplicate: bool


class _Intake(Struct, frozen=True):
    """Up to where the stream has been taken in, as it is stored."""

    position: int


async def publish_event(connection: Connection, event: CloudEvent) -> Published:
    """Store an event that has been checked.

    Raises:
        ServerUnavailableError: the stream has been away for half a minute.
        PlatformError: the server refused it.
    """
    headers = {MESSAGE_ID: event_key(event.source, event.id), CONTENT_TYPE: f"{STRUCTURED}; charset=utf-8"}
    subject = connection.names.event(event.type)
    answer = await publish_until_answered(connection, subject, write_event(event), headers)
    if answer.error is not None:
        raise refused(f"an event on {subject}", RefusedError(answer.error))
    return Published(answer.seq, answer.duplicate)


async def last_position(connection: Connection) -> int:
    """Return the position of the newest event that was ever published, as the stream's leader has it."""
    stream = connection.names.stream("events")
    try:
        return (await call(connection, f"STREAM.INFO.{stream}")).state.last_seq
    except RefusedError as error:
        raise refused(f"looking at the stream {stream}", error) from error


async def load_intake(connection: Connection) -> int:
    """Return up to where events have been taken in, 0 for nowhere."""
    stored = await last_message(connection, *_place(connection))
    return msgspec.json.decode(stored.data, type=_Intake).position if stored is not None else 0


async def save_intake(connection: Connection, position: int) -> None:
    """Remember up to where events have been taken in; losing it, or setting it back, means repeats only."""
    _, subject = _place(connection)
    answer = await publish_until_answered(connection, subject, msgspec.json.encode(_Intake(position)), {})
    if answer.error is not None:
        raise refused("remembering which events were taken in", RefusedError(answer.error))


class JetStreamEvents:
    """Reads the events that have not been taken in yet, in order and without gaps."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._feed: Feed | None = None

    async def begin(self) -> None:
        """Read on behind what has been taken in."""
        names = self._connection.names
        after = await load_intake(self._connection)
        self._feed = Feed(self._connection, names.stream("events"), names.event(">"), after)

    async def next(self) -> Sequence[tuple[int, Message]]:
        """Wait until something arrives, and return all of it with its positions."""
        assert self._feed is not None, "begin first"
        return await self._feed.next()

    async def settle(self, position: int) -> None:
        """Remember that everything up to a position has been taken in."""
        await save_intake(self._connection, position)

    async def close(self) -> None:
        """Stop reading."""
        if self._feed is not None:
            await self._feed.close()


def _place(connection: Connection) -> tuple[str, str]:
    return connection.names.kv_stream("settings"), connection.names.setting(KEY)
