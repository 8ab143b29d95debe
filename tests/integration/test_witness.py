"""What a witness tells arrives where the pool's owner takes it from, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.conftest import NatsServer

from talka_protocols.errors import ServerUnavailableError
from talka_protocols.messages import WorkerLeft, decode_envelope
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.post import JetStreamPost
from talka_services.witness import Incarnation, Will, obituary
from talka_services.witness.obituary import REASON, tell


async def test_each_pool_is_told(connection: Connection, names: Names) -> None:
    """Every incarnation of the will is told to its own pool, as one of which nothing is left."""
    workers = (Incarnation("p", "w1", 3), Incarnation("other", "w2", 1), Incarnation("p", "w3", 2))
    await tell(Will(connection.servers, names.namespace, workers))
    inbox = await open_inbox(connection, "resource", "p")
    try:
        told: list[object] = []
        async with asyncio.timeout(10):
            while len(told) < 2:
                for delivery in await inbox.receive():
                    parcels = decode_envelope(delivery.body).parcels
                    told += [letter.message for parcel in parcels for letter in parcel.letters]
    finally:
        await inbox.close()
    assert told == [
        WorkerLeft("p", "w1", 3, REASON, is_ended=True),
        WorkerLeft("p", "w3", 2, REASON, is_ended=True),
    ]


async def test_a_server_that_goes_away_is_not_waited_for_for_ever(
    own_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends after it was reached, and stays away, leaves no process behind that waits."""
    monkeypatch.setattr(obituary, "PATIENCE_S", 0.5)
    send = JetStreamPost.send

    async def send_to_nobody(post: JetStreamPost, envelopes: Sequence[tuple[str, bytes]]) -> None:
        own_server.kill()
        await send(post, envelopes)

    monkeypatch.setattr(JetStreamPost, "send", send_to_nobody)
    with pytest.raises(ServerUnavailableError):
        await tell(Will((own_server.url,), "unused", (Incarnation("p", "w", 1),)))


async def test_nobody_to_tell() -> None:
    """Without a server the end is not told, and that is said."""
    with pytest.raises(ServerUnavailableError):
        await tell(Will(("nats://127.0.0.1:1",), "unused", (Incarnation("p", "w", 1),)))
