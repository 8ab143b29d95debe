"""Connections to the gateway: those that bring no request end, and there are not too many of them."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from talka_services.gateway.connections import Doorkeeper
from talka_services.gateway.listening import answering, bound

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
NO_WAIT_S = 0.05


class App:
    """Answers when it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


Open = Callable[..., Awaitable[tuple[StreamReader, StreamWriter]]]


@asynccontextmanager
async def served(app: App, doorkeeper: Doorkeeper) -> AsyncGenerator[Open]:
    """Serve the application, and yield what connects and sends something."""
    listening = bound("127.0.0.1", 0)
    writers: list[StreamWriter] = []

    async def opened(sent: bytes = b"") -> tuple[StreamReader, StreamWriter]:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writers.append(writer)
        writer.write(sent)
        return reader, writer

    async with asyncio.timeout(30), answering(app, listening, doorkeeper=doorkeeper):
        yield opened
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def has_ended(reader: StreamReader) -> bool:
    """Wait for the other side to end the connection."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: here\r\n"])
async def test_who_asks_for_nothing_is_cut_off(sent: bytes) -> None:
    """Whether silent or never done with its head; a request whose answer takes long is left alone."""
    app = App()
    async with served(app, Doorkeeper(most=9, head_s=NO_WAIT_S)) as opened:
        reader, _ = await opened(REQUEST)
        assert await has_ended((await opened(sent))[0])
        app.may_answer.set()
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_a_second_request_must_come_whole_as_well() -> None:
    """Its beginning does not keep a connection open for ever."""
    app = App()
    app.may_answer.set()
    async with served(app, Doorkeeper(most=9, head_s=NO_WAIT_S)) as opened:
        reader, writer = await opened(REQUEST)
        await reader.readuntil(b"ok")
        writer.write(REQUEST)
        await reader.readuntil(b"ok")
        writer.write(REQUEST[:-2])
        assert await has_ended(reader)


async def test_there_are_never_too_many() -> None:
    """One more than may be is closed at once, and those before it are served; when one went, the next is."""
    app = App()
    app.may_answer.set()
    async with served(app, Doorkeeper(most=2)) as opened:
        first, second = [await opened() for _ in range(2)]
        assert await has_ended((await opened())[0])
        for reader, writer in (first, second):
            writer.write(REQUEST)
            await reader.readuntil(b"ok")
        first[1].close()
        await first[1].wait_closed()
        answer = b""
        while not answer:
            # The server hears of the end a moment later than we.
            reader, _ = await opened(REQUEST)
            try:
                answer = await reader.readuntil(b"ok")
            except (ConnectionResetError, asyncio.IncompleteReadError):
                continue
        assert answer.startswith(b"HTTP/1.1 200")


def test_half_of_the_files_are_left_to_others() -> None:
    """A gateway has more to keep open than what comes to it."""
    assert 0 < Doorkeeper().most <= 10_000
