"""A TCP proxy that holds back, delays or breaks what goes through it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Self

CHUNK_BYTES = 2**16


class Proxy:
    """Listens at one port of the loopback interface and goes on to another.

    ``delay_s`` and at most ``jitter_s`` more pass before a piece is handed on, each way; their order stays.
    While it ``is_cut`` nothing is handed on and connections stay open; it arrives when that is over.
    """

    def __init__(self, port: int, target: int) -> None:
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.url = f"nats://127.0.0.1:{port}"
        self._port = port
        self._target = target
        self._random = Random(port)  # noqa: S311  (faults are no secret)
        self._open: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None

    @property
    def is_cut(self) -> bool:
        """Tell whether nothing is handed on."""
        return not self._passing.is_set()

    @is_cut.setter
    def is_cut(self, is_cut: bool) -> None:
        if is_cut:
            self._passing.clear()
        else:
            self._passing.set()

    def reset(self) -> int:
        """Break all connections, losing what is on its way; return how many sides were open."""
        broken = len(self._open)
        for writer in self._open:
            writer.transport.abort()
        return broken

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        assert self._server is not None, "it has listened"
        self._server.close()
        self.reset()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, onward}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward))
                group.create_task(self._pass(there, writer))
        finally:
            self._open -= {writer, onward}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what arrives, in order, until one side ends; then end the other."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._send(pieces, writer))
        loop = asyncio.get_running_loop()
        try:
            with suppress(OSError):
                while piece := await reader.read(CHUNK_BYTES):
                    wait_s = self.delay_s + self._random.random() * self.jitter_s
                    pieces.put_nowait((loop.time() + wait_s, piece))
            pieces.put_nowait((loop.time(), b""))
            await sending
        finally:
            sending.cancel()
            writer.transport.abort()

    async def _send(self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, piece = await pieces.get()
            await asyncio.sleep(due_s - loop.time())
            await self._passing.wait()
            if not piece:
                return
            try:
                writer.write(piece)
                await writer.drain()
            except OSError:
                return
