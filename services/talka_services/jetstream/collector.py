"""Removes stored values that nothing names: those whose writer died before the commit that was to name them.

A value is stored before it is named, so only old ones are looked at, and
`JetStreamBlobs.put` renews an old value that it finds. A value is named when
its digest stands anywhere in a commit, a snapshot or a waiting message, or in
the value that says what a fork takes over: the execution that it was forked
from may be archived before the fork has begun.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore

from talka_protocols.errors import ServerUnavailableError
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.feed import Feed

KEPT = timedelta(days=1)
RENEWED = timedelta(hours=12)
"""The age from which a value that is put again is written again; well below ``KEPT``."""

_DIGEST = re.compile(rb"[0-9a-f]{64}")
_ORIGIN = b'"origin":'
_NAMING = ("log", "snapshot", "inbox", "request", "dead")


def age_of(mtime: str | None) -> timedelta:
    """Return how old a stored value is by its own stamp; one without a readable stamp is new."""
    try:
        written = datetime.fromisoformat(mtime or "")
    except ValueError:
        return timedelta(0)
    return datetime.now(UTC) - written


async def collect(connection: Connection, kept: timedelta = KEPT) -> list[str]:
    """Delete values older than ``kept`` that nothing names; return their names.

    Raises:
        ServerUnavailableError: the server did not answer; nothing that is named was deleted.
    """
    bucket = connection.names.bucket("objects")
    store = ObjectStore(bucket, f"OBJ_{bucket}", connection.js)
    try:
        found = await store.list(ignore_deletes=True)
        old = {info.name for info in found if info.name and age_of(info.mtime) > kept}
        unnamed = sorted(old - await _named(connection, store)) if old else []
        for name in unnamed:
            await store.delete(name)
    except NotFoundError:
        return []
    except (TimeoutError, NatsError) as error:
        raise ServerUnavailableError(
            f"{connection.address} did not let old values be collected: {type(error).__name__} {error}.",
            hint="It is tried again later.",
        ) from error
    return unnamed


async def _named(connection: Connection, store: ObjectStore) -> set[str]:
    """Return every digest that any stored message names, and that a fork's stored origin does."""
    named: set[str] = set()
    origins: set[str] = set()
    for what in _NAMING:
        stream, subject = connection.names.stream(what), f"{connection.names.root}.{what}.>"
        last = await last_message(connection, stream, subject)
        if last is None:
            continue
        feed = Feed(connection, stream, subject, 0)
        try:
            while feed.position < last.seq:
                arrived = await feed.next()
                for _, message in arrived:
                    headers = " ".join((message.headers or {}).values()).encode()
                    found = {digest.decode() for digest in _DIGEST.findall(message.data + headers)}
                    named |= found
                    if _ORIGIN in message.data:
                        origins |= found
                if not arrived and feed.pending == 0:
                    break
        finally:
            await feed.close()
    for name in sorted(origins):
        try:
            value = (await store.get(name)).data or b""
        except ObjectNotFoundError:
            # Not every digest that stands beside an origin is that of a stored value.
            continue
        named |= {digest.decode() for digest in _DIGEST.findall(value)}
    return named
