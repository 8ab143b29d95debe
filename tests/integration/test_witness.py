"""What a witness tells arrives where the pool's owner takes it from, on a real server."""

from __future__ import annotations

import asyncio

import pytest

from talka_protocols.errors import ServerUnavailableError
from talka_protocols.messages import WorkerLeft, decode_envelope
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.inbox import open_inbox
from talka_services.witness import Incarnation, Will
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


async def test_nobody_to_tell() -> None:
    """Without a server the end is not told, and that is said."""
    with pytest.raises(ServerUnavailableError):
        await tell(Will(("nats://127.0.0.1:1",), "unused", (Incarnation("p", "w", 1),)))
