"""Checks that what user code returned can be recorded."""

from __future__ import annotations

from typing import Any

import msgspec

from talka_protocols.errors import TaskFailedError

RESULT_BYTES_MAX = 64 * 1024 * 1024
"""Above this many encoded bytes a result fails its task instead of filling the worker's memory."""

_ENCODE = msgspec.json.Encoder().encode


def encoded(result: Any, what: str = "The function returned") -> msgspec.Raw:
    """Return the result as JSON; ``what`` begins the sentence that says why it cannot be.

    Raises:
        TaskFailedError: JSON cannot express it, or it is too large to be passed on.
    """
    try:
        body = _ENCODE(result)
    except Exception as error:
        raise TaskFailedError(
            f"{what} a value of type {type(result).__qualname__!r} that cannot be recorded as JSON: {error}.",
            hint="Return numbers, texts, lists, dicts with text keys, dataclasses or msgspec structs.",
        ) from error
    if len(body) > RESULT_BYTES_MAX:
        raise TaskFailedError(
            f"{what} {len(body)} bytes, more than the {RESULT_BYTES_MAX} that are passed on.",
            hint="Write large data to a file or an object store and return its name.",
        )
    return msgspec.Raw(body)


def normalised(result: Any) -> Any:
    """Return the result as plain dicts, lists, texts and numbers, as if it had come from elsewhere.

    Raises:
        TaskFailedError: JSON cannot express it, or it is too large to be passed on.
    """
    return msgspec.json.decode(encoded(result))
