"""Publishing events, as anybody may do with any client of NATS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Raw, Struct

from talka_core.cloudevents import check_event
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.errors import EventInvalidError
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.events import publish_event

SOURCE = "talka"


class PublishedEvent(Struct, frozen=True):
    """An event that is on file; ``position`` is its place in the stream of events.

    ``is_duplicate`` says that the same event was published moments ago, and lies there once.
    """

    id: str
    source: str
    type: str
    position: int
    is_duplicate: bool


def event_of(
    kind: str,
    data: Any = None,
    *,
    source: str = SOURCE,
    event_id: str = "",
    subject: str = "",
    time: str = "",
    extensions: Mapping[str, Any] | None = None,
) -> CloudEvent:
    """Return a checked event; without an id it gets one of its own.

    Raises:
        EventInvalidError: it cannot be an event, or is too large.
    """
    try:
        encoded = Raw(msgspec.json.encode(data))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EventInvalidError(f"The data is no JSON: {error}.", code="bad_event") from None
    event = CloudEvent(
        event_id or uuid4().hex,
        source,
        kind,
        subject,
        time,
        "" if data is None else "application/json",
        data=encoded,
        extensions=dict(extensions or {}),
    )
    check_event(event)
    return event


async def publish(connection: Connection, event: CloudEvent) -> PublishedEvent:
    """Put a checked event on file.

    Raises:
        ServerUnavailableError: the server does not take it.
    """
    stored = await publish_event(connection, event)
    return PublishedEvent(event.id, event.source, event.type, stored.position, stored.is_duplicate)
