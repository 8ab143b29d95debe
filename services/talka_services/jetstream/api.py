"""The part of the JetStream API that is used here, as typed requests and answers.

nats-py's own manager is not used for these: it reads the answers into slow
untyped classes, cannot page through subjects, and cannot name a consumer's
action.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from talka_protocols.errors import NotPermittedError, PlatformError, ServerUnavailableError
from talka_services.jetstream.connection import Connection, Message, NoAnswerError, NobodyThereError

PREFIX = "$JS.API"
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
UNAVAILABLE = 503
WRONG_LAST_SEQUENCE = (10071, 10164)
STREAM_NAME_IN_USE = 10058
NO_ROOM = (10002, 10023, 10047)
NOT_FOUND = 404
FORBIDDEN = 403
JETSTREAM_OFF = (10039, 10076)
NO_MESSAGE = 10037
PATIENCE_S = 20.0
ANSWER_S = 3.0
ABSENCE_S = 30.0
PAUSE_S = 0.05
SECOND_NS = 1_000_000_000


class Failure(Struct, frozen=True):
    """What the server says when it refuses."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class RefusedError(Exception):
    """The server refused a request, and will again."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.description} ({failure.err_code})")
        self.failure = failure


class Stored(Struct, frozen=True):
    """A message as it lies in a stream."""

    subject: str
    seq: int
    data: bytes = b""
    hdrs: bytes = b""

    def headers(self) -> dict[str, str]:
        """Return the headers by name."""
        pairs = (line.partition(b":") for line in self.hdrs.split(b"\r\n")[1:] if line)
        return {name.decode(): value.strip().decode() for name, _, value in pairs}


class StreamState(Struct, frozen=True):
    """How much is in a stream."""

    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    subjects: dict[str, int] | None = None
    bytes: int = 0


class Floor(Struct, frozen=True):
    """Up to where a consumer's messages are acknowledged."""

    stream_seq: int = 0


class Answer(Struct, frozen=True):
    """Any answer of the API: the fields that are used, all optional."""

    error: Failure | None = None
    message: Stored | None = None
    seq: int = 0
    duplicate: bool = False
    name: str = ""
    created: str = ""
    num_pending: int = 0
    total: int = 0
    consumers: list[Any] | int | None = None
    streams: list[str] | int | None = None
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    state: StreamState = StreamState()
    ack_floor: Floor = Floor()


_ANSWER = msgspec.json.Decoder(Answer)


def read_answer(message: Message) -> Answer:
    """Decode an answer of the API or an acknowledgement of a publish."""
    return _ANSWER.decode(message.data)


async def call(
    connection: Connection, subject: str, request: Any = None, wait_s: float = PATIENCE_S
) -> Answer:
    """Send one request to the API and return its answer, with patience while the server starts or fails over.

    Every request made here may safely be made twice.

    Raises:
        RefusedError: the server refused it.
        ServerUnavailableError: no answer within ``wait_s``.
    """
    body = b"" if request is None else msgspec.json.encode(request)
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    while True:
        try:
            left = max(0.1, min(5.0, deadline - clock()))
            answer = read_answer(await connection.request(f"{PREFIX}.{subject}", body, wait_s=left))
        except (NoAnswerError, NobodyThereError) as error:
            problem = str(error)
        else:
            if answer.error is None:
                return answer
            if answer.error.code != UNAVAILABLE or answer.error.err_code in JETSTREAM_OFF:
                raise RefusedError(answer.error)
            problem = answer.error.description
        if clock() > deadline:
            raise ServerUnavailableError(
                f"JetStream at {connection.address} does not answer {subject}: {problem}.",
                hint="Check that the server runs with JetStream and that the cluster has a leader.",
            )
        await pause(connection, deadline - clock())


async def publish_until_answered(
    connection: Connection, subject: str, body: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send the same bytes until the server gives an answer that does not say "later".

    The headers must make a repeat harmless: expect a sequence.

    Raises:
        ServerUnavailableError: the server answers, but the stream has been away for half a minute.
    """
    absent_since = 0.0
    while True:
        try:
            answer = read_answer(await connection.request(subject, body, headers, ANSWER_S))
        except NoAnswerError:
            absent_since = 0.0
            await pause(connection, ABSENCE_S)
            continue
        except NobodyThereError:
            problem = "no stream takes this subject"
        else:
            if answer.error is None or answer.error.code != UNAVAILABLE:
                return answer
            problem = answer.error.description
        now = asyncio.get_running_loop().time()
        absent_since = absent_since or now
        if now - absent_since > ABSENCE_S:
            raise ServerUnavailableError(
                f"{connection.address} does not accept what is written to {subject}: {problem}.",
                hint="Check the server's log and its disk; nothing that was acknowledged is lost.",
            )
        await pause(connection, ABSENCE_S)


async def pause(connection: Connection, at_most_s: float) -> None:
    """Wait before asking again: for the connection if it is down, else a few hundredths of a second."""
    if connection.is_up.is_set():
        await asyncio.sleep(min(PAUSE_S, max(0.0, at_most_s)))
        return
    try:
        async with asyncio.timeout(max(0.0, at_most_s)):
            await connection.is_up.wait()
    except TimeoutError:
        return


async def last_message(connection: Connection, stream: str, subject: str) -> Stored | None:
    """Return the newest message of a subject as the stream's leader has it, or None."""
    try:
        answer = await call(connection, f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
    except RefusedError as error:
        if error.failure.err_code == NO_MESSAGE:
            return None
        raise refused(f"reading the newest message of {subject}", error) from error
    return answer.message


async def stored_message(
    connection: Connection, stream: str, subject: str, patience_s: float = ABSENCE_S
) -> Stored | None:
    """Return the newest message of a subject once the leader has stored it, or None.

    A server whose disk fails shows messages that it has in memory, could not store, and will not have
    when it starts again: whoever takes them for stored believes what is lost then.

    Raises:
        ServerUnavailableError: it has not stored it within ``patience_s``.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience_s
    while True:
        message = await last_message(connection, stream, subject)
        if message is None:
            return None
        if message.seq <= await _last_stored(connection, stream):
            return message
        if clock() >= deadline:
            raise ServerUnavailableError(
                f"{connection.address} does not store what it has of {subject}.",
                hint="Check its log and its disk, and start it again; nothing that was acknowledged is lost.",
            )
        await pause(connection, deadline - clock())


async def _last_stored(connection: Connection, stream: str) -> int:
    try:
        return (await call(connection, f"STREAM.INFO.{stream}")).state.last_seq
    except RefusedError as error:
        raise refused(f"looking at the stream {stream}", error) from error


async def subjects(connection: Connection, stream: str, pattern: str) -> list[str]:
    """Return the subjects of a stream that match a pattern and hold messages."""
    return list(await message_counts(connection, stream, pattern))


async def message_counts(connection: Connection, stream: str, pattern: str) -> dict[str, int]:
    """Return how many messages each subject of a stream holds that matches a pattern and holds any."""
    found: dict[str, int] = {}
    while True:
        request = {"subjects_filter": pattern, "offset": len(found)}
        answer = await call(connection, f"STREAM.INFO.{stream}", request)
        page = answer.state.subjects or {}
        found |= page
        if not page or len(found) >= answer.total:
            return found


def refused(doing: str, error: RefusedError) -> PlatformError:
    """Return the error for people of a request that the server refused."""
    if error.failure.code == FORBIDDEN:
        return NotPermittedError(
            f"The NATS server does not permit {doing}: {error.failure.description}.",
            hint="Use the key of a service that does this, or give its user what "
            "`talka deploy nats-permissions` prints; `talka doctor --service NAME` checks it.",
        )
    return PlatformError(
        f"The NATS server refused {doing}: {error}.",
        hint="`talka doctor` checks the server's limits and streams.",
    )
