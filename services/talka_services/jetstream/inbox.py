"""The `Inbox` port: one address over two streams, one in memory, one on file.

Each stream feeds a push consumer that settles everything up to the message
acknowledged (AckAll). The consumers are throw-away: a new owner, a reconnect
or a vanished consumer means new ones under new names, so that a late
acknowledgement of an old owner reaches nobody. They begin behind the highest
acknowledgement known. What is settled is purged once a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from talka_protocols.errors import PlatformError, ServerUnavailableError
from talka_protocols.ports import Delivery
from talka_services.jetstream.api import (
    NOT_FOUND,
    PREFIX,
    SECOND_NS,
    RefusedError,
    call,
    refused,
)
from talka_services.jetstream.connection import Connection, Message, Subscription
from talka_services.jetstream.feed import HEARTBEAT_S, SILENCE_S, UNLIMITED, Place, is_control
from talka_services.telemetry import get_logger

BATCH = 512
BATCH_BYTES = 4 * 1024 * 1024
ACK_WAIT_S = 60
IN_FLIGHT = 20_000
INACTIVE_S = 30
RETRY_S = 0.5
CLOSE_S = 2.0

log = get_logger(__name__)


class Token(Struct, frozen=True):
    """What settles a delivery: which source it came through, its sequence there, where the ack goes."""

    source: int
    stream_seq: int
    reply: str


class _Source:
    """One stream's share of the inbox: its consumer and what has arrived through it."""

    def __init__(self, connection: Connection, what: str, subject: str, address: str, index: int) -> None:
        self.buffer: deque[Delivery] = deque()
        self.heard_at = 0.0
        self.acknowledged = 0
        self._purged = 0
        self._connection = connection
        self._stream = connection.names.stream(what)
        self._purge = f"STREAM.PURGE.{self._stream}"
        self._subject = subject
        self._prefix = f"{address}="
        self._index = index
        self._name = ""
        self._subscription: Subscription | None = None

    async def open(self, wake: asyncio.Event) -> None:
        """Take the address over; whoever consumes it now gets nothing more."""
        await self.leave()
        name = self._prefix + uuid4().hex[:12]
        deliver = self._connection.wire.new_inbox()
        clock = asyncio.get_running_loop().time

        async def arrived(message: Message) -> None:
            self.heard_at = clock()
            if name != self._name:
                return
            if is_control(message):
                await self._answer_control(message)
                return
            token = Token(self._index, Place(message.reply).stream_seq, message.reply)
            self.buffer.append(Delivery(message.data, token))
            wake.set()

        self._name = name
        self._subscription = await self._connection.wire.subscribe(
            deliver, cb=arrived, pending_msgs_limit=UNLIMITED, pending_bytes_limit=UNLIMITED
        )
        await self._create(name, deliver)
        self.heard_at = clock()

    async def leave(self) -> None:
        """Give the consumer up; what it had delivered and is not acknowledged stays in the stream."""
        self.buffer.clear()
        subscription, self._subscription = self._subscription, None
        name, self._name = self._name, ""
        if subscription is None or self._connection.wire.is_closed:
            return
        await subscription.unsubscribe()
        await self._connection.publish(f"{PREFIX}.CONSUMER.DELETE.{self._stream}.{name}")

    async def purge(self) -> None:
        """Have what was acknowledged since the last time removed, without waiting for it."""
        if self.acknowledged > self._purged and self._connection.is_up.is_set():
            # What stays is purged with the next batch, or delivered again.
            await self._connection.publish(
                f"{PREFIX}.{self._purge}", msgspec.json.encode(self._purge_request())
            )

    async def purge_at_last(self) -> None:
        """Remove what was acknowledged, so that the next owner begins right behind it."""
        if self.acknowledged > self._purged and self._connection.is_up.is_set():
            try:
                await call(self._connection, self._purge, self._purge_request(), wait_s=CLOSE_S)
            except (RefusedError, ServerUnavailableError) as error:
                log.info("inbox.not_purged", subject=self._subject, error=str(error))

    def _purge_request(self) -> dict[str, Any]:
        self._purged = self.acknowledged
        return {"filter": self._subject, "seq": self._purged + 1}

    async def _create(self, name: str, deliver: str) -> None:
        try:
            await self._evict()
            await call(
                self._connection,
                f"CONSUMER.CREATE.{self._stream}.{name}.{self._subject}",
                self._configuration(name, deliver),
            )
        except RefusedError as error:
            raise refused(f"taking over {self._subject}", error) from error

    async def _evict(self) -> None:
        """Delete the consumers of earlier owners of the address, and begin behind what they acknowledged."""
        names: list[str] = []
        while True:
            answer = await call(self._connection, f"CONSUMER.NAMES.{self._stream}", {"offset": len(names)})
            page = answer.consumers if isinstance(answer.consumers, list) else []
            names.extend(page)
            if not page or len(names) >= answer.total:
                break
        for name in names:
            if name.startswith(self._prefix):
                await self._evict_one(name)

    async def _evict_one(self, name: str) -> None:
        try:
            info = await call(self._connection, f"CONSUMER.INFO.{self._stream}.{name}")
            await call(self._connection, f"CONSUMER.DELETE.{self._stream}.{name}")
        except RefusedError as error:
            if error.failure.code != NOT_FOUND:
                raise
        else:
            self.acknowledged = max(self.acknowledged, info.ack_floor.stream_seq)

    def _configuration(self, name: str, deliver: str) -> dict[str, Any]:
        return {
            "stream_name": self._stream,
            "config": {
                "name": name,
                "deliver_subject": deliver,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self.acknowledged + 1,
                "filter_subject": self._subject,
                "ack_policy": "all",
                "ack_wait": ACK_WAIT_S * SECOND_NS,
                "max_ack_pending": IN_FLIGHT,
                "replay_policy": "instant",
                "mem_storage": True,
                "flow_control": True,
                "idle_heartbeat": int(HEARTBEAT_S * SECOND_NS),
                "inactive_threshold": INACTIVE_S * SECOND_NS,
            },
        }

    async def _answer_control(self, message: Message) -> None:
        reply = message.reply or (message.headers or {}).get("Nats-Consumer-Stalled")
        if reply:
            await self._connection.publish(reply)


class JetStreamInbox:
    """The inbox of one address; `open_inbox` makes it."""

    def __init__(
        self, connection: Connection, kind: str, address: str, on_renewed: Callable[[], None] | None = None
    ) -> None:
        names = connection.names
        self.on_renewed = on_renewed
        self._connection = connection
        self._name = f"{kind}_{address}"
        self._sources = (
            _Source(connection, "inbox", names.inbox(kind, address), self._name, 0),
            _Source(connection, "request", names.requests(kind, address), self._name, 1),
        )
        self._wake = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._stop_listening = connection.on_reconnected(self._reconnected.set)
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take the address over and begin to receive."""
        await self._renew()
        self._watch = asyncio.create_task(self._keep_alive(), name=f"inbox {self._name}")

    async def receive(self) -> Sequence[Delivery]:
        """Wait for a delivery, and return all that have arrived, at most 512, oldest first per stream."""
        while True:
            batch = self._take()
            if batch:
                return batch
            self._wake.clear()
            await self._wake.wait()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these deliveries and every earlier one of their streams.

        An acknowledgement that gets lost means a repeat, nothing more.
        """
        highest: dict[int, Token] = {}
        for delivery in deliveries:
            token: Token = delivery.token
            known = highest.get(token.source)
            if known is None or token.stream_seq > known.stream_seq:
                highest[token.source] = token
        for token in highest.values():
            source = self._sources[token.source]
            source.acknowledged = max(source.acknowledged, token.stream_seq)
            await self._connection.publish(token.reply)

    async def close(self) -> None:
        """Stop receiving; what is not acknowledged stays for the next owner."""
        self._stop_listening()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        for source in self._sources:
            await source.purge_at_last()
            await source.leave()

    def _take(self) -> list[Delivery]:
        batch: list[Delivery] = []
        size = 0
        for source in self._sources:
            buffer = source.buffer
            while buffer and len(batch) < BATCH and size < BATCH_BYTES:
                delivery = buffer.popleft()
                size += len(delivery.body)
                batch.append(delivery)
        return batch

    async def _renew(self) -> None:
        self._reconnected.clear()
        if self._connection.renew_inbox_stream is not None:
            await self._connection.renew_inbox_stream()
        for source in self._sources:
            await source.open(self._wake)

    async def _keep_alive(self) -> None:
        """Make the consumers again after a reconnect, and when one has fallen silent."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._reconnected.wait()
            except TimeoutError:
                for source in self._sources:
                    await source.purge()
                quiet_s = clock() - min(source.heard_at for source in self._sources)
                if quiet_s < SILENCE_S or not self._connection.is_up.is_set():
                    continue
            await self._renew_until_done()
            log.info("inbox.renewed", inbox=self._name)
            if self.on_renewed is not None:
                self.on_renewed()

    async def _renew_until_done(self) -> None:
        while True:
            try:
                await self._renew()
            except (ServerUnavailableError, PlatformError) as error:
                log.warning("inbox.not_renewed", inbox=self._name, error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return


async def open_inbox(
    connection: Connection, kind: str, address: str, on_renewed: Callable[[], None] | None = None
) -> JetStreamInbox:
    """Return the inbox of an address, taken over from whoever had it.

    ``on_renewed`` is called after the inbox was made again (a restarted
    server, a reconnect, a vanished consumer): messages between actors may
    have been lost then, so the owner performs `resume`.
    """
    inbox = JetStreamInbox(connection, kind, address, on_renewed)
    await inbox.open()
    return inbox
