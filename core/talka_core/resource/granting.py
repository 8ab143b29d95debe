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
from heapq import heapify, heappop

from talka_core.resource import breaker, gangs
from talka_core.resource.accounts import fullness, has_room
from talka_core.resource.backfill import Backfill
from talka_core.resource.conflicts import reasons
from talka_core.resource.fairness import Shares
from talka_core.resource.lines import Asked, Line, Lines, lines_of
from talka_core.resource.narrowing import Narrowing
from talka_core.resource.placement import Need, need_of, place
from talka_core.resource.state import HANDS, HANDS_MS, PoolRecord, Request, queued
from talka_protocols.events import (
    AllocationGranted,
    AllocationPermitWithdrawn,
    GangGranted,
    PoolEvent,
)

Step = tuple[int, PoolEvent]
"""An event with the place of the message that led to it."""


def grant_best_first(state: PoolRecord, asked: Asked, cause: int | None, now_ms: int) -> Iterator[Step]:
    """Yield the grants of one round, and queue those of ``asked`` that have to wait.

    ``cause`` is the place of the message that waiting requests owe their grants
    to, or None when nothing was freed: then only time can have let one of them fit; see ``lines_of``.
    """
    lines = lines_of(state, asked, is_opened=cause is not None)
    if lines.best:
        if lines.is_opened and cause is None:
            # Those that wait owe their turn to who has just asked.
            cause = min(by for by, _ in asked.values())
        yield from _grant_in_turn(state, asked, lines, cause, now_ms)
    reason = reasons(state)
    for allocation_id, (by, request) in asked.items():
        for event in _queue(state, allocation_id, request, reason(request)):
            yield by, event


def _grant_in_turn(
    state: PoolRecord, asked: Asked, lines: Lines, cause: int | None, now_ms: int
) -> Iterator[Step]:
    """Yield the grants of one round, in which something may fit."""
    present = _present(state)
    shares = Shares(state, _wanting(state, lines, is_opened=cause is not None))
    backfill = Backfill(state, shares, now_ms)
    if cause is None and asked:
        _block_best(state, shares, backfill)
    narrowing = Narrowing(state, asked, lines, shares, backfill)
    while turn := narrowing.best():
        (_, _, allocation_id), request, line = turn
        if request.terms.gang:
            yield from _grant_gang(state, asked, line, present, backfill, cause)
            narrowing.close(line)
            continue
        need, is_let = line.need, has_room(state, request)
        worker_id = None
        if is_let and not line.is_short:
            worker_id = _placed(state, request, need, backfill)
        if worker_id is None:
            if is_let and _is_short(state, request, need):
                backfill.blocked(request, need)
            narrowing.close(line)
            continue
        backfill.granted(request, need, worker_id)
        is_fresh = allocation_id in asked
        by = asked.pop(allocation_id)[0] if is_fresh else cause or 0
        if is_fresh and line.fresh:
            line.fresh.pop()
        yield by, granted(state, allocation_id, request, worker_id, present, now_ms)
        if not is_fresh:
            _move_up(present, request, _queue_head(state, line.shape))
        narrowing.follow(line)


def _placed(state: PoolRecord, request: Request, need: Need, backfill: Backfill) -> str | None:
    """Return the worker for a request; what is held for others is asked for only if it fits otherwise."""
    worker_id = place(state, need, request.affinity)
    if worker_id is not None and (avoided := backfill.avoided(request, need)):
        return place(state, need, request.affinity, avoided)
    return worker_id


def _placed_together(state: PoolRecord, members: list[gangs.Member], backfill: Backfill) -> list[str] | None:
    """Return the workers for the members of a gang, in the same way."""
    workers = gangs.placed(state, members)
    if workers is not None and (avoided := {each for one in members for each in backfill.avoided(*one)}):
        return gangs.placed(state, members, avoided)
    return workers


def _grant_gang(
    state: PoolRecord, asked: Asked, line: Line, present: Counter[str], backfill: Backfill, cause: int | None
) -> Iterator[Step]:
    """Grant all members of a gang in one fact, if all have asked and all fit; nothing otherwise."""
    names = [at[2] for at in state.queues.get(line.shape, ())] + [head[2] for head in line.fresh or ()]
    members = gangs.members_of(state, names, {name: asked[name][1] for name in names if name in asked})
    if not members or not gangs.may_start(state, members):
        return
    workers = None if line.is_short else _placed_together(state, members, backfill)
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


def _present(state: PoolRecord) -> Counter[str]:
    """Return of how many shapes each execution has the best request that waits."""
    waiting = state.waiting
    return Counter([waiting[queue[0][2]].holder.execution_id for queue in state.queues.values()])


def _wanting(state: PoolRecord, lines: Lines, *, is_opened: bool) -> Iterator[str]:
    """Yield the tenants that want something in this round, those that wait included."""
    yield from lines.heads
    if not is_opened:
        yield from (state.waiting[queue[0][2]].terms.tenant for queue in state.queues.values())


def _is_short(state: PoolRecord, request: Request, need: Need) -> bool:
    """Tell whether a request is short of resources, and not kept from them by a breaker or a booking."""
    if not breaker.lets_start(state, request.agent_type):
        return False
    return not state.bookings or place(state, need, request.affinity) is None


def _block_best(state: PoolRecord, shares: Shares, backfill: Backfill) -> None:
    """Note the best of those that wait for resources, which fits nowhere as long as nothing was freed."""
    is_full = fullness(state)
    share = {tenant: shares.of(tenant) for tenant in {one.terms.tenant for one in state.waiting.values()}}
    heads = [(queue[0], state.waiting[queue[0][2]], queue) for queue in state.queues.values()]
    heads = [head for head in heads if is_full is None or not is_full(head[1])]
    turns = [(share[request.terms.tenant], at, request, queue) for at, request, queue in heads]
    heapify(turns)
    while turns:
        _, _, request, queue = heappop(turns)
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


def _queue_head(state: PoolRecord, shape: str) -> Request | None:
    queue = state.queues.get(shape)
    return state.waiting[queue[0][2]] if queue else None


def _move_up(present: Counter[str], left: Request, following: Request | None) -> None:
    """Count the one that follows at the head of a queue in place of the one that left it."""
    present[left.holder.execution_id] -= 1
    if following is not None:
        present[following.holder.execution_id] += 1


def _queue(state: PoolRecord, allocation_id: str, request: Request, reason: str) -> Iterator[PoolEvent]:
    """Let a request wait, and call back what other executions may hand on among themselves meanwhile."""
    yield queued(allocation_id, request, reason)
    own = request.holder.execution_id
    others = [permits for owner, permits in state.permits.items() if owner != own]
    for permitted in [permitted for permits in others for permitted in permits]:
        yield AllocationPermitWithdrawn(permitted)
