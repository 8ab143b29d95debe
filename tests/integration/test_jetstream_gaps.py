"""What an inbox does when messages get lost on the way from the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import pytest

from talka_protocols.ports import Inbox
from talka_services.jetstream.connection import Connection, Message, Subscription, connect
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.post import JetStreamPost


class Reachable(Protocol):
    """The fixture's server."""

    port: int
    url: str


class Proxy:
    """Stands between a client and its server; can swallow what the server says, and cut the wire."""

    def __init__(self, port: int) -> None:
        self.is_swallowing = False
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str:
        """Begin to accept connections, and return where."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection; new ones work."""
        self.is_swallowing = False
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.close()

    async def stop(self) -> None:
        """Accept no more, and break what there is."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, to_server]
        self._tasks.append(asyncio.create_task(self._pump(reader, to_server, is_answer=False)))
        self._tasks.append(asyncio.create_task(self._pump(from_server, writer, is_answer=True)))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        # The other end may be gone already: that is what `cut` is for.
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not (is_answer and self.is_swallowing):
                    writer.write(data)
                    await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(nats_server: Reachable) -> AsyncIterator[Proxy]:
    """A proxy in front of the shared server."""
    proxy = Proxy(nats_server.port)
    yield proxy
    await proxy.stop()


def numbers(first: int, last: int) -> list[bytes]:
    """Return the bodies from one number to another, the last one included."""
    return [b"%d" % number for number in range(first, last + 1)]


async def receive_until(inbox: Inbox, last: bytes) -> list[bytes]:
    """Receive and acknowledge until a body arrives, and return all bodies."""
    got: list[bytes] = []
    while last not in got:
        deliveries = await asyncio.wait_for(inbox.receive(), 20)
        got += [delivery.body for delivery in deliveries]
        await inbox.acknowledge(deliveries)
    return got


def lose(connection: Connection, monkeypatch: pytest.MonkeyPatch, lost: set[bytes]) -> None:
    """Have the first delivery of these bodies get lost on the way."""
    subscribe = connection.wire.subscribe

    async def lossy(address: str, *, cb: Callable[[Message], Awaitable[None]], **limits: int) -> Subscription:
        async def lose_some(message: Message) -> None:
            if message.data in lost:
                lost.remove(message.data)
            else:
                await cb(message)

        return await subscribe(address, cb=lose_some, **limits)

    monkeypatch.setattr(connection.wire, "subscribe", lossy)


async def reach(connection: Connection, is_reached: Callable[[Any], bool]) -> None:
    """Wait until the consumer of the stream of requests is so far, as the server sees it."""
    stream = connection.names.stream("request")
    async with asyncio.timeout(20):
        while not any(map(is_reached, await connection.js.consumers_info(stream))):  # noqa: ASYNC110  (only the server knows)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("subject", ["inbox", "requests"])
async def test_nothing_is_taken_behind_a_gap(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    """Messages that get lost while the connection stands are delivered again before any later one."""
    lost = set(numbers(10, 19))
    lose(connection, monkeypatch, lost)
    inbox = await open_inbox(connection, "shard", "1")
    address = getattr(connection.names, subject)("shard", "1")
    await JetStreamPost(connection).send([(address, body) for body in numbers(0, 29)])
    got = await receive_until(inbox, b"29")
    await inbox.close()
    assert not lost
    # What had arrived before the gap may come again; in its first deliveries the order is kept.
    assert list(dict.fromkeys(got)) == numbers(0, 29)


async def test_loss_of_the_newest_messages_is_noticed(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no later message shows the gap, the server's next heartbeat does."""
    lost = {b"1"}
    lose(connection, monkeypatch, lost)
    inbox = await open_inbox(connection, "shard", "1")
    address = connection.names.requests("shard", "1")
    await JetStreamPost(connection).send([(address, b"0"), (address, b"1")])
    assert set(await receive_until(inbox, b"1")) == {b"0", b"1"}
    await inbox.close()


@pytest.mark.parametrize("is_lost", [True, False])
async def test_old_consumers_are_not_used_after_a_reconnect(
    connection: Connection, proxy: Proxy, is_lost: bool
) -> None:
    """What the old consumer sends after a reconnect is not taken, whether or not something is missing."""
    remote = await connect(await proxy.start(), "remote", connection.names)
    may_renew = asyncio.Event()
    may_renew.set()

    async def wait_for_leave() -> None:
        await asyncio.wait_for(may_renew.wait(), 20)

    remote.renew_inbox_stream = wait_for_leave
    inbox = await open_inbox(remote, "shard", "1")
    post, address = JetStreamPost(connection), connection.names.requests("shard", "1")
    await post.send([(address, body) for body in numbers(0, 9)])
    assert await receive_until(inbox, b"9") == numbers(0, 9)
    await reach(connection, lambda info: info.ack_floor.consumer_seq == 10)
    may_renew.clear()
    if is_lost:
        proxy.is_swallowing = True
        await post.send([(address, body) for body in numbers(10, 19)])
        await reach(connection, lambda info: info.delivered.consumer_seq == 20)
    reconnected = asyncio.Event()
    remote.on_reconnected(reconnected.set)
    proxy.cut()
    await asyncio.wait_for(reconnected.wait(), 20)
    await post.send([(address, b"20")])
    seen = 21 if is_lost else 11
    await reach(connection, lambda info: info.delivered.consumer_seq == seen)
    # The answer comes after all that the server has sent before.
    await remote.nc.flush()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inbox.receive(), 0.2)
    may_renew.set()
    assert await receive_until(inbox, b"20") == [*(numbers(10, 19) if is_lost else ()), b"20"]
    await inbox.close()
    await remote.close()
