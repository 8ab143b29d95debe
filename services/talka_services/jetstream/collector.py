"""Removes stored values that nothing names: those whose writer died before the commit that was to name them.

A value is stored before it is named, so only old ones are looked at, and
`JetStreamBlobs.put` renews an old value that it finds. A value is named when
its digest stands anywhere in a commit, a snapshot or a waiting message, in a
snapshot that is stored as a value itself, or in the value that says what a fork
takes over: the execution that it was forked from may be archived before the
fork has begun.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from talka_protocols.seals import OBJECTS, place_of_subject
from talka_services.jetstream import objects
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
        UnknownKeyError: something is sealed with a key that is not here; nothing was deleted.
    """
    found = await objects.descriptions(connection)
    newest = {stored.name: position for position, stored in found}
    old = {
        stored.name
        for position, stored in found
        if newest[stored.name] == position and not stored.deleted and age_of(stored.mtime) > kept
    }
    unnamed = old - await _named(connection) if old else old
    for position, stored in found:
        is_replaced = newest[stored.name] != position and age_of(stored.mtime) > kept
        if is_replaced or stored.name in unnamed:
            await objects.remove(connection, position, stored)
    return sorted(unnamed)


async def _named(connection: Connection) -> set[str]:
    """Return every digest that any stored message names, and that stored origins and snapshots do."""
    named: set[str] = set()
    naming: set[str] = set()
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
                    place = place_of_subject(connection.names, message.subject)
                    body = connection.vault.open_if_whole(place, message.data)
                    found = {digest.decode() for text in (body, headers) for digest in _DIGEST.findall(text)}
                    named |= found
                    if _ORIGIN in body or objects.CLAIM in (message.headers or {}):
                        naming |= found
                if not arrived and feed.pending == 0:
                    break
        finally:
            await feed.close()
    for name in sorted(naming):
        stored = await objects.find(connection, name)
        if stored is None:
            # Not every digest that stands beside an origin is that of a stored value.
            continue
        value = connection.vault.open_if_whole(OBJECTS, await objects.read(connection, stored))
        named |= {digest.decode() for digest in _DIGEST.findall(value)}
    return named
