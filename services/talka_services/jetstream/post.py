"""The `Post` port: many publishes at once, one wait for all their acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from talka_protocols.errors import CallerError, ServerUnavailableError
from talka_services.jetstream.api import UNAVAILABLE, Failure, RefusedError, pause, read_answer, refused
from talka_services.jetstream.connection import Connection, Message, NoAnswerError, is_nobody_there
from talka_services.telemetry import get_logger

ANSWER_S = 3.0
PATIENCE_S = 15.0
WINDOW = 1000

log = get_logger(__name__)


class _Window:
    """The acknowledgements that one run of publishes waits for."""

    def __init__(self, size: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_acknowledged = [False] * size
        self.is_stream_missing = False
        self.failure: Failure | None = None
        self._open = size

    def arrived(self, index: int, message: Message | None) -> None:
        self._open -= 1
        if message is None:
            self.finish()
        elif is_nobody_there(message):
            self.is_stream_missing = True
            self.finish()
        elif (failure := read_answer(message).error) is not None:
            self.failure = failure
            self.finish()
        else:
            self.is_acknowledged[index] = True
            if self._open == 0:
                self.finish()

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class JetStreamPost:
    """Publishes envelopes to the streams ``inbox`` and ``request``.

    What goes to an inbox says who speaks: ``speaker``, or whatever the connection speaks as by then.
    """

    def __init__(self, connection: Connection, speaker: str | None = None) -> None:
        self._connection = connection
        self._speaker = speaker
        self._inboxes = f"{connection.names.root}.inbox."

    async def send(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        """Publish each (subject, body) in order; return when all are acknowledged.

        What no stream takes, because its subject is live, goes first and is
        not acknowledged by anyone: whoever listens has it, and nobody keeps it.
        After a lost acknowledgement everything from there on is sent again,
        so that the order holds and receivers see repeats at worst.

        Raises:
            ServerUnavailableError: not all were acknowledged within 15 seconds.
            CallerError: a body is over the server's payload limit.
        """
        for subject, body in envelopes:
            if len(body) > self._connection.max_bytes:
                raise CallerError(
                    f"A message of {len(body)} bytes to {subject} is over the server's limit of "
                    f"{self._connection.max_bytes} bytes.",
                    hint="Send large values as claim checks, or raise max_payload on the server.",
                )
        is_live = self._connection.names.is_live
        await self._tell([envelope for envelope in envelopes if is_live(envelope[0])])
        await self._store(
            [(self._wired(subject), body) for subject, body in envelopes if not is_live(subject)]
        )

    def _wired(self, subject: str) -> str:
        if not subject.startswith(self._inboxes):
            return subject
        return self._connection.names.spoken(subject, self._speaker or self._connection.speaker)

    async def _tell(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        for subject, body in envelopes:
            try:
                await self._connection.publish(subject, body)
            except NoAnswerError as error:
                raise ServerUnavailableError(
                    f"{self._connection.address} is away, and too much waits to be sent to it.",
                    hint="Sending again is safe.",
                ) from error

    async def _store(self, envelopes: Sequence[tuple[str, bytes]]) -> None:
        clock = asyncio.get_running_loop().time
        sent, deadline = 0, clock() + PATIENCE_S
        while sent < len(envelopes):
            window = await self._send_window(envelopes[sent : sent + WINDOW])
            accepted = _leading(window.is_acknowledged)
            sent += accepted
            if accepted:
                deadline = clock() + PATIENCE_S
            elif clock() > deadline:
                raise self._unavailable(envelopes[sent][0], window)
            if not all(window.is_acknowledged):
                await self._recover(envelopes[sent][0], window, deadline - clock())

    async def _send_window(self, envelopes: Sequence[tuple[str, bytes]]) -> _Window:
        window = _Window(len(envelopes))
        tokens: list[str] = []
        timer = asyncio.get_running_loop().call_later(ANSWER_S, window.finish)
        try:
            for index, (subject, body) in enumerate(envelopes):
                tokens.append(await self._connection.ask(subject, body, window.arrived, index))
                if window.done.done():
                    break
            else:
                await window.done
        except NoAnswerError:
            log.debug("post.buffer_full")
        finally:
            timer.cancel()
            for token in tokens:
                self._connection.forget(token)
        return window

    async def _recover(self, subject: str, window: _Window, left_s: float) -> None:
        if window.failure is not None and window.failure.code != UNAVAILABLE:
            raise refused(f"a message to {subject}", RefusedError(window.failure))
        if window.is_stream_missing and self._connection.renew_inbox_stream is not None:
            await self._connection.renew_inbox_stream()
        await pause(self._connection, left_s)

    def _unavailable(self, subject: str, window: _Window) -> ServerUnavailableError:
        reason = window.failure.description if window.failure else "no acknowledgement came"
        if window.is_stream_missing:
            reason = "no stream takes this subject"
        return ServerUnavailableError(
            f"{self._connection.address} did not accept a message to {subject}: {reason}.",
            hint="Sending again is safe.",
        )


def _leading(flags: Sequence[bool]) -> int:
    for index, flag in enumerate(flags):
        if not flag:
            return index
    return len(flags)
