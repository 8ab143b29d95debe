"""The `Inbox` port: one address over two streams, one in memory, one on file.

Each stream feeds a push consumer that settles everything up to the message
acknowledged (AckAll), so nothing may be handed on behind a gap. The consumers
are throw-away: a new owner, a reconnect, a gap or a vanished consumer means new
ones under new names, so that a late acknowledgement of an old owner reaches
nobody. They begin behind the highest acknowledgement known. What is settled is
purged once a second.

A worker may do less than a service: it reads the stream in memory alone, under
names of its own that are known beforehand, and has a service purge what it has
settled (see `talka_services.jetstream.sweeping`), since whoever may purge a
part of a stream may purge all of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from talka_protocols.errors import PlatformError, ServerUnavailableError
from talka_protocols.messages.speakers import Role
from talka_protocols.ports import Delivery
from talka_services.jetstream.api import (
    NOT_FOUND,
    PREFIX,
    SECOND_NS,
    RefusedError,
    call,
    refused,
)
from talka_services.jetstream.batch import take
from talka_services.jetstream.connection import Connection, Message
from talka_services.jetstream.consumer import HEARTBEAT_S, SILENCE_S, Place, PushConsumer, has_caught_up
from talka_services.telemetry import get_logger

ACK_WAIT_S = 60
IN_FLIGHT = 20_000
INACTIVE_S = 30
RETRY_S = 0.5
CLOSE_S = 2.0
EVICTED_S = 1.0
SETTINGS = {
    "ack_policy": "all",
    "ack_wait": ACK_WAIT_S * SECOND_NS,
    "max_ack_pending": IN_FLIGHT,
    "inactive_threshold": INACTIVE_S * SECOND_NS,
}

log = get_logger(__name__)


class Token(Struct, frozen=True):
    """What settles a delivery: which source it came through, its sequence there, where the ack goes."""

    source: int
    stream_seq: int
    reply: str


class _Source:
    """One stream's share of the inbox: its consumer and what has arrived through it.

    ``arrived`` is set when there is something in the buffer, ``broken`` when nothing more will come.
    """

    def __init__(
        self,
        connection: Connection,
        what: str,
        subject: str,
        address: str,
        index: int,
        arrived: asyncio.Event,
        broken: asyncio.Event,
        own_names: Sequence[str] = (),
    ) -> None:
        self.buffer: deque[Delivery] = deque()
        self.heard_at = 0.0
        self.acknowledged = 0
        self._purged = 0
        self._connection = connection
        self._stream = connection.names.stream(what)
        self._purge = f"STREAM.PURGE.{self._stream}"
        self._subject = subject
        self._spoken_from = len(subject) - 1
        self._speaker = Role.CLIENT.value if what == "request" else ""
        self._own_names = own_names
        self._turn = 0
        self._prefix = f"{address}="
        self._index = index
        self._arrived = arrived
        self._broken = broken
        self._clock = asyncio.get_running_loop().time
        self._consumer = PushConsumer(
            connection,
            self._stream,
            subject,
            SETTINGS,
            self._on_message,
            self._on_heard,
            is_kept=bool(own_names),
        )

    @property
    def is_broken(self) -> bool:
        """Tell whether nothing more arrives until the next `open`."""
        return self._consumer.is_broken

    async def open(self) -> None:
        """Take the address over; whoever consumes it now gets nothing more."""
        await self.leave()
        try:
            await self._evict()
            # Behind what is acknowledged, not behind what has arrived: the next owner believes that
            # everything before the beginning of this consumer is settled.
            await self._consumer.open(self._next_name(), self.acknowledged)
        except RefusedError as error:
            raise refused(f"taking over {self._subject}", error) from error
        self.heard_at = self._clock()

    def _next_name(self) -> str:
        if not self._own_names:
            return self._prefix + uuid4().hex[:12]
        self._turn = (self._turn + 1) % len(self._own_names)
        return self._own_names[self._turn]

    async def leave(self) -> None:
        """Give the consumer up; what it had delivered and is not acknowledged stays in the stream."""
        self.buffer.clear()
        await self._consumer.leave()

    async def close(self) -> None:
        """Give the consumer up for good."""
        self.buffer.clear()
        await self._consumer.close()

    def _on_message(self, place: Place, message: Message) -> None:
        self.heard_at = self._clock()
        token = Token(self._index, place.stream_seq, message.reply)
        speaker = self._speaker or message.subject[self._spoken_from :]
        self.buffer.append(Delivery(message.data, token, speaker))
        self._arrived.set()

    def _on_heard(self) -> None:
        self.heard_at = self._clock()
        if self.is_broken:
            self._broken.set()

    async def purge(self) -> None:
        """Have what was acknowledged since the last time removed, without waiting for it."""
        if self._is_to_purge():
            # What stays is purged with the next batch, or delivered again.
            await self._connection.publish(
                f"{PREFIX}.{self._purge}", msgspec.json.encode(self._purge_request())
            )

    async def purge_at_last(self) -> None:
        """Remove what was acknowledged, so that the next owner begins right behind it."""
        if self._is_to_purge():
            try:
                await call(self._connection, self._purge, self._purge_request(), wait_s=CLOSE_S)
            except (RefusedError, ServerUnavailableError) as error:
                log.info("inbox.not_purged", subject=self._subject, error=str(error))

    def _is_to_purge(self) -> bool:
        is_behind = self.acknowledged > self._purged and self._connection.is_up.is_set()
        return is_behind and not self._own_names

    def _purge_request(self) -> dict[str, Any]:
        self._purged = self.acknowledged
        return {"filter": self._subject, "seq": self._purged + 1}

    async def _evict(self) -> None:
        """Delete the consumers of earlier owners of the address, and begin behind what they acknowledged."""
        for turn, name in enumerate(self._own_names):
            if await self._evict_one(name):
                self._turn = turn
        if not self._own_names:
            await self._evict_listed()

    async def _evict_listed(self) -> None:
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

    async def _evict_one(self, name: str) -> bool:
        """Return whether there was one."""
        try:
            info = await call(self._connection, f"CONSUMER.INFO.{self._stream}.{name}", wait_s=EVICTED_S)
            self.acknowledged = max(self.acknowledged, info.ack_floor.stream_seq)
        except ServerUnavailableError as error:
            # The node of a cluster that had it is gone; what it knew to be settled comes once more.
            log.info("inbox.floor_unknown", consumer=name, error=str(error))
        except RefusedError as error:
            if error.failure.code != NOT_FOUND:
                raise
            return False
        try:
            await call(self._connection, f"CONSUMER.DELETE.{self._stream}.{name}")
        except RefusedError as error:
            if error.failure.code != NOT_FOUND:
                raise
        return True


class JetStreamInbox:
    """The inbox of one address; `open_inbox` makes it."""

    def __init__(
        self, connection: Connection, kind: str, address: str, on_renewed: Callable[[], None] | None = None
    ) -> None:
        names = connection.names
        self.on_renewed = on_renewed
        self._connection = connection
        self._name = f"{kind}_{address}"
        self._wake = wake = asyncio.Event()
        self._broken = broken = asyncio.Event()
        spoken = names.spoken(names.inbox(kind, address), ">")
        own_names = names.worker_consumers(address) if kind == Role.WORKER else ()
        sources = [_Source(connection, "inbox", spoken, self._name, 0, wake, broken, own_names)]
        if kind != Role.WORKER:
            requests = names.requests(kind, address)
            sources.append(_Source(connection, "request", requests, self._name, 1, wake, broken))
        self._sources = tuple(sources)
        self._buffers = [source.buffer for source in self._sources]
        self._clock = asyncio.get_running_loop().time
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take the address over and begin to receive."""
        await self._renew()
        self._watch = asyncio.create_task(self._keep_alive(), name=f"inbox {self._name}")
        self._watch.add_done_callback(lambda _task: self._wake.set())

    async def receive(self) -> Sequence[Delivery]:
        """Wait for a delivery, and return what has arrived, at most 512, oldest first per stream.

        The two streams share a batch, so that neither waits for the other to be empty.

        Raises:
            PlatformError: the inbox was closed, or nobody looks after its consumers any more.
        """
        while True:
            batch = take(self._buffers)
            if batch:
                return batch
            if self._watch is None or self._watch.done():
                raise PlatformError(
                    f"The inbox {self._name} at {self._connection.address} receives nothing more.",
                    hint="Open it again; what was not acknowledged is delivered then.",
                )
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
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        for source in self._sources:
            await source.purge_at_last()
            await source.close()

    async def _renew(self) -> None:
        if self._connection.renew_inbox_stream is not None:
            await self._connection.renew_inbox_stream()
        for source in self._sources:
            await source.open()

    async def _keep_alive(self) -> None:
        """Look after the consumers once a second, and at once when one broke, whatever goes wrong.

        It ends with the connection: whoever closed that wants nothing more, and whoever receives is told.
        """
        while not self._connection.wire.is_closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._broken.wait()
            self._broken.clear()
            try:
                await self._look_after()
            except PlatformError as error:
                log.warning("inbox.not_renewed", inbox=self._name, error=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception:
                if not self._connection.wire.is_closed:
                    log.exception("inbox.not_looked_after", inbox=self._name)
                    await asyncio.sleep(RETRY_S)

    async def _look_after(self) -> None:
        """Purge what is settled; make the consumers again when one is broken or has fallen silent."""
        if not any(source.is_broken for source in self._sources):
            for source in self._sources:
                await source.purge()
            if not self._is_quiet() or not self._connection.is_up.is_set():
                return
            # Without an answer a new consumer would come to nothing, and the old one may still be there.
            if not await has_caught_up(self._connection) or not self._is_quiet():
                return
        await self._renew()
        log.info("inbox.renewed", inbox=self._name)
        if self.on_renewed is not None:
            self.on_renewed()

    def _is_quiet(self) -> bool:
        """Tell whether a consumer has given no sign of life for too long."""
        return self._clock() - min(source.heard_at for source in self._sources) >= SILENCE_S


async def open_inbox(
    connection: Connection, kind: str, address: str, on_renewed: Callable[[], None] | None = None
) -> JetStreamInbox:
    """Return the inbox of an address, taken over from whoever had it.

    ``on_renewed`` is called after the inbox was made again (a restarted
    server, a reconnect, a gap, a vanished consumer): messages between actors may
    have been lost then, so the owner performs `resume`.

    Raises:
        PlatformError: the server refused it.
        ServerUnavailableError: the server did not answer.
    """
    inbox = JetStreamInbox(connection, kind, address, on_renewed)
    try:
        await inbox.open()
    except BaseException:
        await inbox.close()
        raise
    return inbox
