"""What the JetStream adapters do when answers get lost and servers die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import pytest

from talka_protocols.errors import CallerError, ServerUnavailableError
from talka_protocols.subjects import LogName, Names
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection, Message, NoAnswerError, connect
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.leases import JetStreamLeases
from talka_services.jetstream.log import JetStreamLog
from talka_services.jetstream.post import JetStreamPost
from talka_services.jetstream.settings import ensure_settings
from talka_services.jetstream.topology import ensure_topology

NAME = LogName("probe", "3", "one")


class Killable(Protocol):
    """The fixture's server."""

    url: str

    def start(self) -> None:
        """Start it again."""
        ...

    def kill(self) -> None:
        """Kill it."""
        ...


@pytest.fixture
async def fragile(own_server: Killable, names: Names) -> AsyncIterator[Connection]:
    """A connection to a server that the test may kill."""
    connection = await connect(own_server.url, "test", names)
    await ensure_topology(connection)
    yield connection
    await connection.close()


async def restart(server: Killable) -> None:
    """Kill the server and start it again on the same port and store."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def test_lost_answer_is_recognised(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append whose answer gets lost is sent again, found to be there, and not written twice."""
    log = JetStreamLog(connection)
    honest = connection.request
    lost: list[str] = []

    async def lossy(
        subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None, wait_s: float = 5
    ) -> Message:
        message = await honest(subject, body, headers, wait_s)
        if subject == connection.names.log(NAME) and not lost:
            lost.append(subject)
            raise NoAnswerError("the test dropped it")
        return message

    monkeypatch.setattr(connection, "request", lossy)
    position = await log.append(NAME, 0, b"body", "id-1")
    assert lost
    commits = await log.read(NAME)
    assert [(commit.position, commit.commit_id) for commit in commits] == [(position, "id-1")]


async def test_commit_carries_cloudevents_headers(connection: Connection) -> None:
    """Outside readers find the CloudEvents attributes in the headers of every commit."""
    await JetStreamLog(connection).append(NAME, 0, b"{}", "id-1")
    message = await last_message(connection, connection.names.stream("log"), connection.names.log(NAME))
    assert message is not None
    expected = {
        "ce-specversion": "1.0",
        "ce-id": "id-1",
        "ce-type": "talka.commit",
        "content-type": "application/json",
    }
    assert expected.items() <= message.headers().items()


async def test_oversized_bodies_are_refused_clearly(connection: Connection) -> None:
    """A body over the payload limit is the caller's error, before anything is sent."""
    log = JetStreamLog(connection)
    with pytest.raises(CallerError, match="Split"):
        await log.append(NAME, 0, b"x" * (log.max_bytes + 1), "id-1")
    with pytest.raises(CallerError, match="limit"):
        await JetStreamPost(connection).send(
            [(connection.names.inbox("shard", "1"), b"x" * (log.max_bytes + 1))]
        )


async def test_settings_hold_for_ever(connection: Connection) -> None:
    """The number of shards is written once; asking for another one later is refused."""
    assert (await ensure_settings(connection, 4)).shards == 4
    assert (await ensure_settings(connection)).shards == 4
    with pytest.raises(CallerError, match="has 4 shards, not 8"):
        await ensure_settings(connection, 8)


async def test_missing_server_is_named() -> None:
    """Connecting to nothing fails soon, naming the address but no password."""
    with pytest.raises(ServerUnavailableError) as caught:
        await connect("nats://user:secret@127.0.0.1:1", "test")
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_log_goes_on_over_a_killed_server(fragile: Connection, own_server: Killable) -> None:
    """While the server is killed and started again, appends succeed and a follower sees each commit once."""
    log = JetStreamLog(fragile)
    seen: list[bytes] = []

    async def follow(count: int) -> None:
        async for commit in log.follow(NAME):
            seen.append(commit.body)
            if len(seen) == count:
                return

    follower = asyncio.create_task(follow(60))
    position = 0
    outage: asyncio.Task[None] | None = None
    for number in range(60):
        if number == 20:
            outage = asyncio.create_task(restart(own_server))
        position = await log.append(NAME, position, b"%d" % number, f"id-{number}")
        await asyncio.sleep(0.005)
    assert outage is not None
    await outage
    await asyncio.wait_for(follower, 30)
    assert seen == [b"%d" % number for number in range(60)]
    assert [commit.body for commit in await log.read(NAME)] == seen


async def test_inbox_is_made_again(fragile: Connection, own_server: Killable) -> None:
    """After the memory stream died with its server the inbox renews itself, says so, and receives."""
    renewed = asyncio.Event()
    inbox = await open_inbox(fragile, "shard", "1", renewed.set)
    post = JetStreamPost(fragile)
    names = fragile.names
    await post.send([(names.requests("shard", "1"), b"request")])
    await restart(own_server)
    await post.send([(names.inbox("shard", "1"), b"message")])
    await asyncio.wait_for(renewed.wait(), 30)
    got: set[bytes] = set()
    while got != {b"request", b"message"}:
        deliveries = await asyncio.wait_for(inbox.receive(), 30)
        got |= {delivery.body for delivery in deliveries}
        await inbox.acknowledge(deliveries)
    await inbox.close()


async def test_vanished_consumer_is_noticed(connection: Connection) -> None:
    """A consumer that disappears while the connection stands is made again by itself."""
    renewed = asyncio.Event()
    inbox = await open_inbox(connection, "shard", "1", renewed.set)
    stream = connection.names.stream("inbox")
    for consumer in await connection.js.consumers_info(stream):
        await connection.js.delete_consumer(stream, consumer.name)
    subject = connection.names.inbox("shard", "1")
    await JetStreamPost(connection).send([(subject, b"while nobody listened")])
    await asyncio.wait_for(renewed.wait(), 30)
    deliveries = await asyncio.wait_for(inbox.receive(), 30)
    assert [delivery.body for delivery in deliveries] == [b"while nobody listened"]
    await inbox.close()


async def test_settled_messages_are_purged(connection: Connection) -> None:
    """What was acknowledged leaves the stream when the inbox is closed, at the latest."""
    inbox = await open_inbox(connection, "shard", "1")
    subject = connection.names.requests("shard", "1")
    await JetStreamPost(connection).send([(subject, b"1"), (subject, b"2"), (subject, b"3")])
    deliveries = list(await asyncio.wait_for(inbox.receive(), 20))
    while len(deliveries) < 3:
        deliveries.extend(await asyncio.wait_for(inbox.receive(), 20))
    await inbox.acknowledge(deliveries[:2])
    await inbox.close()
    state = (await connection.js.stream_info(connection.names.stream("request"))).state
    assert state.messages == 1


async def test_lease_epoch_grows_over_restarts(fragile: Connection, own_server: Killable) -> None:
    """A lease is lost while the server is away too long, and every later epoch is larger."""
    leases = JetStreamLeases(fragile, ttl_s=1)
    epochs: list[int] = []
    for _ in range(2):
        lease = await asyncio.wait_for(leases.acquire("shard.1", "me"), 30)
        epochs.append(lease.epoch)
        await asyncio.to_thread(own_server.kill)
        await asyncio.wait_for(lease.lost(), 30)
        assert not lease.is_held()
        await asyncio.to_thread(own_server.start)
    last = await asyncio.wait_for(leases.acquire("shard.1", "me"), 30)
    epochs.append(last.epoch)
    await last.release()
    assert epochs == sorted(set(epochs))


async def test_expired_lease_is_taken_over(connection: Connection, nats_server: Killable) -> None:
    """When an owner vanishes, the next one gets the name once its time to live is over."""
    other = await connect(nats_server.url, "owner", connection.names)
    first = await JetStreamLeases(other, ttl_s=1).acquire("shard.1", "gone")
    await other.close()
    second = await asyncio.wait_for(JetStreamLeases(connection, ttl_s=1).acquire("shard.1", "me"), 20)
    assert second.epoch > first.epoch
    assert second.is_held()
    await asyncio.wait_for(first.lost(), 20)
    await second.release()
