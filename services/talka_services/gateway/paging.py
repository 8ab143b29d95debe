"""Pages of lists, all alike: `limit` and `cursor` are asked for, `next` is the cursor of the page behind.

A list has an order in which no two items have the same place, and a cursor names the last place
of a page: what is added or taken away meanwhile moves nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from talka_services.gateway.problems import bad_request

CURSOR_LENGTH_MAX = 2_000
Place = str | int | float | tuple[str | int | float, ...]

T = TypeVar("T")

Cursor = Annotated[str, Meta(max_length=CURSOR_LENGTH_MAX, description="`next` of the page before.")]


class Paging(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which part of a list."""

    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    cursor: Cursor = ""


def paged(
    items: Iterable[T], place_of: Callable[[T], Any], paging: Paging, kind: Any
) -> tuple[list[T], str | None]:
    """Return the items of a page, and the cursor of the next one.

    Args:
        items: all of the list, in the order of their places.
        place_of: the place of one.
        paging: what is asked for.
        kind: the type of places.

    Raises:
        HttpError: the cursor is none of this list.
    """
    after = place_in(paging.cursor, kind) if paging.cursor else None
    rest = (item for item in items if after is None or place_of(item) > after)
    found = list(islice(rest, paging.limit + 1))
    if len(found) <= paging.limit:
        return found, None
    chosen = found[: paging.limit]
    return chosen, cursor_at(place_of(chosen[-1]))


def cursor_at(place: Place) -> str:
    """Return the cursor that goes on behind a place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_in(cursor: str, kind: Any) -> Any:
    """Return the place that a cursor goes on behind.

    Raises:
        HttpError: it is none of this list.
    """
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        return msgspec.json.decode(body, type=kind)
    except (binascii.Error, ValueError, RecursionError):
        raise bad_request(
            "bad_parameter", f"The cursor {cursor!r} is none of this list.", hint="Begin without one."
        ) from None
