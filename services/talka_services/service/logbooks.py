"""What the attempts of one worker print, on its way to the stream that keeps it for a while.

It is told together, and nobody waits for it: an attempt that prints more than
can be sent or kept loses the rest of its text, never its time or its result.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Awaitable, Callable

import msgspec

from talka_protocols.tasklogs import Channel, Printed
from talka_services.runner.ports import Clock
from talka_services.telemetry import get_logger

log = get_logger(__name__)

FLUSH_S = 0.1
"""How long text waits for more of it."""
ATTEMPT_BYTES_MAX = 4 * 1024 * 1024
"""How much of one attempt's text is kept."""
WAITING_BYTES_MAX = 8 * 1024 * 1024
"""How much text of all attempts waits at most, say while the server is away."""
MESSAGE_BYTES = 128 * 1024
"""How much text one message carries."""

Publish = Callable[[str, bytes], Awaitable[None]]


class Logbooks:
    """Collects text and publishes it, by execution; ``publish`` takes an execution's id and a body."""

    def __init__(self, worker_id: str, clock: Clock, publish: Publish) -> None:
        self.worker_id = worker_id
        self.clock = clock
        self._publish = publish
        self._waiting: list[tuple[str, Printed]] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def opened(self, execution_id: str, task_id: str, attempt: int) -> AttemptLogbook:
        """Return where an attempt writes to."""
        return AttemptLogbook(self, execution_id, task_id, attempt)

    def take(self, execution_id: str, printed: Printed) -> bool:
        """Keep some text until it is sent; return False, without keeping it, if too much waits already."""
        if self._size + len(printed.text) > WAITING_BYTES_MAX:
            return False
        self._waiting.append((execution_id, printed))
        self._size += len(printed.text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        return True

    def flush(self) -> None:
        """Begin to send what waits, unless that is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._sending is None:
            self._sending = asyncio.create_task(self._send(), name=f"task logs of {self.worker_id}")
            self._sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending = None
        if not sending.cancelled() and (error := sending.exception()) is not None:
            log.warning("tasklog.not_sent", worker=self.worker_id, error=str(error))
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    async def _send(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        by_execution: dict[str, list[Printed]] = {}
        for execution_id, printed in waiting:
            by_execution.setdefault(execution_id, []).append(printed)
        for execution_id, texts in by_execution.items():
            for part in _parts(texts):
                await self._publish(execution_id, msgspec.json.encode(part))

    async def close(self) -> None:
        """Send what is left, if the server takes it."""
        while self._waiting or self._sending is not None:
            self.flush()
            if self._sending is not None:
                await asyncio.wait([self._sending])
        if self._timer is not None:
            self._timer.cancel()


class AttemptLogbook:
    """Takes the text of one attempt, cut into characters, up to its limit."""

    def __init__(self, books: Logbooks, execution_id: str, task_id: str, attempt: int) -> None:
        self._books = books
        self._key = (execution_id, task_id, attempt)
        self._decoders: dict[Channel, codecs.IncrementalDecoder] = {}
        self._taken = 0
        self._dropped: dict[Channel, int] = {}

    def write(self, channel: Channel, data: bytes) -> None:
        """Take the next bytes of a channel; what is over the limit is counted."""
        room = max(0, ATTEMPT_BYTES_MAX - self._taken)
        if self._dropped.get(channel) or room < len(data):
            kept = b"" if self._dropped.get(channel) else data[:room]
            self._dropped[channel] = self._dropped.get(channel, 0) + len(data) - len(kept)
            data = kept
        self._taken += len(data)
        decoder = self._decoders.get(channel)
        if decoder is None:
            decoder = self._decoders[channel] = codecs.getincrementaldecoder("utf-8")("replace")
        self._tell(channel, decoder.decode(data))

    def miss(self, channel: Channel, count: int) -> None:
        """Note that bytes of a channel are missing."""
        if count:
            self.write(channel, b"")
            self._dropped[channel] = self._dropped.get(channel, 0) + count

    def close(self) -> None:
        """Tell the rest, and how much is missing."""
        for channel, decoder in self._decoders.items():
            self._tell(channel, decoder.decode(b"", True), self._dropped.get(channel, 0))
        if self._decoders:
            self._books.flush()

    def _tell(self, channel: Channel, text: str, dropped: int = 0) -> None:
        if not text and not dropped:
            return
        execution_id, task_id, attempt = self._key
        books = self._books
        now_ms = books.clock.now_ms()
        printed = Printed(task_id, attempt, channel, now_ms, text, books.worker_id, dropped)
        if not books.take(execution_id, printed):
            self._dropped[channel] = self._dropped.get(channel, 0) + len(text.encode())


def _parts(printed: list[Printed]) -> list[list[Printed]]:
    """Divide text into messages; one that is very long goes alone."""
    parts: list[list[Printed]] = []
    size = 0
    for each in printed:
        if not parts or size + len(each.text) > MESSAGE_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(each)
        size += len(each.text)
    return parts
