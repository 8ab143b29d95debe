"""Goal: who follows a log sees every commit in order, the last at once, and delays nobody before that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_services.client.backlog import gathered

NAME = LogName(EXECUTION, "0", "e")
LONG_S = 30.0


class Source:
    """A log that is given commits by the test; None ends it, an exception is raised."""

    def __init__(self, *bodies: bytes | Exception | None) -> None:
        self.waiting: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.is_closed = False
        for body in bodies:
            self.waiting.put_nowait(body)

    async def commits(self) -> AsyncGenerator[StoredCommit]:
        """Yield what is given."""
        try:
            position = 0
            while (body := await self.waiting.get()) is not None:
                if isinstance(body, Exception):
                    raise body
                position += 1
                yield StoredCommit(NAME, position, body, str(position))
        finally:
            self.is_closed = True


def is_last(commit: StoredCommit) -> bool:
    """Tell whether the test called the commit the last one."""
    return commit.body == b"last"


async def test_commits_that_come_together_are_seen_together_when_the_last_arrives() -> None:
    """An urgent commit ends the waiting, however long that would have been, and nothing overtakes it."""
    source = Source(b"a", b"b", b"last")
    async with asyncio.timeout(5), aclosing(gathered(source.commits(), is_last, LONG_S)) as heaps:
        assert [commit.body for commit in await anext(heaps)] == [b"a", b"b", b"last"]
        source.waiting.put_nowait(b"c")
        source.waiting.put_nowait(b"last")
        assert [commit.body for commit in await anext(heaps)] == [b"c", b"last"]
    assert source.is_closed


async def test_commit_is_seen_soon_when_nothing_follows() -> None:
    """What is not urgent waits for more only for the time given."""
    source = Source(b"a")
    async with asyncio.timeout(5), aclosing(gathered(source.commits(), is_last, 0.001)) as heaps:
        assert [commit.body for commit in await anext(heaps)] == [b"a"]


async def test_end_and_errors_of_the_log_come_behind_its_commits() -> None:
    """A log that ends or fails gives up everything that it had before."""
    ended = gathered(Source(b"a", None).commits(), is_last, LONG_S)
    failed = gathered(Source(b"a", ValueError("broken")).commits(), is_last, LONG_S)
    async with asyncio.timeout(5):
        assert [[commit.body for commit in heap] async for heap in ended] == [[b"a"]]
        assert [commit.body for commit in await anext(failed)] == [b"a"]
        with pytest.raises(ValueError, match="broken"):
            await anext(failed)
