"""A push consumer of our own: it notices what it misses, and is thrown away instead of repaired.

Consumers and subscriptions survive a reconnect, what was on its way does not:
the server goes on with the next message as if nothing were missing. So a
consumer is not used beyond a reconnect or a gap; its reader makes a new one.
nats-py's ordered consumer does that by itself, but cannot be told from outside
where it stands, and notices a vanished consumer only after ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from talka_services.jetstream.api import PREFIX, SECOND_NS, call
from talka_services.jetstream.connection import (
    Connection,
    Message,
    NoAnswerError,
    NobodyThereError,
    Subscription,
)

HEARTBEAT_S = 1.0
SILENCE_S = 3.5
UNLIMITED = 0


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


def stored_at(reply: str) -> int:
    """Return when the server stored a delivered message, in milliseconds since the epoch."""
    tokens = reply.split(".")
    return int(tokens[7 if len(tokens) == 9 else 9]) // 1_000_000


def is_control(message: Message) -> bool:
    """Tell whether the server speaks here (a heartbeat, flow control), not a publisher."""
    return message.headers is not None and message.headers.get("Status") == "100" and not message.data


async def has_caught_up(connection: Connection) -> bool:
    """Tell whether all that the server had sent before this has been taken here.

    Where this process was late, what came meanwhile still waits to be read, and its timers ring first:
    whoever has heard nothing asks this before it takes that for a silence of the server's.

    Raises:
        ServerUnavailableError: the connection has been closed.
    """
    try:
        # What everybody may ask: a message to ourselves is none of the rights of most.
        await connection.request(f"{PREFIX}.INFO")
    except NobodyThereError:
        return True
    except NoAnswerError:
        return False
    return True


class PushConsumer:
    """Reads one subject of a stream until something is missed; then `is_broken`, and silent until `open`.

    ``settings`` are the server's for consumers, added to those that all have
    in common. ``arrived`` takes each message in order, without gaps; ``heard``
    is called when the server gave a sign of life or the consumer broke. One that ``is_kept`` is left for
    others to see where it stood, until it has been inactive for long enough.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        subject: str,
        settings: Mapping[str, Any],
        arrived: Callable[[Place, Message], None],
        heard: Callable[[], None],
        *,
        is_kept: bool = False,
    ) -> None:
        self.is_broken = True
        self._is_kept = is_kept
        self._connection = connection
        self._stream = stream
        self._subject = subject
        self._settings = settings
        self._arrived = arrived
        self._heard = heard
        self._name = ""
        self._expected = 1
        self._subscription: Subscription | None = None
        self._stop_listening = connection.on_reconnected(self._break)

    async def open(self, name: str, after: int) -> int:
        """Read on behind a sequence of the stream, under a new name; return how many messages wait.

        Raises:
            RefusedError: the server refused it.
            ServerUnavailableError: the server did not answer.
        """
        await self.leave()
        self.is_broken = False
        self._name = name
        self._expected = 1
        deliver = self._connection.wire.new_inbox()

        async def on_message(message: Message) -> None:
            # What comes before a reconnect has been noticed here may be of either side of it.
            if name != self._name or self.is_broken or not self._connection.is_up.is_set():
                return
            if is_control(message):
                await self._on_control(message)
            else:
                self._take(message)

        self._subscription = await self._connection.wire.subscribe(
            deliver, cb=on_message, pending_msgs_limit=UNLIMITED, pending_bytes_limit=UNLIMITED
        )
        try:
            answer = await call(
                self._connection,
                f"CONSUMER.CREATE.{self._stream}.{name}.{self._subject}",
                self._configuration(name, deliver, after),
            )
        except BaseException:
            self.is_broken = True
            raise
        return answer.num_pending

    async def leave(self) -> None:
        """Give the consumer up; what was not acknowledged stays in the stream."""
        self.is_broken = True
        subscription, self._subscription = self._subscription, None
        name, self._name = self._name, ""
        if subscription is None or self._connection.wire.is_closed:
            return
        await subscription.unsubscribe()
        if self._is_kept:
            return
        # Nobody waits for the answer: a consumer without interest goes away by itself.
        await self._connection.publish(f"{PREFIX}.CONSUMER.DELETE.{self._stream}.{name}")

    async def close(self) -> None:
        """Stop reading for good."""
        self._stop_listening()
        await self.leave()

    def _break(self) -> None:
        self.is_broken = True
        self._heard()

    def _configuration(self, name: str, deliver: str, after: int) -> dict[str, Any]:
        return {
            "stream_name": self._stream,
            "config": {
                "name": name,
                "deliver_subject": deliver,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": after + 1,
                "filter_subject": self._subject,
                "replay_policy": "instant",
                "mem_storage": True,
                "flow_control": True,
                "idle_heartbeat": int(HEARTBEAT_S * SECOND_NS),
                **self._settings,
            },
        }

    def _take(self, message: Message) -> None:
        place = Place(message.reply)
        if place.consumer_seq != self._expected:
            self._break()
            return
        self._expected += 1
        self._arrived(place, message)

    async def _on_control(self, message: Message) -> None:
        headers = message.headers or {}
        reply = message.reply or headers.get("Nats-Consumer-Stalled")
        if reply:
            await self._connection.publish(reply)
        if int(headers.get("Nats-Last-Consumer", 0)) >= self._expected:
            # The server sent more than arrived here.
            self._break()
        else:
            self._heard()
