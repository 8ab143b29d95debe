"""The messages of one subject in order, without gaps or repeats, across reconnects and restarts."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from talka_services.jetstream.api import SECOND_NS, RefusedError, refused
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.consumer import SILENCE_S, Place, PushConsumer, has_caught_up

INACTIVE_S = 10
SETTINGS = {
    "ack_policy": "none",
    "max_deliver": 1,
    "num_replicas": 1,
    "inactive_threshold": INACTIVE_S * SECOND_NS,
}


class Feed:
    """Reads one subject of a stream behind a position; `next` gives what has arrived."""

    def __init__(self, connection: Connection, stream: str, subject: str, after: int) -> None:
        self.position = after
        self.pending = 0
        self._connection = connection
        self._subject = subject
        self._buffer: list[tuple[int, Message]] = []
        self._wake = asyncio.Event()
        self._consumer = PushConsumer(
            connection, stream, subject, SETTINGS, self._on_message, heard=self._wake.set
        )

    async def next(self) -> list[tuple[int, Message]]:
        """Wait until something arrives, and return all of it as (stream sequence, message)."""
        is_silent = False
        while not self._buffer:
            if self._consumer.is_broken or is_silent:
                is_silent = False
                await self._renew()
                if self._consumer.is_broken:
                    # The connection came back meanwhile: what was asked for before may be of the old server.
                    continue
                if self._buffer:
                    break
                if self.pending == 0:
                    return []
            self._wake.clear()
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._wake.wait()
            except TimeoutError:
                is_silent = await self._is_silent()
        arrived, self._buffer = self._buffer, []
        return arrived

    async def close(self) -> None:
        """Stop reading."""
        await self._consumer.close()

    async def _is_silent(self) -> bool:
        """Tell whether it is the server that says nothing, and not we who are late with reading."""
        is_up = self._connection.is_up.is_set()
        # Without an answer the reader is to be told, which asking for a new consumer does.
        return not is_up or not await has_caught_up(self._connection) or not self._wake.is_set()

    async def _renew(self) -> None:
        try:
            self.pending = await self._consumer.open(uuid4().hex, self.position)
        except RefusedError as error:
            raise refused(f"reading {self._subject}", error) from error

    def _on_message(self, place: Place, message: Message) -> None:
        self.position = place.stream_seq
        self.pending = place.pending
        self._buffer.append((place.stream_seq, message))
        self._wake.set()
