"""Errors as RFC 9457 problem documents; the status says whose fault it is.

400: the request itself cannot be read. 404: what it names does not exist. 409: it does,
but not as the request needs it. 422: what it brings (a workflow, a schedule, an
event) makes no sense. 503: the platform, which may be asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.responses import Response

from talka_core.simulation import NothingRecordedError
from talka_protocols.errors import (
    BrokenHistoryError,
    CallerError,
    EventInvalidError,
    NotAllowedError,
    PlatformError,
    RequestRefusedError,
    ResourcesUnavailable,
    ScheduleInvalidError,
    TalkaError,
    TriggerInvalidError,
    UnknownExecutionError,
    UnknownScheduleError,
    UnknownTriggerError,
    WorkflowInvalidError,
)

MEDIA_TYPE = "application/problem+json"
NO_SUCH = frozenset(
    {
        "unknown_alert",
        "unknown_event",
        "unknown_execution",
        "unknown_pool",
        "unknown_schedule",
        "unknown_task",
        "unknown_trigger",
    }
)
RETRY_AFTER_S = 1
VERSION_MAX = 2**53
"""More events than any log has; what is larger is no exact number to every reader of JSON."""
INSTANT_MAX = 1e11
"""The last instant that may be asked about, in Unix seconds: the year 5138."""
SECONDS_MAX = 1e9
"""The longest time that may be asked for."""


class Problem(Struct, frozen=True, omit_defaults=True):
    """What went wrong; ``code`` is stable, ``file``, ``line`` and ``column`` are a place in a definition."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None


class HttpError(CallerError):
    """What is wrong with the request as HTTP, before anybody is asked."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        place: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.place = place


def bad_request(
    code: str, message: str, *, hint: str = "", place: tuple[int, int] | None = None
) -> HttpError:
    """Return the error for a request that cannot be read."""
    return HttpError(HTTPStatus.BAD_REQUEST, code, message, hint=hint, place=place)


_STATUSES: tuple[tuple[type[TalkaError], HTTPStatus], ...] = (
    (WorkflowInvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ScheduleInvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TriggerInvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (EventInvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownExecutionError, HTTPStatus.NOT_FOUND),
    (UnknownScheduleError, HTTPStatus.NOT_FOUND),
    (UnknownTriggerError, HTTPStatus.NOT_FOUND),
    (RequestRefusedError, HTTPStatus.CONFLICT),
    (NothingRecordedError, HTTPStatus.CONFLICT),
    (ResourcesUnavailable, HTTPStatus.CONFLICT),
    (NotAllowedError, HTTPStatus.FORBIDDEN),
    (CallerError, HTTPStatus.BAD_REQUEST),
    (BrokenHistoryError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (PlatformError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The status for each kind of error; the first that fits counts."""


def status_of(error: TalkaError) -> HTTPStatus:
    """Return the HTTP status for an error."""
    if isinstance(error, HttpError):
        return error.status
    if error.code in NO_SUCH and isinstance(error, RequestRefusedError):
        return HTTPStatus.NOT_FOUND
    if error.code == "event_too_large":
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    fitting = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(fitting, HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: TalkaError) -> Problem:
    """Return one of our errors as a document."""
    status = status_of(error)
    file, line, column = None, None, None
    if isinstance(error, WorkflowInvalidError):
        file, line, column = error.file, error.line, error.column
    elif isinstance(error, HttpError) and error.place is not None:
        line, column = error.place
    return Problem(
        "about:blank", status.phrase, status.value, error.message, error.code, error.hint, file, line, column
    )


def response_of(error: TalkaError) -> Response:
    """Return the response for one of our errors."""
    found = problem_of(error)
    headers = dict(error.headers) if isinstance(error, HttpError) else {}
    if found.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(msgspec.json.encode(found), found.status, headers, MEDIA_TYPE)


def internal(error: Exception) -> Response:
    """Return the response for a bug of ours, which the log tells about."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    detail = f"{type(error).__name__}: see the log of the gateway."
    found = Problem("about:blank", status.phrase, status.value, detail, "internal")
    return Response(msgspec.json.encode(found), found.status, media_type=MEDIA_TYPE)
