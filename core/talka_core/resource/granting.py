"""One round of granting: who among those that wait, and those that have just asked, gets what is free.

The tenant that has least goes first (see ``fairness``), and of its requests the
best rank, whoever asked first. A request that does not fit holds up those of
its own shape, which would not fit either, and of others those that would make
it wait longer; see ``backfill``. One that is kept back by a quota, a limit or a
circuit breaker holds up nobody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from operator import itemgetter

from msgspec import Struct

from talka_core.resource import breaker, gangs
from talka_core.resource.accounts import has_room
from talka_core.resource.backfill import Backfill
from talka_core.resource.fairness import Head, Shares, Turns
from talka_core.resource.placement import Need, need_of, place
from talka_core.resource.state import HANDS, HANDS_MS, PoolRecord, Request, queued
from talka_protocols.events import (
    AllocationGranted,
    AllocationPermitWithdrawn,
    GangGranted,
    PoolEvent,
)

Asked = dict[str, tuple[int, Request]]
"""Requests that are not recorded yet, with the place of the message of each, by allocation id."""
Step = tuple[int, PoolEvent]
"""An event with the place of the message that led to it."""


class _Line(Struct):
    """The requests of one shape; ``fresh`` are those that have just asked, the best last."""

    shape: str
    tenant: str
    need: Need
    fresh: list[Head]


def grant_best_first(state: PoolRecord, asked: Asked, cause: int | None, now_ms: int) -> Iterator[Step]:
    """Yield the grants of one round, and queue those of ``asked`` that have to wait.

    ``cause`` is the place of the message that waiting requests owe their grants
    to, or None when nothing was freed: then none of them can have come to fit.
    """
    present = Counter(state.waiting[queue[0][2]].holder.execution_id for queue in state.queues.values())
    lines = _lines(state, asked, is_opened=cause is not None)
    shares = Shares(state, _wanting(state, lines, is_opened=cause is not None))
    heads = ((line.tenant, _head(state, line), number) for number, line in enumerate(lines))
    turns = Turns(shares, heads)
    backfill = Backfill(state, shares, now_ms)
    if cause is None and asked:
        _block_best(state, shares, backfill)
    while turn := turns.best():
        (_, is_fresh, _, allocation_id), number = turn
        line = lines[number]
        request = asked[allocation_id][1] if is_fresh else state.waiting[allocation_id]
        if request.terms.gang:
            turns.follow(None)
            yield from _grant_gang(state, asked, line, present, backfill, cause)
            continue
        avoided = backfill.avoided(request, line.need)
        is_let = has_room(state, request)
        worker_id = place(state, line.need, request.affinity, avoided) if is_let else None
        if worker_id is None:
            if is_let and _is_short(state, request, line.need):
                backfill.blocked(request, line.need)
            turns.follow(None)
            continue
        backfill.granted(request, line.need, worker_id)
        if is_fresh:
            by, _ = asked.pop(allocation_id)
            line.fresh.pop()
        else:
            by = cause or 0
        yield by, granted(state, allocation_id, request, worker_id, present, now_ms)
        if not is_fresh:
            _move_up(present, request, _queue_head(state, line.shape))
        is_more = bool(line.fresh) or line.shape in state.queues
        turns.follow(_head(state, line) if is_more else None)
    for allocation_id, (by, request) in asked.items():
        for event in _queue(state, allocation_id, request):
            yield by, event


def _grant_gang(
    state: PoolRecord, asked: Asked, line: _Line, present: Counter[str], backfill: Backfill, cause: int | None
) -> Iterator[Step]:
    """Grant all members of a gang in one fact, if all have asked and all fit; nothing otherwise."""
    names = [at[2] for at in state.queues.get(line.shape, ())] + [head[3] for head in line.fresh]
    members = gangs.members_of(state, names, {name: asked[name][1] for name in names if name in asked})
    if not members or not gangs.may_start(state, members):
        return
    avoided = {worker_id for member in members for worker_id in backfill.avoided(*member)}
    workers = gangs.placed(state, members, avoided)
    if workers is None:
        backfill.blocked_gang(members)
        return
    for (request, need), worker_id in zip(members, workers, strict=True):
        backfill.granted(request, need, worker_id)
    if line.shape in state.queues:
        present[members[0][0].holder.execution_id] -= 1
    places = [asked.pop(name)[0] for name in names if name in asked]
    first = state.next_fence
    grants = [
        _grant(state, name, request, worker_id, first + number)
        for number, (name, (request, _), worker_id) in enumerate(zip(names, members, workers, strict=True))
    ]
    yield max(places, default=cause or 0), GangGranted(members[0][0].terms.gang, tuple(grants))


def _wanting(state: PoolRecord, lines: list[_Line], *, is_opened: bool) -> Iterator[str]:
    """Yield the tenants that want something in this round, those that wait included."""
    yield from (line.tenant for line in lines)
    if not is_opened:
        yield from (state.waiting[queue[0][2]].terms.tenant for queue in state.queues.values())


def _is_short(state: PoolRecord, request: Request, need: Need) -> bool:
    """Tell whether a request is short of resources, and not kept from them by a breaker or a booking."""
    if not breaker.lets_start(state, request.agent_type):
        return False
    return not state.bookings or place(state, need, request.affinity) is None


def _block_best(state: PoolRecord, shares: Shares, backfill: Backfill) -> None:
    """Note the best of those that wait for resources, which fits nowhere as long as nothing was freed."""
    heads = [(queue[0], state.waiting[queue[0][2]], queue) for queue in state.queues.values()]
    turns = [(shares.of(request.terms.tenant), at, request, queue) for at, request, queue in heads]
    for _, _, request, queue in sorted(turns, key=itemgetter(0, 1)):
        if request.terms.gang:
            members = gangs.members_of(state, [at[2] for at in queue], {})
            if members and gangs.may_start(state, members):
                backfill.blocked_gang(members)
                return
        elif has_room(state, request):
            need = need_of(state, request.agent_type, request.amounts)
            if _is_short(state, request, need):
                backfill.blocked(request, need)
                return


def granted(
    state: PoolRecord,
    allocation_id: str,
    request: Request,
    worker_id: str,
    present: Counter[str],
    now_ms: int,
) -> AllocationGranted:
    """Return the grant; an execution may hand it on while nobody else waits, unless it is a probe.

    ``present`` counts the heads of the queues by execution.
    """
    own = request.holder.execution_id
    is_probe = not breaker.is_closed(state, request.agent_type)
    # What is handed on goes to another task, which may be none that can be stopped.
    is_own = bool(own) and not is_probe and not request.terms.is_preemptible
    is_alone = is_own and present.total() == present[own]
    permit = (HANDS, now_ms + HANDS_MS) if is_alone else (0, 0)
    return _grant(state, allocation_id, request, worker_id, state.next_fence, *permit)


def granted_reserved(
    state: PoolRecord, allocation_id: str, request: Request, worker_id: str
) -> AllocationGranted:
    """Return the grant of what a reservation kept; it is for its task alone."""
    return _grant(state, allocation_id, request, worker_id, state.next_fence)


def _grant(
    state: PoolRecord,
    allocation_id: str,
    request: Request,
    worker_id: str,
    fence: int,
    hands: int = 0,
    hands_until: int = 0,
) -> AllocationGranted:
    return AllocationGranted(
        allocation_id,
        request.holder,
        request.agent_type,
        worker_id,
        state.workers[worker_id].incarnation,
        fence,
        request.amounts,
        hands,
        hands_until,
        request.estimate_ms,
        request.terms,
        request.rank if request.terms.is_preemptible else (),
    )


def _lines(state: PoolRecord, asked: Asked, *, is_opened: bool) -> list[_Line]:
    """Return a line for each shape of which a request might be granted now."""
    lines: dict[str, _Line] = {}
    for shape, queue in state.queues.items() if is_opened else ():
        request = state.waiting[queue[0][2]]
        lines[shape] = _line(state, request)
    for allocation_id, (position, request) in asked.items():
        if not is_opened and request.shape in state.queues and not request.terms.gang:
            continue
        line = lines.get(request.shape)
        if line is None:
            line = lines[request.shape] = _line(state, request)
        line.fresh.append((request.rank, True, position, allocation_id))
    for line in lines.values():
        line.fresh.sort(reverse=True)
    return list(lines.values())


def _line(state: PoolRecord, request: Request) -> _Line:
    need = need_of(state, request.agent_type, request.amounts)
    return _Line(request.shape, request.terms.tenant, need, [])


def _head(state: PoolRecord, line: _Line) -> Head:
    queue = state.queues.get(line.shape)
    if not queue:
        return line.fresh[-1]
    rank, arrival, allocation_id = queue[0]
    waiting = (rank, False, arrival, allocation_id)
    return min(waiting, line.fresh[-1]) if line.fresh else waiting


def _queue_head(state: PoolRecord, shape: str) -> Request | None:
    queue = state.queues.get(shape)
    return state.waiting[queue[0][2]] if queue else None


def _move_up(present: Counter[str], left: Request, following: Request | None) -> None:
    """Count the one that follows at the head of a queue in place of the one that left it."""
    present[left.holder.execution_id] -= 1
    if following is not None:
        present[following.holder.execution_id] += 1


def _queue(state: PoolRecord, allocation_id: str, request: Request) -> Iterator[PoolEvent]:
    """Let a request wait, and call back what other executions may hand on among themselves meanwhile."""
    yield queued(allocation_id, request)
    own = request.holder.execution_id
    others = [permits for owner, permits in state.permits.items() if owner != own]
    for permitted in [permitted for permits in others for permitted in permits]:
        yield AllocationPermitWithdrawn(permitted)
