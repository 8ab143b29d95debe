"""CloudEvents 1.0 as anybody may publish them: read, checked, written, and named.

Binary mode has the attributes in headers ``ce-*`` (values percent-encoded) and
the data as the body; structured mode has everything in one JSON object, and
batched mode several of these in a list. The
type is also the last part of the subject, so what may be published can be
restricted by subject. https://github.com/cloudevents/spec, versions 1.0.x.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from talka_core.limits import DEPTH_MAX
from talka_core.nesting import is_deeper
from talka_protocols.cloudevents import EVENT_BYTES_MAX, CloudEvent
from talka_protocols.errors import EventInvalidError

SPEC_VERSION = "1.0"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BATCH_MAX = 1_000
"""How many events one batch may have."""
PREFIX = "ce-"
TYPE_LENGTH_MAX = 200
ATTRIBUTE_LENGTH_MAX = 1_000
INTEGER_END = 2**31
_REQUIRED = ("id", "source", "type")
_OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")
_RESERVED = frozenset({"data", "data_base64", "specversion", *_REQUIRED, *_OPTIONAL})
_EXTENSION = re.compile(r"[a-z0-9]{1,64}")
_TOKEN = re.compile(r"[^\s.*>\x00-\x1f\x7f]+")


def event_key(source: str, id: str) -> str:  # noqa: A002  (the specification's word)
    """Name an event: the same for the same source and id, and for no others."""
    return blake2b(msgspec.json.encode([source, id]), digest_size=16).hexdigest()


def read_event(kind: str, body: bytes, headers: Mapping[str, str] | None) -> CloudEvent:
    """Return what was published under a type.

    Raises:
        EventInvalidError: it is no CloudEvent, is of another type, or is too large.
    """
    event = decode_event(body, headers)
    if event.type != kind:
        raise _bad(f"Its type is {_shown(event.type)}, and it was published as {_shown(kind)}.")
    check_event(event)
    return event


def decode_event(body: bytes, headers: Mapping[str, str] | None) -> CloudEvent:
    """Return what a message holds, in either mode, before it is checked.

    Raises:
        EventInvalidError: it is no CloudEvent, or is too large.
    """
    if len(body) > 2 * EVENT_BYTES_MAX:
        raise _too_large(len(body))
    given = {name.lower(): value for name, value in (headers or {}).items()}
    is_structured = given.get("content-type", "").lower().startswith("application/cloudevents")
    is_binary = not is_structured and any(name.startswith(PREFIX) for name in given)
    return _binary(body, given) if is_binary else _structured(body)


def decode_batch(body: bytes) -> list[CloudEvent]:
    """Return what a body in batched mode holds, before it is checked.

    Raises:
        EventInvalidError: it is no list of CloudEvents, or a long one.
    """
    try:
        found = msgspec.json.decode(body, type=list[Raw])
    except (ValueError, RecursionError):
        raise _bad("A batch is a JSON list of events.") from None
    if len(found) > BATCH_MAX:
        raise _bad(f"A batch has {BATCH_MAX} events at most, not {len(found)}.")
    return [_structured(bytes(each)) for each in found]


def check_event(event: CloudEvent) -> None:
    """Refuse an event that nobody could take up.

    Raises:
        EventInvalidError: an attribute is missing or cannot be, or it is too large.
    """
    for name in _REQUIRED:
        if not getattr(event, name):
            raise _bad(f"It has no {name}.")
    for name in (*_REQUIRED, *_OPTIONAL):
        if len(getattr(event, name)) > ATTRIBUTE_LENGTH_MAX:
            raise _bad(f"Its {name} is longer than {ATTRIBUTE_LENGTH_MAX:,} characters.")
    check_type(event.type)
    for name, value in event.extensions.items():
        if not _EXTENSION.fullmatch(name) or name in _RESERVED:
            raise _bad(
                f"The attribute {_shown(name)} cannot be: names have lower-case letters and digits only."
            )
        if not isinstance(value, str | int | bool):
            raise _bad(f"The attribute {name} is neither text nor a whole number nor true or false.")
        if isinstance(value, int) and not -INTEGER_END <= value < INTEGER_END:
            raise _bad(f"The attribute {name} is a number of more than 32 bits.")
    size = len(msgspec.json.encode(event))
    if size > EVENT_BYTES_MAX:
        raise _too_large(size)


def check_type(kind: str) -> None:
    """Refuse a type that cannot stand in a subject.

    Raises:
        EventInvalidError: it has spaces, wildcards or empty parts, or is too long.
    """
    if len(kind) > TYPE_LENGTH_MAX or not all(_TOKEN.fullmatch(part) for part in kind.split(".")):
        raise EventInvalidError(
            f"The type {_shown(kind)} cannot be used.",
            hint="Use parts joined by dots, without spaces, '*' or '>', such as order.created.",
            code="bad_event",
        )


def write_event(event: CloudEvent) -> bytes:
    """Return an event in structured mode."""
    document: dict[str, Any] = {"specversion": SPEC_VERSION, **attributes(event)}
    if event.is_binary:
        document["data_base64"] = event.data
    elif bytes(event.data) != b"null":
        document["data"] = event.data
    return msgspec.json.encode(document)


def attributes(event: CloudEvent) -> dict[str, Any]:
    """Return the attributes that an event has, without its data."""
    known = {name: getattr(event, name) for name in (*_REQUIRED, *_OPTIONAL)}
    return {name: value for name, value in known.items() if value} | event.extensions


def _structured(body: bytes) -> CloudEvent:
    try:
        fields: Any = msgspec.json.decode(body, type=dict[str, Raw])
    except (ValueError, RecursionError):
        raise _bad("It has no attributes in headers ce-*, and its body is no JSON object.") from None
    data, encoded = _json(bytes(fields.pop("data", Raw(b"null")))), fields.pop("data_base64", None)
    given = {name: _value(name, raw) for name, raw in fields.items()}
    # The rest is of the encoding's own making: what has no value is as if it were not there.
    given = {name: value for name, value in given.items() if value is not None}
    if encoded is not None:
        return _event(given, _base64_text(encoded), is_binary=True)
    return _event(given, data)


def _binary(body: bytes, headers: Mapping[str, str]) -> CloudEvent:
    given: dict[str, Any] = {
        name.removeprefix(PREFIX): unquote(value)
        for name, value in headers.items()
        if name.startswith(PREFIX)
    }
    content_type = headers.get("content-type", "")
    if content_type:
        given["datacontenttype"] = content_type
    if not body:
        return _event(given, Raw(b"null"))
    media = content_type.partition(";")[0].strip().lower()
    if not media or media == "application/json" or media.endswith("+json"):
        return _event(given, _json(body))
    try:
        if media.startswith("text/") or media.endswith("xml"):
            return _event(given, Raw(msgspec.json.encode(body.decode())))
    except UnicodeDecodeError:
        pass  # Text of another encoding is passed on byte by byte, like anything that is no text.
    return _event(given, Raw(msgspec.json.encode(base64.b64encode(body).decode())), is_binary=True)


def _event(given: dict[str, Any], data: Raw, *, is_binary: bool = False) -> CloudEvent:
    version = given.pop("specversion", "")
    if version != SPEC_VERSION:
        raise _bad(f"Its specversion is {_shown(version)}, not {SPEC_VERSION!r}.")
    known = {name: given.pop(name) for name in (*_REQUIRED, *_OPTIONAL) if name in given}
    for name, value in known.items():
        if not isinstance(value, str):
            raise _bad(f"Its {name} is no text.")
    missing = [name for name in _REQUIRED if not known.get(name)]
    if missing:
        raise _bad(f"It has no {missing[0]}.")
    return CloudEvent(**known, data=data, is_binary=is_binary, extensions=given)


def _value(name: str, raw: Raw) -> Any:
    if is_deeper(bytes(raw), 1):
        raise _bad(f"The attribute {_shown(name)} is nested.")
    try:
        value = msgspec.json.decode(raw)
    except ValueError:  # What is passed on raw may be no UTF-8.
        raise _bad(f"The attribute {_shown(name)} cannot be read.") from None
    if isinstance(value, dict | list | float):
        raise _bad(f"The attribute {_shown(name)} is neither text nor a whole number nor true or false.")
    return value


def _json(body: bytes) -> Raw:
    try:
        _check_depth(body)
        msgspec.json.decode(body)
    except ValueError as error:
        raise _bad(f"Its data is said to be JSON, and is not: {error}.") from None
    return Raw(body)


def _check_depth(body: bytes) -> None:
    if is_deeper(body, DEPTH_MAX):
        raise _bad(f"Its data is nested deeper than {DEPTH_MAX} levels.")


def _base64_text(raw: Raw) -> Raw:
    try:
        text = msgspec.json.decode(raw, type=str)
        base64.b64decode(text, validate=True)
    except ValueError:
        raise _bad("Its data_base64 is no base64.") from None
    return Raw(bytes(raw))


def _shown(text: object) -> str:
    return repr(text if len(str(text)) <= 80 else f"{str(text)[:77]}...")


def _bad(message: str) -> EventInvalidError:
    return EventInvalidError(
        f"It is no CloudEvent that can be taken up. {message}",
        hint="An event has id, source, type and specversion 1.0, in headers ce-* or in a JSON body.",
        code="bad_event",
    )


def _too_large(size: int) -> EventInvalidError:
    return EventInvalidError(
        f"An event may have {EVENT_BYTES_MAX:,} bytes, not {size:,}.",
        hint="Keep the data in a file or a store, and publish its address.",
        code="event_too_large",
    )
