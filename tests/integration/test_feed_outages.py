"""A feed that is opened while the server is away reads on as soon as it is back."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Protocol

import pytest

from talka_protocols.subjects import LogName, Names
from talka_services.jetstream import feed
from talka_services.jetstream.connection import connect
from talka_services.jetstream.log import JetStreamLog
from talka_services.jetstream.topology import ensure_topology

NAME = LogName("probe", "0", "one")


class Killable(Protocol):
    """The fixture's server."""

    url: str

    def start(self) -> None:
        """Start it again."""
        ...

    def kill(self) -> None:
        """Kill it."""
        ...


async def test_follower_that_began_in_an_outage_loses_no_time(
    own_server: Killable, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets what was there without waiting for a silence to be noticed."""
    monkeypatch.setattr(feed, "SILENCE_S", 3600.0)
    connection = await connect(own_server.url, "test", names)
    try:
        await ensure_topology(connection)
        log = JetStreamLog(connection)
        await log.append(NAME, 0, b"body", "id-1")
        own_server.kill()

        async def first() -> bytes:
            async with aclosing(log.follow(NAME)) as commits:
                async for commit in commits:
                    return commit.body
            raise AssertionError("a follower never ends by itself")

        following = asyncio.create_task(first())
        await asyncio.sleep(0.1)
        own_server.start()
        assert await asyncio.wait_for(following, 30) == b"body"
    finally:
        await connection.close()
