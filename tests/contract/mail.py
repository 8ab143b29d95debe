"""Each implementation of `Inbox` and `Post` as one value: how it is opened, and what of it can be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from msgspec import Struct
from msgspec.structs import replace
from tests.contract.simulated import CountingPost, Immortal, calm_world

from talka_chaos.ports import SimPost, inbox_opener
from talka_protocols.ports import Delivery, Inbox, Post
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.inbox import open_inbox
from talka_services.jetstream.post import JetStreamPost
from talka_services.memory import MemoryInbox, MemoryPost
from talka_services.runner.ports import OpenInbox


class Mail(Struct):
    """One implementation: its post, its names and how an inbox is opened.

    ``delivered`` returns when all that was posted lies ready in the open inboxes. ``lose_answer`` loses the
    acknowledgement of deliveries, ``lose_memory`` all that lies in a server's memory.
    """

    post: Post
    names: Names
    open: Callable[[str], Awaitable[Inbox]]
    delivered: Callable[[], Awaitable[None]]
    lose_answer: Callable[[Inbox, Sequence[Delivery]], Awaitable[None]]
    lose_memory: Callable[[], Awaitable[None]]
    opened: list[Inbox]
    renewed: asyncio.Event


def memory(names: Names, opened: list[Inbox]) -> Mail:
    """Return the one in memory."""
    post, renewed = MemoryPost(names), asyncio.Event()

    async def open_one(address: str) -> Inbox:
        opened.append(post.open_inbox("shard", address, renewed.set))
        return opened[-1]

    async def nothing() -> None:
        """All that was posted is delivered at once."""

    async def lose(inbox: Inbox, _deliveries: Sequence[Delivery]) -> None:
        cast("MemoryInbox", inbox).redeliver()

    async def lose_memory() -> None:
        post.lose(names.inbox("shard", "1"))

    return Mail(post, names, open_one, nothing, lose, lose_memory, opened, renewed)


def simulated(names: Names, opened: list[Inbox]) -> Mail:
    """Return the one of the simulation, in which nothing goes wrong but what is asked for."""
    world, renewed = calm_world(names), asyncio.Event()
    post, opener = CountingPost(SimPost(world, Immortal())), inbox_opener(world, Immortal())

    async def open_one(address: str) -> Inbox:
        opened.append(await cast("OpenInbox", opener)("shard", address, renewed.set))
        return opened[-1]

    async def delivered() -> None:
        async with asyncio.timeout(20):
            while any(world.post.mailbox(subject).count < count for subject, count in post.sent.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def lose(inbox: Inbox, deliveries: Sequence[Delivery]) -> None:
        world.faults, world.is_stormy = replace(world.faults, redeliver=1.0), True
        await inbox.acknowledge(deliveries)
        world.is_stormy = False

    async def lose_memory() -> None:
        world.lose_inbox(names.inbox("shard", "1"))

    return Mail(post, names, open_one, delivered, lose, lose_memory, opened, renewed)


def jetstream(names: Names, opened: list[Inbox], connection: Connection) -> Mail:
    """Return that of a real server."""
    renewed = asyncio.Event()

    async def open_one(address: str) -> Inbox:
        opened.append(await open_inbox(connection, "shard", address, renewed.set))
        return opened[-1]

    async def waiting(stream: str) -> int:
        return sum(info.num_pending or 0 for info in await connection.js.consumers_info(stream))

    async def delivered() -> None:
        for stream in (names.stream("inbox"), names.stream("request")):
            async with asyncio.timeout(20):
                while await waiting(stream):  # noqa: ASYNC110  (only the server knows)
                    await asyncio.sleep(0.01)
        # The answer comes after all that the server has sent before.
        await connection.nc.flush()

    async def lose(_inbox: Inbox, _deliveries: Sequence[Delivery]) -> None:
        """What is never sent does not arrive either."""

    async def lose_memory() -> None:
        await connection.js.delete_stream(names.stream("inbox"))

    return Mail(JetStreamPost(connection), names, open_one, delivered, lose, lose_memory, opened, renewed)
