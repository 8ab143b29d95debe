"""What every `Inbox` and `Post` promise, run over every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec import Struct

from talka_protocols.ports import Delivery, Inbox, Post
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.post import JetStreamPost
from talka_services.memory import MemoryPost


class Mail(Struct):
    """One implementation: its post, its names and how an inbox is opened.

    ``delivered`` returns when all that was posted lies ready in the open inboxes.
    """

    post: Post
    names: Names
    open: Callable[[str], Awaitable[Inbox]]
    delivered: Callable[[], Awaitable[None]]
    opened: list[Inbox]


@pytest.fixture(params=["memory", "jetstream"])
async def mail(request: pytest.FixtureRequest, connection: Connection, names: Names) -> AsyncIterator[Mail]:
    """Each implementation in turn; inboxes that a test opened are closed after it."""
    opened: list[Inbox] = []
    memory = MemoryPost(names)
    post: Post = memory if request.param == "memory" else JetStreamPost(connection)

    async def open_one(address: str) -> Inbox:
        inbox: Inbox
        if post is memory:
            inbox = memory.open_inbox("shard", address)
        else:
            inbox = await open_inbox(connection, "shard", address)
        opened.append(inbox)
        return inbox

    async def waiting(stream: str) -> int:
        return sum(info.num_pending or 0 for info in await connection.js.consumers_info(stream))

    async def delivered() -> None:
        for stream in () if post is memory else (names.stream("inbox"), names.stream("request")):
            async with asyncio.timeout(20):
                while await waiting(stream):  # noqa: ASYNC110  (only the server knows)
                    await asyncio.sleep(0.01)
        # The answer comes after all that the server has sent before.
        await connection.nc.flush()

    yield Mail(post, names, open_one, delivered, opened)
    for inbox in opened:
        await inbox.close()


async def receive(inbox: Inbox, count: int) -> list[Delivery]:
    """Receive exactly so many deliveries."""
    deliveries: list[Delivery] = []
    while len(deliveries) < count:
        deliveries.extend(await asyncio.wait_for(inbox.receive(), 20))
    assert len(deliveries) == count
    return deliveries


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    """Return what was delivered."""
    return [delivery.body for delivery in deliveries]


async def test_inbox_delivers_in_order(mail: Mail) -> None:
    """What was sent to one subject arrives once, in the order it was sent."""
    inbox = await mail.open("1")
    sent = [b"%d" % number for number in range(2500)]
    await mail.post.send([(mail.names.inbox("shard", "1"), body) for body in sent])
    assert bodies(await receive(inbox, len(sent))) == sent


async def test_inbox_takes_from_both_subjects(mail: Mail) -> None:
    """An address receives what actors and what clients send to it."""
    await mail.post.send([(mail.names.inbox("shard", "1"), b"a"), (mail.names.requests("shard", "1"), b"r")])
    inbox = await mail.open("1")
    assert sorted(bodies(await receive(inbox, 2))) == [b"a", b"r"]


async def test_inbox_gets_nothing_of_others(mail: Mail) -> None:
    """An address receives only its own envelopes."""
    inbox, other = await mail.open("1"), await mail.open("11")
    await mail.post.send(
        [(mail.names.inbox("shard", "11"), b"other"), (mail.names.inbox("shard", "1"), b"own")]
    )
    assert bodies(await receive(inbox, 1)) == [b"own"]
    assert bodies(await receive(other, 1)) == [b"other"]


async def test_new_owner_gets_what_was_not_acknowledged(mail: Mail) -> None:
    """A takeover loses nothing, repeats nothing that was settled, and starves the old owner."""
    old = await mail.open("1")
    subject = mail.names.inbox("shard", "1")
    await mail.post.send([(subject, b"%d" % number) for number in range(5)])
    deliveries = await receive(old, 5)
    await old.acknowledge(deliveries[:3])
    # The next envelope was delivered behind the acknowledgement, so the server has seen it.
    await mail.post.send([(subject, b"5")])
    await receive(old, 1)
    new = await mail.open("1")
    assert bodies(await receive(new, 3)) == [b"3", b"4", b"5"]
    await mail.post.send([(subject, b"6")])
    assert bodies(await receive(new, 1)) == [b"6"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(old.receive(), 0.2)


async def test_closed_inbox_leaves_the_rest_to_the_next_owner(mail: Mail) -> None:
    """After a graceful close the next owner starts right behind what was acknowledged."""
    first = await mail.open("1")
    subject = mail.names.requests("shard", "1")
    await mail.post.send([(subject, b"0"), (subject, b"1")])
    deliveries = await receive(first, 2)
    await first.acknowledge(deliveries[:1])
    await first.close()
    mail.opened.remove(first)
    second = await mail.open("1")
    assert bodies(await receive(second, 1)) == [b"1"]


async def test_acknowledging_settles_everything_earlier(mail: Mail) -> None:
    """Acknowledging the newest delivery settles all before it, and one of nothing does nothing."""
    first = await mail.open("1")
    subject = mail.names.inbox("shard", "1")
    await mail.post.send([(subject, b"%d" % number) for number in range(4)])
    deliveries = await receive(first, 4)
    await first.acknowledge([])
    await first.acknowledge(deliveries[2:3])
    await first.close()
    mail.opened.remove(first)
    assert bodies(await receive(await mail.open("1"), 1)) == [b"3"]


async def test_neither_subject_waits_for_the_other_to_be_empty(mail: Mail) -> None:
    """However much lies in one subject, the first deliveries hold something of the other; both keep order."""
    messages, requests = (
        [b"m%d" % number for number in range(1200)],
        [b"r%d" % number for number in range(1200)],
    )
    for one, other in ((messages, requests[:3]), (messages[:3], requests)):
        address = one[0].decode() + str(len(one))
        await mail.post.send([(mail.names.inbox("shard", address), body) for body in one])
        await mail.post.send([(mail.names.requests("shard", address), body) for body in other])
        inbox = await mail.open(address)
        await mail.delivered()
        got: list[list[bytes]] = []
        while sum(map(len, got)) < len(one) + len(other):
            deliveries = list(await asyncio.wait_for(inbox.receive(), 20))
            await inbox.acknowledge(deliveries)
            got.append(bodies(deliveries))
        arrived = [body for batch in got for body in batch]
        assert [body for body in arrived if body.startswith(b"m")] == one
        assert [body for body in arrived if body.startswith(b"r")] == other
        assert {body[:1] for body in got[0]} == {b"m", b"r"}


async def test_a_batch_is_bounded(mail: Mail) -> None:
    """What one actor is given at once does not grow with what waits, in whichever subject it is."""
    for subject in (mail.names.inbox("shard", "1"), mail.names.requests("shard", "1")):
        await mail.post.send([(subject, b"%d" % number) for number in range(700)])
    inbox = await mail.open("1")
    await mail.delivered()
    sizes: list[int] = []
    while sum(sizes) < 1400:
        sizes.append(len(await asyncio.wait_for(inbox.receive(), 20)))
    assert max(sizes) <= 512
