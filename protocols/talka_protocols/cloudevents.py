"""Outside events as data: CloudEvents 1.0, in the form in which they travel inside."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from talka_protocols.workflow import INLINE_BYTES_MAX

EVENT_BYTES_MAX = INLINE_BYTES_MAX
"""The most that an event may have, its attributes and its data together as JSON."""


class CloudEvent(Struct, frozen=True, omit_defaults=True, gc=False):
    """Something that happened outside, named by ``source`` and ``id`` together for ever.

    ``data`` is JSON: text where the event's data was text, and base64 where
    ``is_binary``. ``extensions`` are the attributes that the specification does not know.
    """

    id: str
    source: str
    type: str
    subject: str = ""
    time: str = ""
    datacontenttype: str = ""
    dataschema: str = ""
    data: Raw = Raw(b"null")
    is_binary: bool = False
    extensions: dict[str, Any] = {}
