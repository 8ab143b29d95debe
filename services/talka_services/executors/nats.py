"""Asks services over NATS, or publishes to them; one connection serves all tasks of a server."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from talka_core.traceparent import traceparent
from talka_protocols.errors import TalkaError, TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.capture import Capture
from talka_services.executors.failures import kinds_of
from talka_services.executors.registry import ExecutorSettings
from talka_services.jetstream.connection import (
    HEADER_ALLOWANCE,
    Connection,
    Message,
    NoAnswerError,
    NobodyThereError,
    connect,
)
from talka_services.sealing.vault import Vault

_TIMEOUT_S = 30.0
_PLAIN = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_KEY_HEADER = "Idempotency-Key"
_FENCE_HEADER = "Talka-Fence"
_TRACE_HEADER = "traceparent"
_MESSAGE_ID = "Nats-Msg-Id"
# What services made with the clients' micro packages say of a request that failed.
_SERVICE_ERROR = "Nats-Service-Error"
_SERVICE_CODE = "Nats-Service-Error-Code"


class NatsPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """The message; ``expects`` says what ends the task, which ``timeout_s`` bounds.

    That is the ``reply`` of whoever listens, the word of a stream that has it
    ``stored``, or ``nothing`` but that the server has taken it.
    """

    server: str
    subject: str
    json: Any = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    expects: Literal["reply", "stored", "nothing"] = "reply"
    timeout_s: Annotated[float, Meta(gt=0)] = _TIMEOUT_S

    def __post_init__(self) -> None:
        if self.json is not None and self.body is not None:
            raise ValueError("give either `json` or `body`, and not both")
        if not _PLAIN.fullmatch(self.subject):
            raise ValueError(f"{self.subject!r} is no subject: words with dots between, no spaces, no * or >")


class _Stored(Struct):
    """What a stream says of a message that it keeps."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


class NatsExecutor:
    """Runs ``nats`` tasks.

    Result: of a reply ``{headers, body, truncated}``, and ``json`` if it is
    JSON; of a stored message ``{stream, seq, duplicate}``; else ``{}``.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self._output_bytes_max = settings.output_bytes_max
        self._connections: dict[str, Connection] = {}
        self._connecting: dict[str, asyncio.Lock] = {}

    async def execute(self, attempt: Attempt) -> dict[str, Any]:
        """Send the message, and return what came of it.

        It carries the task's idempotency key in the headers ``Idempotency-Key``
        and ``Nats-Msg-Id``, by which a stream recognises a repeated attempt,
        and the attempt's fence in ``Talka-Fence``, unless the payload sets them.

        Raises:
            TaskFailedError: no server, nobody who listens, no answer in time, or an answer that says so.
        """
        try:
            payload = msgspec.convert(attempt.task.payload, NatsPayload)
        except msgspec.ValidationError as error:
            raise TaskFailedError(
                f"The payload of the nats task {attempt.task.id!r} is wrong: {error}.",
                hint="It takes server, subject, json or body, headers, expects, timeout_s.",
            ) from error
        try:
            async with asyncio.timeout(payload.timeout_s):
                return await self._exchange(payload, attempt)
        except (TimeoutError, NoAnswerError) as error:
            raise TaskFailedError(
                f"{payload.subject} gave no answer within {payload.timeout_s:g} s ({payload.expects}): "
                f"{str(error) or type(error).__name__}.",
                hint="Raise `timeout_s`, or allow retries.",
                kinds=("no_answer", *kinds_of(error)),
            ) from error
        except NobodyThereError as error:
            whom = "No stream keeps" if payload.expects == "stored" else "Nobody listens at"
            raise TaskFailedError(
                f"{whom} {payload.subject}.", hint="Start it, or allow retries.", kinds=("nobody_there",)
            ) from error

    async def close(self) -> None:
        """Close the connections."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.close()

    async def _exchange(self, payload: NatsPayload, attempt: Attempt) -> dict[str, Any]:
        connection = await self._connected(payload.server)
        # While it is away, what we send would wait for its return, after this attempt has failed.
        await connection.is_up.wait()
        body = _body(payload)
        if len(body) > connection.wire.max_payload - HEADER_ALLOWANCE:
            raise TaskFailedError(
                f"A message of {len(body):,} bytes to {payload.subject} is more than the server takes.",
                hint="Put it where the other side can fetch it, and send the address.",
            )
        headers = _headers(payload, attempt)
        if payload.expects == "nothing":
            await connection.publish(payload.subject, body, headers)
            await connection.settle(payload.timeout_s)
            return {}
        answer = await connection.request(payload.subject, body, headers, payload.timeout_s)
        return _kept(payload, answer) if payload.expects == "stored" else self._replied(payload, answer)

    def _replied(self, payload: NatsPayload, answer: Message) -> dict[str, Any]:
        headers, kept = answer.headers or {}, Capture(self._output_bytes_max)
        kept.feed(answer.data)
        if (code := headers.get(_SERVICE_CODE)) is not None:
            said = headers.get(_SERVICE_ERROR) or kept.text()[:500]
            raise TaskFailedError(
                f"{payload.subject} answered with the error {code}: {said}.", kinds=(f"nats_{code}",)
            )
        result: dict[str, Any] = {
            "headers": dict(headers),
            "body": kept.text(),
            "truncated": kept.is_truncated,
        }
        # Many services answer with JSON, and none says so.
        with contextlib.suppress(ValueError, RecursionError):
            result["json"] = msgspec.json.decode(answer.data)
        return result

    async def _connected(self, server: str) -> Connection:
        """Return the connection to a server; many tasks at once make one.

        Raises:
            TaskFailedError: it cannot be reached, or refuses us.
        """
        async with self._connecting.setdefault(server, asyncio.Lock()):
            if server not in self._connections:
                try:
                    # What is sealed is the platform's; tasks speak to others.
                    self._connections[server] = await connect(server, "talka-task", vault=Vault())
                except TalkaError as error:
                    raise TaskFailedError(
                        str(error), hint="Check `server`, or allow retries.", kinds=(error.code,)
                    ) from error
            return self._connections[server]


def _body(payload: NatsPayload) -> bytes:
    if payload.body is not None:
        return payload.body.encode()
    return b"" if payload.json is None else msgspec.json.encode(payload.json)


def _headers(payload: NatsPayload, attempt: Attempt) -> dict[str, str]:
    """Return the headers of a message; what the task gives itself is left as it is."""
    key = attempt.idempotency_key
    added = {
        _TRACE_HEADER: traceparent(attempt.execution_id, attempt.task.id, attempt.attempt),
        _KEY_HEADER: key,
        _FENCE_HEADER: str(attempt.fence),
    }
    if payload.expects == "stored":
        added[_MESSAGE_ID] = key
    given = {name.lower() for name in payload.headers}
    return {**payload.headers, **{name: value for name, value in added.items() if name.lower() not in given}}


def _kept(payload: NatsPayload, answer: Message) -> dict[str, Any]:
    try:
        stored = msgspec.json.decode(answer.data, type=_Stored)
    except (ValueError, RecursionError) as error:
        raise TaskFailedError(
            f"What answered at {payload.subject} is no stream.",
            hint="Expect a reply, or have a stream keep the subject.",
        ) from error
    if stored.error is not None or not stored.stream:
        said = (stored.error or {}).get("description", "nothing of a stream")
        raise TaskFailedError(f"The message to {payload.subject} was not stored: {said}.")
    return {"stream": stored.stream, "seq": stored.seq, "duplicate": stored.duplicate}
