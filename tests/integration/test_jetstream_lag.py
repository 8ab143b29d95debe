"""Who is late with reading does not take the server for silent, and still notices when it is."""

from __future__ import annotations

import asyncio
import time

import pytest

from talka_services.jetstream import consumer, feed, inbox
from talka_services.jetstream.api import call
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.consumer import PushConsumer
from talka_services.jetstream.feed import Feed
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.post import JetStreamPost

HEARTBEAT_S = 0.2
SILENCE_S = 2 * HEARTBEAT_S
LAG_S = 2 * SILENCE_S
"""Longer than a silence: heartbeats come meanwhile, and wait to be read."""


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have heartbeats come often and take less for a silence, so that nobody need be late for long."""
    for module in (feed, inbox):
        monkeypatch.setattr(module, "SILENCE_S", SILENCE_S)
    for module in (consumer, inbox):
        monkeypatch.setattr(module, "HEARTBEAT_S", HEARTBEAT_S)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all consumers that are made."""
    names: list[str] = []
    really = PushConsumer.open

    async def noted(one: PushConsumer, name: str, after: int) -> int:
        names.append(name)
        return await really(one, name, after)

    monkeypatch.setattr(PushConsumer, "open", noted)
    return names


def events_feed(connection: Connection) -> Feed:
    """Return a reader of the stream of events, from its beginning."""
    names = connection.names
    return Feed(connection, names.stream("events"), names.event(">"), 0)


async def late(times: int) -> None:
    """Let nothing run for so long, as where others have the processor, again and again."""
    for _ in range(times):
        time.sleep(LAG_S)  # noqa: ASYNC251  (that nothing runs is what it is for)
        await asyncio.sleep(HEARTBEAT_S / 2)


async def test_a_reader_that_is_late_keeps_its_consumer(connection: Connection, opened: list[str]) -> None:
    """What waited to be read is read, by the consumer that it was sent to."""
    reader = events_feed(connection)
    assert await reader.next() == []
    reading = asyncio.create_task(reader.next())
    await asyncio.sleep(0)
    await late(5)
    assert len(opened) == 1
    await connection.js.publish(connection.names.event("order.placed"), b"late")
    ((_, message),) = await reading
    assert (message.data, len(opened)) == (b"late", 1)
    await reader.close()


async def test_an_inbox_that_is_late_keeps_its_consumers(connection: Connection, opened: list[str]) -> None:
    """It is not made anew, which would have its owner send again all that it owes."""
    renewed: list[bool] = []
    box = await open_inbox(connection, "shard", "1", lambda: renewed.append(True))
    before = len(opened)
    # Its watch is to find that it is late, and nothing else.
    await late(5)
    await JetStreamPost(connection).send([(connection.names.inbox("shard", "1"), b"late")])
    (delivery,) = await box.receive()
    assert delivery.body == b"late"
    assert (len(opened), renewed) == (before, [])
    await box.close()


async def test_a_consumer_that_is_gone_is_noticed(connection: Connection, opened: list[str]) -> None:
    """The server answers and says nothing more for this reader: only a new consumer does."""
    reader = events_feed(connection)
    assert await reader.next() == []
    reading = asyncio.create_task(reader.next())
    await asyncio.sleep(0)
    await call(connection, f"CONSUMER.DELETE.{connection.names.stream('events')}.{opened[0]}")
    await connection.js.publish(connection.names.event("order.placed"), b"after")
    ((_, message),) = await asyncio.wait_for(reading, 20)
    assert (message.data, len(opened)) == (b"after", 2)
    await reader.close()
