"""Answers to clients go to whoever listens, and lie nowhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from talka import Task, local
from talka_protocols.subjects import Names
from talka_services.jetstream.api import subjects
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.post import JetStreamPost
from talka_services.memory import MemoryPost


async def test_answers_leave_nothing_in_the_shared_inbox_stream(tmp_path: Path) -> None:
    """An allocation and its release are answered, and the stream knows no client."""
    async with local(data_dir=tmp_path, durability="process") as talka:
        allocation = await talka.resources.allocate_resources(Task("mine", "sleep", timeout=20))
        await talka.resources.release_resources(allocation)
        connection = talka.node.connection
        stream, pattern = connection.names.stream("inbox"), f"{connection.names.root}.inbox.>"
        used = await subjects(connection, stream, pattern)
    assert not [subject for subject in used if ".client" in subject]


async def test_live_subjects_are_published_beside_stored_ones(connection: Connection) -> None:
    """One batch may hold both: listeners hear the live one, and the stream takes only the other."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def arrived(message: Message) -> None:
        heard.set_result(message.data)

    names = connection.names
    await connection.wire.subscribe(names.answers("client-1"), cb=arrived)
    await JetStreamPost(connection).send(
        [(names.answers("client-1"), b"answer"), (names.inbox("shard", "1"), b"letter")]
    )
    assert await asyncio.wait_for(heard, 10) == b"answer"
    pattern = f"{names.root}.inbox.>"
    assert await subjects(connection, names.stream("inbox"), pattern) == [
        names.spoken(names.inbox("shard", "1"), "client")
    ]


async def test_live_subjects_are_kept_by_no_post_office_in_memory() -> None:
    """Without a listener an answer is gone, as it is with a server."""
    post, names = MemoryPost(Names("test")), Names("test")
    await post.send([(names.answers("client-1"), b"answer"), (names.inbox("shard", "1"), b"letter")])
    assert post.subjects() == [names.inbox("shard", "1")]
