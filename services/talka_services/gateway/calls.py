"""One call: what is read of the request, and what the answer's head will be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, TypeVar, cast, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields
from starlette.requests import Request

from talka_core import limits
from talka_core.metering import Told
from talka_core.nesting import is_deeper
from talka_core.spelling import did_you_mean
from talka_protocols.errors import ServerUnavailableError
from talka_services.archives.histories import WholeHistories
from talka_services.client import Orchestrator
from talka_services.gateway.holdings import PoolHoldings
from talka_services.gateway.overview import Overview
from talka_services.gateway.problems import HttpError, bad_request
from talka_services.gateway.recent import Recent
from talka_services.gateway.roles import Caller

KEY = "idempotency-key"
KEY_LENGTH_MAX = 255
BODY_S = 60.0
"""How long a body may take to come."""
DEPTH_MAX = limits.DEPTH_MAX + 8
"""How deep a body may be nested: as deep as a definition may, and what is around it here."""
ANSWER_S = 5.0
"""How long a request waits to be recorded; after that it is on file, and taken up when a service runs."""
READ_AT_ONCE_BYTES = 64 * 1024
"""Larger bodies are looked at in threads, so that nobody else waits for it."""
READERS = 2
TOLD_MAX = 10_000
"""Of how many executions it is kept when they were said to be over."""

T = TypeVar("T")


class Source:
    """What calls ask: the client of a namespace, and what the gateway keeps of it to answer soon.

    ``database`` is where its read model lies, empty if there is none; ``told`` is when
    executions that go on were first said to be over.
    """

    def __init__(self, orchestrator: Orchestrator, database: str = "") -> None:
        self.orchestrator = orchestrator
        self.database = database
        self.overview = Overview(orchestrator.node.connection, orchestrator.histories)
        self.recent = Recent(orchestrator.node.ports.log, orchestrator.histories, orchestrator.submitted)
        self.holdings = PoolHoldings(orchestrator.node.ports.log, orchestrator.histories)
        self.told: dict[str, Told] = {}
        self.readers = asyncio.Semaphore(READERS)
        ports = orchestrator.node.ports
        self.whole = WholeHistories(ports.log, ports.blobs, ports.shards, ports.snapshots)

    def tell(self, execution_id: str, told: Told) -> None:
        """Keep what was told of an execution first, to be compared with its end."""
        if execution_id in self.told:
            return
        if len(self.told) >= TOLD_MAX:
            del self.told[next(iter(self.told))]
        self.told[execution_id] = told

    async def close(self) -> None:
        """Stop reading; the client goes on."""
        await self.overview.close()
        await self.whole.close()


class Call:
    """One request; a handler may set ``status`` and ``headers`` of the answer."""

    def __init__(self, request: Request, source: Source, name: str, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.orchestrator = source.orchestrator
        self.histories = source.orchestrator.histories
        self.whole = source.whole
        self.overview = source.overview
        self.recent = source.recent
        self.holdings = source.holdings
        self.database = source.database
        self.tell = source.tell
        self._readers = source.readers
        self.name = name
        self.status: HTTPStatus | None = None
        self.headers: dict[str, str] = {}

    # --- what it brings --------------------------------------------------------------------------

    def part(self, name: str) -> str:
        """Return a part of the path."""
        value: str = self.request.path_params[name]
        return value

    @property
    def key(self) -> str | None:
        """Return the header Idempotency-Key.

        Raises:
            HttpError: it is empty or too long.
        """
        key = self.request.headers.get(KEY)
        if key is not None and not 1 <= len(key) <= KEY_LENGTH_MAX:
            raise bad_request("bad_parameter", f"An Idempotency-Key has 1 to {KEY_LENGTH_MAX} characters.")
        return key

    @property
    def request_id(self) -> str:
        """Return the id that the caller's key gives this request on this path; empty without one."""
        key = self.key
        if key is None:
            return ""
        named = msgspec.json.encode([self.name, *self.request.path_params.values(), key])
        return blake2b(named, digest_size=16).hexdigest()

    def read_query(self, kind: type[T]) -> T:
        """Return the query parameters.

        Raises:
            HttpError: one is unknown, missing or of the wrong type.
        """
        known = _parameters(cast("Any", kind))
        given: dict[str, Any] = {}
        for name in self.request.query_params:
            if name not in known:
                hint = did_you_mean(name, known, label="Parameters")
                raise bad_request("bad_parameter", f"There is no parameter {name!r}.", hint=hint)
            values = self.request.query_params.getlist(name)
            given[name] = values if get_origin(_plain(known[name].type)) is tuple else values[-1]
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            message = f"A query parameter cannot be: {error}."
            raise bad_request("bad_parameter", message) from None

    async def read_body(self, kind: Any, media: tuple[str, ...], limit_bytes: int) -> Any:
        """Return the body: as it is where ``kind`` is bytes, else decoded from JSON.

        Raises:
            HttpError: it is too large or too deep, does not come, is of another media type, no JSON,
                or not what is asked for.
        """
        body = await self._bytes(limit_bytes)
        if body or kind is bytes:
            self._check_media(media)
        if kind is bytes:
            return body
        if is_deeper(body, DEPTH_MAX):
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "body_too_deep",
                f"The body is nested deeper than {DEPTH_MAX} levels.",
            )
        try:
            return msgspec.json.decode(body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise bad_request("bad_body", f"The body is not what is asked for: {error}.") from None
        except (ValueError, RecursionError) as error:
            raise bad_request("bad_body", f"The body is no JSON: {error}.") from None

    async def apart(self, body: bytes, read: Callable[[], T]) -> T:
        """Return what reads a body: of a large one in a thread, of which there are few at a time."""
        if len(body) <= READ_AT_ONCE_BYTES:
            return read()
        async with self._readers:
            return await asyncio.to_thread(read)

    @property
    def media_type(self) -> str:
        """Return the body's media type without its parameters."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _check_media(self, media: tuple[str, ...]) -> None:
        if self.media_type not in media and "*/*" not in media:
            raise HttpError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                f"The body's Content-Type is {self.media_type!r}.",
                hint=f"Send {' or '.join(media)}.",
                headers={"Accept": ", ".join(media)},
            )

    async def _bytes(self, limit_bytes: int) -> bytes:
        length = self.request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit_bytes:
            raise _too_large(limit_bytes)
        parts, size = list[bytes](), 0
        try:
            async with asyncio.timeout(BODY_S):
                async for part in self.request.stream():
                    size += len(part)
                    if size > limit_bytes:
                        raise _too_large(limit_bytes)
                    parts.append(part)
        except TimeoutError:
            raise HttpError(
                HTTPStatus.REQUEST_TIMEOUT,
                "body_too_slow",
                f"The body did not come within {BODY_S:g} s.",
                headers={"Connection": "close"},
            ) from None
        return b"".join(parts)

    # --- what becomes of it ----------------------------------------------------------------------

    async def recorded(self, asking: Awaitable[Any]) -> bool:
        """Wait until a request is recorded; False, and 202, if it is only on file by now.

        Raises:
            TalkaError: it was refused.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await asking
        except TimeoutError:
            self.status = HTTPStatus.ACCEPTED
            return False
        return True

    async def taken(self, sending: Awaitable[T]) -> T:
        """Wait until the server has taken something in.

        Raises:
            ServerUnavailableError: it does not in time; it may have been taken in all the same.
            TalkaError: it was refused.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                return await sending
        except TimeoutError:
            raise ServerUnavailableError(
                "The NATS server does not answer, and may or may not have taken it.",
                hint="Send it again, under the same Idempotency-Key or event id.",
            ) from None

    async def within(self, seconds: float, awaited: Coroutine[Any, Any, object]) -> None:
        """Wait for something for so long, or until the gateway stops.

        Raises:
            TalkaError: waiting for it ended so.
        """
        closing: asyncio.Event = self.request.app.state.closing
        waiting, stopping = asyncio.create_task(awaited), asyncio.create_task(closing.wait())
        try:
            await asyncio.wait((waiting, stopping), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.wait((waiting, stopping))

    async def answered(self, asking: Awaitable[T]) -> T:
        """Wait for what has no answer until it is recorded.

        Raises:
            HttpError: nobody answers; the request stays on file.
            TalkaError: it was refused.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asking
        except TimeoutError:
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "no_service",
                "No service answers; the request is on file and is taken up when one runs.",
                hint="Start `talka up` on the directory, or the services.",
            ) from None


@cache
def _parameters(kind: Any) -> dict[str, FieldInfo]:
    return {each.encode_name: each for each in fields(kind)}


def _plain(kind: Any) -> Any:
    """Return an annotated type without its annotations."""
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


def _too_large(limit_bytes: int) -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"The body has more than {limit_bytes:,} bytes.",
        headers={"Connection": "close"},
    )
