"""The messages of one subject in order, without gaps or repeats, across reconnects and restarts.

An ordered consumer of our own. nats-py's cannot be told from outside where
it stands, and notices a vanished consumer only after ten seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from talka_services.jetstream.api import PREFIX, SECOND_NS, RefusedError, call, refused
from talka_services.jetstream.connection import Connection, Message, Subscription

HEARTBEAT_S = 1.0
SILENCE_S = 3.5
UNLIMITED = 0
INACTIVE_S = 10


class Place:
    """Where a delivered message stands: sequences in its stream and consumer, and how many follow."""

    __slots__ = ("consumer_seq", "pending", "stream_seq")

    def __init__(self, reply: str) -> None:
        tokens = reply.split(".")
        # Version 1 of the reply subject has nine tokens, version 2 a domain and an account before the stream.
        first = 5 if len(tokens) == 9 else 7
        self.stream_seq = int(tokens[first])
        self.consumer_seq = int(tokens[first + 1])
        self.pending = int(tokens[first + 3])


def is_control(message: Message) -> bool:
    """Tell whether the server speaks here (a heartbeat, flow control), not a publisher."""
    return message.headers is not None and message.headers.get("Status") == "100" and not message.data


class Feed:
    """Reads one subject of a stream behind a position; `next` gives what has arrived."""

    def __init__(self, connection: Connection, stream: str, subject: str, after: int) -> None:
        self.position = after
        self.pending = 0
        self._connection = connection
        self._stream = stream
        self._subject = subject
        self._buffer: list[tuple[int, Message]] = []
        self._wake = asyncio.Event()
        self._is_broken = True
        self._name = ""
        self._subscription: Subscription | None = None
        self._expected = 1
        self._stop_listening = connection.on_reconnected(self._break)

    async def next(self) -> list[tuple[int, Message]]:
        """Wait until something arrives, and return all of it as (stream sequence, message)."""
        while not self._buffer:
            if self._is_broken:
                await self._renew()
                if self._is_broken:
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
                self._is_broken = True
        arrived, self._buffer = self._buffer, []
        return arrived

    async def close(self) -> None:
        """Stop reading."""
        self._stop_listening()
        await self._leave()

    def _break(self) -> None:
        self._is_broken = True
        self._wake.set()

    async def _renew(self) -> None:
        await self._leave()
        self._is_broken = False
        self._expected = 1
        name = uuid4().hex
        deliver = self._connection.wire.new_inbox()

        async def arrived(message: Message) -> None:
            await self._on_message(name, message)

        self._name = name
        self._subscription = await self._connection.wire.subscribe(
            deliver, cb=arrived, pending_msgs_limit=UNLIMITED, pending_bytes_limit=UNLIMITED
        )
        try:
            answer = await call(
                self._connection,
                f"CONSUMER.CREATE.{self._stream}.{name}.{self._subject}",
                self._configuration(name, deliver),
            )
        except RefusedError as error:
            raise refused(f"reading {self._subject}", error) from error
        self.pending = answer.num_pending

    def _configuration(self, name: str, deliver: str) -> dict[str, Any]:
        return {
            "stream_name": self._stream,
            "config": {
                "name": name,
                "deliver_subject": deliver,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self.position + 1,
                "filter_subject": self._subject,
                "ack_policy": "none",
                "replay_policy": "instant",
                "max_deliver": 1,
                "mem_storage": True,
                "num_replicas": 1,
                "flow_control": True,
                "idle_heartbeat": int(HEARTBEAT_S * SECOND_NS),
                "inactive_threshold": INACTIVE_S * SECOND_NS,
            },
        }

    async def _leave(self) -> None:
        subscription, self._subscription = self._subscription, None
        name, self._name = self._name, ""
        if subscription is None or self._connection.wire.is_closed:
            return
        await subscription.unsubscribe()
        # Nobody waits for the answer: a consumer without interest goes away by itself.
        await self._connection.publish(f"{PREFIX}.CONSUMER.DELETE.{self._stream}.{name}")

    async def _on_message(self, name: str, message: Message) -> None:
        if name != self._name or self._is_broken:
            return
        if is_control(message):
            await self._on_control(message)
            return
        place = Place(message.reply)
        if place.consumer_seq != self._expected:
            self._break()
            return
        self._expected += 1
        self.position = place.stream_seq
        self.pending = place.pending
        self._buffer.append((place.stream_seq, message))
        self._wake.set()

    async def _on_control(self, message: Message) -> None:
        if message.reply:
            await self._connection.publish(message.reply)
            return
        headers = message.headers or {}
        stalled = headers.get("Nats-Consumer-Stalled")
        if stalled:
            await self._connection.publish(stalled)
        last = headers.get("Nats-Last-Consumer")
        if last is not None and int(last) >= self._expected:
            # The server sent more than arrived here.
            self._break()
        self._wake.set()
