"""Somebody looks after an open inbox whatever goes wrong, and whoever receives learns when nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from talka_protocols.errors import PlatformError
from talka_services.jetstream.connection import Connection, connect
from talka_services.jetstream.inbox import JetStreamInbox, open_inbox
from talka_services.jetstream.post import JetStreamPost
from talka_services.jetstream.topology import ensure_topology


async def consumers(connection: Connection, stream: str) -> list[str]:
    """Return the names of a stream's consumers."""
    return [consumer.name for consumer in await connection.js.consumers_info(connection.names.stream(stream))]


async def test_a_listener_that_fails_leaves_the_inbox_alive(connection: Connection) -> None:
    """An exception while the inbox is looked after is logged, and the next vanished consumer is noticed."""
    renewed: asyncio.Queue[int] = asyncio.Queue()

    def on_renewed() -> None:
        renewed.put_nowait(renewed.qsize())
        raise RuntimeError("the test's own")

    inbox = await open_inbox(connection, "shard", "1", on_renewed)
    for number in range(2):
        stream = connection.names.stream("inbox")
        for name in await consumers(connection, "inbox"):
            await connection.js.delete_consumer(stream, name)
        await asyncio.wait_for(renewed.get(), 20)
        await JetStreamPost(connection).send([(connection.names.inbox("shard", "1"), b"%d" % number)])
        deliveries = await asyncio.wait_for(inbox.receive(), 20)
        assert deliveries[0].body == b"%d" % number
        await inbox.acknowledge(deliveries)
    await inbox.close()


async def test_receiving_fails_when_nobody_looks_after_the_inbox(connection: Connection) -> None:
    """The owner is told that the inbox has ended, at once and each time it asks again."""
    inbox = await open_inbox(connection, "shard", "1")
    receiving = asyncio.create_task(receive(inbox))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task.get_name() == "inbox shard_1":
            task.cancel()
    for _ in range(2):
        with pytest.raises(PlatformError, match="receives nothing more"):
            await asyncio.wait_for(receiving, 20)
        receiving = asyncio.create_task(receive(inbox))
    with pytest.raises(PlatformError):
        await receiving
    await inbox.close()


async def test_a_closed_connection_ends_the_watch_quietly(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that ends closes its connection first; that is no failure of an inbox."""
    other = await connect(connection.address, "leaving", connection.names)
    inbox = await open_inbox(other, "shard", "1")
    await other.close()
    with pytest.raises(PlatformError, match="receives nothing more"):
        await asyncio.wait_for(inbox.receive(), 20)
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []


async def receive(inbox: JetStreamInbox) -> int:
    """Receive once, and return how much."""
    return len(await inbox.receive())


async def test_an_inbox_that_cannot_be_opened_leaves_nothing_behind(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failed attempt withdraws its consumers and listeners, so that retries do not add up."""
    listening: list[Callable[[], None]] = []
    listen = connection.on_reconnected

    def counted(listener: Callable[[], None]) -> Callable[[], None]:
        listening.append(listener)
        stop = listen(listener)

        def stopped() -> None:
            listening.remove(listener)
            stop()

        return stopped

    monkeypatch.setattr(connection, "on_reconnected", counted)
    await connection.js.delete_stream(connection.names.stream("request"))
    with pytest.raises(PlatformError, match="taking over"):
        await open_inbox(connection, "shard", "1")
    assert listening == []
    async with asyncio.timeout(10):
        while await consumers(connection, "inbox"):  # noqa: ASYNC110  (only the server knows)
            await asyncio.sleep(0.02)
    await ensure_topology(connection)
