"""A page of executions: filters, and a cursor that stays where it was put while new ones begin."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from talka_protocols.states import ExecutionState
from talka_services.gateway.documents import ExecutionDocument, execution_document
from talka_services.gateway.overview import Standing
from talka_services.gateway.paging import Cursor, cursor_at, place_in

LIMIT = 50
LIMIT_MAX = 1_000
Place = tuple[float, str]


class Filters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which executions are listed."""

    status: Annotated[
        tuple[ExecutionState, ...], Meta(description="Only executions in this state; repeatable.")
    ] = ()
    name: Annotated[str, Meta(description="Only executions of workflows with this name.")] = ""
    search: Annotated[str, Meta(description="Only where name or id hold this text.")] = ""
    pool: Annotated[str, Meta(description="Only executions of this pool.")] = ""
    parent: Annotated[str, Meta(description="Only sub-workflows of this execution.")] = ""
    since: Annotated[float | None, Meta(description="Accepted then or later, in Unix seconds.")] = None
    until: Annotated[float | None, Meta(description="Accepted before, in Unix seconds.")] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = LIMIT
    cursor: Cursor = ""


class Page(Struct, frozen=True):
    """Some executions; ``next`` is the cursor of the next page, null at the end.

    ``position`` is how far in the stream this list goes: `/stream?after=` goes on from there.
    """

    executions: list[ExecutionDocument]
    next: str | None
    position: int


def page_of(
    order: Sequence[Place], standing_of: Callable[[str], Standing], filters: Filters, position: int
) -> Page:
    """Return the page that the filters ask for; ``order`` is (minus the time of acceptance, id), sorted.

    Raises:
        HttpError: the cursor is none of ours.
    """
    begin = bisect_right(order, place_in(filters.cursor, Place)) if filters.cursor else 0
    if filters.until is not None:
        begin = max(begin, bisect_right(order, (-filters.until, "\U0010ffff")))
    chosen, last = list[ExecutionDocument](), (0.0, "")
    for index in range(begin, len(order)):
        place = order[index]
        if filters.since is not None and -place[0] < filters.since:
            break
        standing = standing_of(place[1])
        if not _is_wanted(standing, filters):
            continue
        if len(chosen) == filters.limit:
            return Page(chosen, cursor_at(last), position)
        last = place
        chosen.append(execution_document(standing.status, standing.accepted_at, standing.pool))
    return Page(chosen, None, position)


def _is_wanted(standing: Standing, filters: Filters) -> bool:
    status = standing.status
    text = filters.search.lower()
    return (
        (not filters.status or status.status in filters.status)
        and (not filters.name or status.name == filters.name)
        and (not filters.pool or standing.pool == filters.pool)
        and (
            not filters.parent or (status.parent is not None and status.parent.execution_id == filters.parent)
        )
        and (not text or text in status.name.lower() or text in status.execution_id.lower())
    )
