"""Deadlines that are threatened while a request waits: it goes first, and lower ranks make way for it.

A request that has to start by some instant is promoted shortly before: it then
ranks as if its priority were higher by the whole range of priorities. If it
still fits nowhere, what may be preempted and ranks lower has to make way on one
worker: as few allocations as can be, of them the lowest ranks, and of those
what began last, so that least is lost. Nothing is freed by that: an allocation
counts until the attempt on it has ended. Every request has others preempted for
it once, so that nothing is stopped again and again for the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest

from msgspec.structs import replace

from talka_core.resource import breaker, labels
from talka_core.resource.accounts import has_room
from talka_core.resource.granting import Step, grant_best_first
from talka_core.resource.placement import Need, claim_of, may_run, need_of
from talka_core.resource.shared import is_free, own_of
from talka_core.resource.state import Amounts, Grant, PoolRecord, Request, WorkerEntry
from talka_core.strategies import PRIORITY_MAX
from talka_protocols.events import AllocationPreempted, PoolEvent, RequestPromoted, Terms

THREAT = "threat/"
NOTICE_MS = 2_000
"""How long before its latest start a deadline counts as threatened: what makes way takes its time to stop."""
LOOKS_MAX = 16
"""For how many of the best requests victims are looked for in one round."""


def threatened_at(terms: Terms) -> int:
    """Return from when a request that waits threatens its deadline (Unix milliseconds)."""
    return max(0, terms.start_by - NOTICE_MS)


def settle(state: PoolRecord, place: int, now_ms: int) -> Iterator[Step]:
    """Let requests go first that have to start soon, and others make way for them.

    ``place`` is that of the message to which all of it is due.
    """
    if not state.urgent and not state.promoted:
        return
    before = state.version
    for event in promote(state, now_ms):
        yield place, event
    if state.version != before:
        yield from grant_best_first(state, {}, place, now_ms)
    for event in preempt(state, now_ms):
        yield place, event


def promote(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    """Let those go first that have to start soon."""
    due = [allocation_id for allocation_id, at in state.urgent.items() if at <= now_ms]
    for allocation_id in due:
        rank = state.waiting[allocation_id].rank
        yield RequestPromoted(allocation_id, (rank[0] - PRIORITY_MAX, *rank[1:]) if rank else rank)


def preempt(state: PoolRecord, now_ms: int) -> Iterator[PoolEvent]:
    """Let lower ranks make way for promoted requests that nobody makes way for yet."""
    # A worker that was lost while it was being cleared is none: another is tried.
    asking = [name for name in state.promoted if state.waiting[name].cleared_on not in state.workers]
    if not asking or not any(grant.rank for grant in state.grants.values()):
        return
    for allocation_id in nsmallest(LOOKS_MAX, asking, key=lambda name: (state.waiting[name].rank, name)):
        request = state.waiting[allocation_id]
        for victim in victims_of(state, request):
            worker_id = state.grants[victim].worker_id
            yield AllocationPreempted(victim, allocation_id, worker_id, _reason(request, now_ms))


def preempted(state: PoolRecord, event: AllocationPreempted) -> None:
    """Remember that an allocation has to make way, and for which request."""
    grant = state.grants[event.allocation_id]
    grant.preempted_by, grant.preempted = event.by, event.reason
    if (request := state.waiting.get(event.by)) is not None:
        state.waiting[event.by] = replace(request, cleared_on=event.worker_id)


def victims_of(state: PoolRecord, request: Request) -> list[str]:
    """Return the allocations that have to make way so that the request fits a worker; none if it cannot."""
    need = need_of(state, request.agent_type, request.amounts)
    is_let = has_room(state, request) and breaker.lets_start(state, request.agent_type)
    if not is_let or not is_free(state, need.shared):
        return []
    found = [
        (len(victims), _dearness(state, victims), worker_id, victims)
        for worker_id, entry in state.workers.items()
        if may_run(entry, need) and labels.admits(entry, request.affinity)
        if (victims := _victims_on(state, request, need, worker_id))
    ]
    return min(found)[3] if found else []


def _dearness(state: PoolRecord, victims: list[str]) -> tuple[float, int]:
    """Return how much it costs to stop these: by the best rank among them, then by the oldest."""
    grants = [state.grants[victim] for victim in victims]
    return (-min(grant.rank[0] for grant in grants), -min(grant.granted_at for grant in grants))


def _victims_on(state: PoolRecord, request: Request, need: Need, worker_id: str) -> list[str]:
    """Return the allocations on a worker that would have to go: lowest ranks first, then the newest."""
    entry = state.workers[worker_id]
    free = _left(state, worker_id, entry)
    # Where it fits already it is not these that keep it from starting.
    if _fits(entry, free, need):
        return []
    lower = [
        (-grant.rank[0], -grant.granted_at, allocation_id)
        for allocation_id, grant in state.grants.items()
        if _is_victim(grant, request) and _is_on(grant, worker_id, entry)
    ]
    taken: list[str] = []
    for _, _, allocation_id in sorted(lower):
        _add(free, _claim(entry, state.grants[allocation_id]))
        taken.append(allocation_id)
        if _fits(entry, free, need):
            return _pruned(state, entry, free, need, taken)
    return []


def _pruned(state: PoolRecord, entry: WorkerEntry, free: Amounts, need: Need, taken: list[str]) -> list[str]:
    """Return the victims without those that need not go, the best ranks spared first."""
    kept = list(taken)
    for allocation_id in reversed(taken):
        claim = _claim(entry, state.grants[allocation_id])
        _add(free, claim, -1)
        if _fits(entry, free, need):
            kept.remove(allocation_id)
        else:
            _add(free, claim)
    return kept


def _is_victim(grant: Grant, request: Request) -> bool:
    """Tell whether an allocation may be stopped for the request, which has to rank higher by priority."""
    return bool(grant.rank and request.rank) and not grant.preempted_by and grant.rank[0] > request.rank[0]


def _is_on(grant: Grant, worker_id: str, entry: WorkerEntry) -> bool:
    is_there = grant.worker_id == worker_id and grant.incarnation == entry.incarnation
    return is_there and not grant.is_revoked


def _left(state: PoolRecord, worker_id: str, entry: WorkerEntry) -> Amounts:
    """Return what will be free on a worker when all has made way there, and those have it that it is for."""
    free = dict(entry.free)
    for grant in state.grants.values():
        if grant.preempted_by and _is_on(grant, worker_id, entry):
            _add(free, _claim(entry, grant))
    for name in state.promoted:
        request = state.waiting[name]
        if request.cleared_on == worker_id:
            _add(free, claim_of(entry, request.agent_type, _own(state, request)), -1)
    return free


def _own(state: PoolRecord, request: Request) -> dict[str, float]:
    shared = need_of(state, request.agent_type, request.amounts).shared
    return own_of(request.amounts, shared)


def _claim(entry: WorkerEntry, grant: Grant) -> Amounts:
    return claim_of(entry, grant.agent_type, own_of(grant.amounts, grant.shared))


def _add(free: Amounts, claim: Amounts, sign: int = 1) -> None:
    for name, amount in claim.items():
        free[name] = free.get(name, 0) + sign * amount


def _fits(entry: WorkerEntry, free: Amounts, need: Need) -> bool:
    is_slot_free = need.own_slot not in entry.capacity or free.get(need.own_slot, 0) >= 1000
    return is_slot_free and all(free.get(name, 0) >= amount for name, amount in need.own)


def _reason(request: Request, now_ms: int) -> str:
    left_s = (request.terms.start_by - now_ms) / 1000
    when = f"has to start within {left_s:.1f} s" if left_s > 0 else f"had to start {-left_s:.1f} s ago"
    holder = request.holder
    subject = f"Task {holder.task_id!r} of execution {holder.execution_id}"
    return f"{subject} ranks higher, and {when} to meet its deadline."
