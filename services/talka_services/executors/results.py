"""Checks that what user code returned can be recorded."""

from __future__ import annotations

from typing import Any

import msgspec

from talka_protocols.errors import TaskFailedError
from talka_protocols.ports import Extended
from talka_protocols.workflow import Extension

RESULT_BYTES_MAX = 64 * 1024 * 1024
"""Above this many encoded bytes a result fails its task instead of filling the worker's memory."""

_ENCODE = msgspec.json.Encoder().encode


EXTENSION_BYTES_MAX = 256 * 1024
"""What a task adds to its graph travels in one message."""


def split(result: Any) -> tuple[Any, Extension | None]:
    """Return the result itself, and what the task adds to its graph.

    Raises:
        TaskFailedError: what it adds is not made of tasks and dependencies, or is too large.
    """
    if not isinstance(result, Extended):
        return result, None
    try:
        body = _ENCODE(Extension(tuple(result.tasks), tuple(result.dependencies)))
        extension = msgspec.json.decode(body, type=Extension)
    except Exception as error:
        raise TaskFailedError(
            f"What the task adds to its graph cannot be recorded: {error}.",
            hint="Give Extended a list of Task and a list of Dependency, with payloads of JSON values.",
        ) from error
    if len(body) > EXTENSION_BYTES_MAX:
        raise TaskFailedError(
            f"What the task adds to its graph takes {len(body):,} bytes, above {EXTENSION_BYTES_MAX:,}.",
            hint="Add a map over a list, or tasks that add the others.",
        )
    return result.result, extension


def joined(result: Any, extension: Extension | None) -> Any:
    """Return the two parts as a task returns them."""
    return result if extension is None else Extended(result, extension.tasks, extension.dependencies)


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
    plain, extension = split(result)
    return joined(msgspec.json.decode(encoded(plain)), extension)
