"""Which rule of sharing a pool keeps a request waiting: a breaker, quota, limit, turn or hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from talka_core.ageing import POINT_S
from talka_core.explanation.asking import Asking
from talka_core.explanation.picture import holding_of, listed, named, seconds, span
from talka_core.resource import PoolRecord, bookings, breaker, gangs
from talka_core.resource.accounts import TENANT, claim_of, has_room, sentence, short_of
from talka_core.resource.backfill import Backfill
from talka_core.resource.fairness import Shares
from talka_core.resource.placement import need_of, place
from talka_core.resource.state import Grant, Place, Request
from talka_protocols.explanations import Cause, CauseKind, Holding

_Waiting = tuple[float, Place, Request]
"""The share of a request's tenant, and where the request stands among the tenant's."""


def open_breaker(asking: Asking) -> Iterator[Cause]:
    """Yield that the circuit breaker of its agent type is open, or being tried."""
    agent_type = asking.request.agent_type
    said = breaker.shortage(asking.pool, agent_type)
    if not said:
        return
    due_at = asking.pool.circuits[agent_type].due_at
    yield asking.cause(
        CauseKind.BREAKER,
        said,
        "Time, then attempts that succeed; what fails is in the events of those that failed.",
        until=seconds(due_at),
    )


def gang(asking: Asking) -> Iterator[Cause]:
    """Yield with what others it is granted, and what all of them together are short of."""
    pool, request = asking.pool, asking.request
    if not request.terms.gang:
        return
    names = [at[2] for at in pool.queues[request.shape]]
    others = listed(pool.waiting[name].holder.task_id for name in names if name != asking.allocation_id)
    members = gangs.members_of(pool, names, {})
    if not members:
        yield asking.cause(
            CauseKind.GANG,
            f"It is granted together with {request.terms.members - 1} others, all or none, and of them only "
            f"{others or 'none'} have asked the pool.",
            "The others' requests, which are on their way.",
        )
        return
    if not gangs.may_start(pool, members) or gangs.placed(pool, members) is not None:
        return
    claim: dict[str, float] = {}
    for one, _ in members:
        for name, amount in claim_of(one.agent_type, one.amounts).items():
            claim[name] = claim.get(name, 0) + amount / 1000
    free = {name: sum(entry.free.get(name, 0) for entry in asking.open.values()) / 1000 for name in claim}
    asked = ", ".join(f"{amount:g} of {name} ({free[name]:g} free)" for name, amount in sorted(claim.items()))
    yield asking.cause(
        CauseKind.GANG,
        f"It is granted together with {others}, all or none, and they do not fit at once: "
        f"together they ask for {asked}, each on one worker.",
        "The end of what others have, or more workers.",
        resource=next((name for name, amount in claim.items() if amount > free[name]), ""),
    )


def bounds(asking: Asking) -> Iterator[Cause]:
    """Yield the quotas and limits that it would exceed, and who has what they allow."""
    pool, request = asking.pool, asking.request
    together = [pool.waiting[at[2]] for at in pool.queues[request.shape]] if request.terms.gang else [request]
    for short in short_of(pool, *together):
        account, name, most = short
        is_quota = account.startswith(TENANT)
        holders = tuple(_holdings(asking, name, is_quota=is_quota))
        who = listed(f"{named(h)} ({h.amount:g})" for h in holders) or "nobody"
        asked = sum(claim_of(one.agent_type, one.amounts).get(name, 0) for one in together) / 1000
        yield asking.cause(
            CauseKind.QUOTA if is_quota else CauseKind.EXECUTION_LIMIT,
            f"{sentence(pool, request, short)} Held by {who}.",
            "The end of one of them, or a higher quota of the tenant."
            if is_quota
            else "The end of one of them, or higher limits in the workflow.",
            resource=name,
            short=max(0.0, asked + sum(h.amount for h in holders) - most),
            holders=holders,
        )


def _holdings(asking: Asking, name: str, *, is_quota: bool) -> Iterator[Holding]:
    request = asking.request
    for grant in asking.pool.grants.values():
        if grant.is_revoked or not (amount := claim_of(grant.agent_type, grant.amounts).get(name, 0)):
            continue
        if _is_of(grant, request, is_quota=is_quota):
            yield holding_of(grant, amount / 1000)


def _is_of(grant: Grant, request: Request, *, is_quota: bool) -> bool:
    if is_quota:
        return grant.terms.tenant == request.terms.tenant
    return grant.holder.execution_id == request.holder.execution_id


def ahead(asking: Asking) -> Iterator[Cause]:
    """Yield which requests for the same go first: those of tenants that have less, and better-ranked ones."""
    own = _turn(asking.pool, asking.place, asking.request)
    before = [turn for turn in _turns(asking.pool) if turn[:2] < own[:2] and asking.competes_with(turn[2])]
    if not before:
        return
    before.sort(key=lambda turn: turn[:2])
    names = listed(named(request.holder) for _, _, request in before)
    wanted = asking.missing
    what = f" for {listed(wanted)}" if wanted else ""
    number = f"It is number {len(before) + 1} in the queue{what}; "
    share, (rank, _, _), first = before[0]
    resource = wanted[0] if wanted else ""
    if first.terms.tenant != asking.request.terms.tenant and share < own[0]:
        yield asking.cause(
            CauseKind.FAIRNESS,
            f"{number}tenant {first.terms.tenant!r} goes first, whose weighted dominant share is "
            f"{share:.0%}; that of tenant {asking.request.terms.tenant!r} is {own[0]:.0%}: {names}.",
            "Their turn, the end of something of its own tenant, or a higher --weight.",
            resource=resource,
        )
        return
    yield asking.cause(
        CauseKind.QUEUE,
        f"{number}better-ranked and first in turn: {names}.{_lead(rank, asking)}",
        "Their turn, a higher priority, or more workers.",
        resource=resource,
    )


def held_worker(asking: Asking) -> Iterator[Cause]:
    """Yield that the worker which could take it is held for a better request that waits for more of it."""
    pool, request = asking.pool, asking.request
    need = need_of(pool, request.agent_type, request.amounts)
    if request.terms.gang or not has_room(pool, request) or place(pool, need, request.affinity) is None:
        return
    now_ms = asking.subject.picture.now_ms
    backfill = Backfill(pool, _shares(pool), now_ms)
    heads = [other for other in _blocked(pool, backfill) if other is not request]
    avoided = backfill.avoided(request, need)
    if (booked := bookings.avoided(pool, request, need, now_ms)) and not heads:
        yield _booked(asking, booked)
        return
    if not heads or not avoided or place(pool, need, request.affinity, avoided) is not None:
        return
    until = backfill.held_until()
    when = f", probably until it begins in {span(until - now_ms)}" if until else ""
    yield asking.cause(
        CauseKind.HELD,
        f"It fits on worker {listed(avoided)}, which is held for {named(heads[0].holder)}{when}: "
        "it would make that one wait longer.",
        "That one begins; or the task has estimated_seconds by which it is over before; or another worker.",
        worker_id=next(iter(avoided)),
        until=seconds(until),
    )


def _booked(asking: Asking, workers: Sequence[str]) -> Cause:
    names = [name for name, one in asking.pool.bookings.items() if one.worker_id in workers]
    starts_at = min(asking.pool.bookings[name].starts_at for name in names)
    return asking.cause(
        CauseKind.RESERVATION,
        f"It fits on worker {listed(workers)}, and would run into the reservation {listed(names)} "
        f"there, which begins in {span(starts_at - asking.subject.picture.now_ms)}.",
        "estimated_seconds by which it is over before, another worker, or `talka reserve cancel`.",
        worker_id=workers[0],
    )


def _blocked(pool: PoolRecord, backfill: Backfill) -> Iterator[Request]:
    """Tell what does not fit, the best first, and yield it; of a gang its first member."""
    for _, at, other in sorted(_turns(pool), key=lambda turn: turn[:2]):
        queue = pool.queues[other.shape]
        if other.terms.gang:
            members = gangs.members_of(pool, [one[2] for one in queue], {}) if at == queue[0] else []
            if members and gangs.may_start(pool, members) and gangs.placed(pool, members) is None:
                backfill.blocked_gang(members)
                yield other
            continue
        need = need_of(pool, other.agent_type, other.amounts)
        is_let = has_room(pool, other) and breaker.lets_start(pool, other.agent_type)
        if is_let and place(pool, need, other.affinity) is None:
            backfill.blocked(other, need)
            yield other


def _shares(pool: PoolRecord) -> Shares:
    return Shares(pool, (pool.waiting[queue[0][2]].terms.tenant for queue in pool.queues.values()))


def _turn(pool: PoolRecord, at: Place, request: Request) -> _Waiting:
    return _shares(pool).of(request.terms.tenant), at, request


def _turns(pool: PoolRecord) -> Iterator[_Waiting]:
    shares = _shares(pool)
    known: dict[str, float] = {}
    for queue in pool.queues.values():
        for at in queue:
            request = pool.waiting[at[2]]
            tenant = request.terms.tenant
            if tenant not in known:
                known[tenant] = shares.of(tenant)
            yield known[tenant], at, request


def _lead(rank: tuple[float, ...], asking: Asking) -> str:
    """Say by how much the first one leads, where that is more than its place in the order of one strategy."""
    own = asking.request.rank
    lead = own[0] - rank[0] if own and rank else 0
    if lead <= 0:
        return ""
    return f" The first leads by {lead:g} points of priority; {POINT_S} s of an execution's age count as one."
