"""Streams: heartbeats while nothing happens, an end with the gateway, and errors as last messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from talka_protocols.errors import BrokenHistoryError
from talka_services.gateway.streams import HEARTBEAT, message, with_heartbeats


class Source:
    """Messages that come when the test says so."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.is_closed = False

    async def messages(self) -> AsyncGenerator[bytes]:
        """Yield what is given, until that is nothing."""
        try:
            while (item := await self.given.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.is_closed = True


async def test_it_beats_while_nothing_happens_and_passes_on_what_comes() -> None:
    source = Source()
    stream = with_heartbeats(source.messages(), asyncio.Event(), 0.001)
    assert [await anext(stream) for _ in range(3)] == [HEARTBEAT] * 3
    source.given.put_nowait(b"one")
    while (got := await anext(stream)) == HEARTBEAT:
        pass
    assert got == b"one"
    source.given.put_nowait(None)
    assert [each async for each in stream if each != HEARTBEAT] == []
    assert source.is_closed


async def test_it_ends_with_the_gateway() -> None:
    source, closing = Source(), asyncio.Event()
    stream = with_heartbeats(source.messages(), closing, 60)
    assert await anext(stream) == HEARTBEAT
    closing.set()
    assert [each async for each in stream] == []
    assert source.is_closed


async def test_a_reader_that_goes_leaves_nothing_behind() -> None:
    source = Source()
    stream = with_heartbeats(source.messages(), asyncio.Event(), 60)
    await anext(stream)
    source.given.put_nowait(b"one")
    assert await anext(stream) == b"one"
    await stream.aclose()
    assert source.is_closed


async def test_an_error_is_the_last_message() -> None:
    source = Source()
    source.given.put_nowait(BrokenHistoryError("The log cannot be folded."))
    stream = with_heartbeats(source.messages(), asyncio.Event(), 60)
    found = [each async for each in stream if each != HEARTBEAT]
    (last,) = found
    assert last.startswith(b"event: problem\ndata: {")
    assert b'"code":"broken_history"' in last


def test_a_message_is_three_lines() -> None:
    """Line breaks in data are escaped by JSON, so none can end a message early."""
    assert message("TaskFailed", {"text": "a\n\nid: 9"}, 3) == (
        b'id: 3\nevent: TaskFailed\ndata: {"text":"a\\n\\nid: 9"}\n\n'
    )
