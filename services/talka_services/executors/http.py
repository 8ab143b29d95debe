"""Sends HTTP requests over one shared pool of connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

import httpx
import msgspec
from msgspec import Meta, Struct, field

from talka_core.traceparent import traceparent
from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Attempt
from talka_services.executors.capture import Capture
from talka_services.executors.failures import kinds_of
from talka_services.executors.registry import ExecutorSettings

BODY_BYTES_MAX = 16 * 1024 * 1024
"""How much of an answer is read at most; what is kept as text is bounded by the settings."""
_CONNECT_TIMEOUT_S = 30.0
_CONNECTIONS_MAX = 256
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_KEY_HEADER = "Idempotency-Key"
_FENCE_HEADER = "Talka-Fence"
_TRACE_HEADER = "traceparent"


class HttpPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """The request; ``timeout_s`` is for all of it, ``expected_status`` replaces "below 400"."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    params: dict[str, str | int | float | bool] = field(default_factory=dict[str, str | int | float | bool])
    json: Any = None
    body: str | None = None
    timeout_s: Annotated[float, Meta(gt=0)] | None = None
    expected_status: list[int] | None = None

    def __post_init__(self) -> None:
        if self.json is not None and self.body is not None:
            raise ValueError("give either `json` or `body`, and not both")


class HttpExecutor:
    """Runs ``http`` tasks: result ``{status, headers, body, truncated}``, and ``json`` if it is JSON."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._output_bytes_max = settings.output_bytes_max
        self._client: httpx.AsyncClient | None = None

    async def execute(self, attempt: Attempt) -> dict[str, Any]:
        """Send the request and return the answer.

        Requests that change something carry the task's idempotency key in the
        ``Idempotency-Key`` header and the attempt's fence in ``Talka-Fence``,
        unless the payload sets them.

        Raises:
            TaskFailedError: no answer, or a status that was not expected.
        """
        try:
            payload = msgspec.convert(attempt.task.payload, HttpPayload)
        except msgspec.ValidationError as error:
            raise TaskFailedError(
                f"The payload of the http task {attempt.task.id!r} is wrong: {error}.",
                hint="It takes url, method, headers, params, json or body, timeout_s, expected_status.",
            ) from error
        where = f"{payload.method.upper()} {payload.url}"
        try:
            async with asyncio.timeout(payload.timeout_s):
                result = await self._exchange(payload, attempt)
        except TimeoutError as error:
            raise TaskFailedError(
                f"{where} was not answered within {payload.timeout_s} s.",
                hint="Raise `timeout_s`, or allow retries.",
                kinds=kinds_of(error),
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise TaskFailedError(
                f"{where} failed: {reason}.",
                hint="Check the address, or allow retries.",
                kinds=kinds_of(error),
            ) from error
        _require_expected(result, payload, where)
        return result

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchange(self, payload: HttpPayload, attempt: Attempt) -> dict[str, Any]:
        request = self._connected().build_request(
            payload.method.upper(),
            httpx.URL(payload.url).copy_merge_params(payload.params),
            headers=_headers(payload, attempt),
            json=payload.json,
            content=payload.body,
        )
        response = await self._connected().send(request, stream=True)
        try:
            return await self._read(response)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> dict[str, Any]:
        whole = bytearray()
        kept = Capture(self._output_bytes_max)
        async for chunk in response.aiter_bytes():
            whole += chunk
            kept.feed(chunk)
            if len(whole) >= BODY_BYTES_MAX:
                break
        is_whole = len(whole) < BODY_BYTES_MAX
        result: dict[str, Any] = {
            "status": response.status_code,
            "headers": dict(response.headers),
            "body": kept.text(),
            "truncated": kept.is_truncated or not is_whole,
        }
        if is_whole and "json" in response.headers.get("content-type", ""):
            # Where it says JSON and is not, the text is all there is.
            with contextlib.suppress(ValueError, RecursionError):
                result["json"] = msgspec.json.decode(whole)
        return result

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                follow_redirects=True,
                timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
                limits=httpx.Limits(max_connections=_CONNECTIONS_MAX),
            )
        return self._client


def _headers(payload: HttpPayload, attempt: Attempt) -> dict[str, str]:
    """Return the headers of a request; what the task gives itself is left as it is."""
    given = {name.lower() for name in payload.headers}
    added = {_TRACE_HEADER: traceparent(attempt.execution_id, attempt.task.id, attempt.attempt)}
    if payload.method.upper() not in _SAFE_METHODS:
        added |= {_KEY_HEADER: attempt.idempotency_key, _FENCE_HEADER: str(attempt.fence)}
    return {**payload.headers, **{name: value for name, value in added.items() if name.lower() not in given}}


def _require_expected(result: dict[str, Any], payload: HttpPayload, where: str) -> None:
    status = result["status"]
    expected = payload.expected_status
    if status in expected if expected is not None else status < httpx.codes.BAD_REQUEST:
        return
    wanted = f"one of {expected}" if expected is not None else "a status below 400"
    said = result["body"].strip()[:500]
    raise TaskFailedError(
        f"{where} was answered with {status}, not with {wanted}." + (f" It says: {said}" if said else ""),
        kinds=(f"http_{status}",),
    )
