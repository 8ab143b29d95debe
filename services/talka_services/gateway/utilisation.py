"""How much of a pool was held over time."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from talka_core.utilisation import Series
from talka_protocols.errors import RequestRefusedError
from talka_protocols.subjects import is_token
from talka_services.gateway.calls import Call
from talka_services.gateway.operations import Operation
from talka_services.gateway.problems import bad_request

HOUR_S = 3600.0


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Which time."""

    since: Annotated[
        Annotated[float, Meta(ge=0, le=1e11)] | None,
        Meta(description="From when on, in Unix seconds; an hour before the end if left out."),
    ] = None
    until: Annotated[
        Annotated[float, Meta(ge=0, le=1e11)] | None,
        Meta(description="Until when; now if left out or later."),
    ] = None
    slices: Annotated[int, Meta(ge=1, le=1000, description="Into how many it is cut.")] = 120


class PoolUse(Struct, frozen=True):
    """What a pool had and what of it was held, on average over each slice, by resource.

    ``total`` is all workers together with what is pool-wide, ``workers`` are those that were there.
    """

    pool: str
    since: float
    until: float
    slice_s: float
    total: dict[str, Series]
    workers: dict[str, dict[str, Series]]


async def get_utilisation(call: Call, pool: str, query: Span) -> PoolUse:
    """Show how much of a pool was held over time, on each worker and in all.

    The first time it reads the whole log of the pool, later what has come since.
    """
    now = time.time()
    until = min(now, now if query.until is None else query.until)
    since = until - HOUR_S if query.since is None else query.since
    if not since < until:
        raise bad_request("bad_parameter", "since must lie before until, and in the past.")
    begin, end = round(1000 * since), max(round(1000 * since) + 1, round(1000 * until))
    found = await call.holdings.between(pool, begin, end, query.slices) if is_token(pool) else None
    if found is None:
        raise RequestRefusedError(f"There is no pool {pool!r} here.", code="unknown_pool")
    return PoolUse(pool, begin / 1000, end / 1000, found.slice_ms / 1000, found.pool, found.workers)


OPERATIONS = (Operation("GET", "/pools/{pool}/utilisation", get_utilisation, "pools"),)
