"""Planted bugs of the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from talka_core.resource import PoolRecord
from talka_core.resource.state import Grant, Request, shape_of
from talka_protocols.events import (
    AllocationFreed,
    AllocationHolderChanged,
    AllocationRevoked,
    BreakerClosed,
    GangGranted,
    ReservationEnded,
)
from talka_protocols.messages import RecordHandOn, RequestAllocation

breaker = import_module("talka_core.resource.breaker")
decide = import_module("talka_core.resource.decide")
granting = import_module("talka_core.resource.granting")
placement = import_module("talka_core.resource.placement")
scaling = import_module("talka_core.resource.scaling")


def capacity_ignored() -> AbstractContextManager[Any]:
    """Every request fits on every worker."""

    def load(_entry: Any, _claim: Any) -> float:
        return 0.0

    return patch.object(placement, "_load", load)


def fence_ignored() -> AbstractContextManager[Any]:
    """The pool records a hand-on although it knows a newer one of the same allocation."""

    def hand_on(state: PoolRecord, message: RecordHandOn) -> Iterator[Any]:
        if message.allocation_id in state.grants:
            yield AllocationHolderChanged(message.allocation_id, message.holder, message.fence)

    return patch.object(decide, "_hand_on", hand_on)


def requests_counted_twice() -> AbstractContextManager[Any]:
    """The pool takes a repeated request for another one."""
    real: Callable[[PoolRecord, RequestAllocation], Request | None] = decide._new  # noqa: SLF001
    repeated: set[str] = set()

    def new(state: PoolRecord, message: RequestAllocation) -> Request | None:
        # More than once would have a world go round in a circle for ever.
        if message.allocation_id not in state.grants or message.allocation_id in repeated:
            return real(state, message)
        repeated.add(message.allocation_id)
        shape = shape_of(message.agent_type, message.amounts)
        return Request(message.holder, message.agent_type, message.amounts, message.rank, shape)

    return patch.object(decide, "_new", new)


def lost_worker_keeps_its_grants() -> AbstractContextManager[Any]:
    """The pool frees what stood on a lost worker without waiting for its holder to let go."""
    real = decide._lose  # noqa: SLF001

    def lose(state: Any, worker_id: str, incarnation: int, reason: str) -> Iterator[Any]:
        yield from real(state, worker_id, incarnation, reason)
        for allocation_id, grant in list(state.grants.items()):
            if grant.is_revoked:
                yield AllocationFreed(allocation_id, grant.holder)

    return patch.object(decide, "_lose", lose)


def shared_returned_early() -> AbstractContextManager[Any]:
    """Pool-wide amounts of a lost worker are free at once, though it may still use them."""

    def revoked(allocation_id: str, grant: Grant, reason: str) -> AllocationRevoked:
        return AllocationRevoked(allocation_id, reason, 1 if grant.shared else 0)

    return patch.object(decide, "_revoked", revoked)


def key_ignored() -> AbstractContextManager[Any]:
    """The pool compares a key with no limit."""

    def limit_of(_name: str) -> int:
        return 1_000

    return patch.object(import_module("talka_core.resource.shared"), "limit_of", limit_of)


def rate_returned_early() -> AbstractContextManager[Any]:
    """A start under a rate comes back with its allocation."""

    def is_rate(_name: str) -> bool:
        return False

    return patch.object(import_module("talka_core.resource.shared"), "is_rate", is_rate)


def _arrival(head: tuple[Any, int, str]) -> int:
    return head[1]


def arrival_order() -> AbstractContextManager[Any]:
    """Requests that arrived together are granted in the order of their messages, whatever their ranks."""
    real = granting.lines_of
    lines_module = import_module("talka_core.resource.lines")

    def lines(state: PoolRecord, asked: Any, *, is_opened: bool) -> Any:
        found = real(state, asked, is_opened=is_opened)
        for shape, ones in found.fresh.items():
            ones.sort(key=_arrival, reverse=True)
            if shape in found.best and shape not in state.queues:
                found.best[shape] = ones[-1]
        found.heads.clear()
        for head in found.best.values():
            tenant = lines_module.request_of(state, asked, head).terms.tenant
            found.heads.setdefault(tenant, []).append(head)
        return found

    return patch.object(granting, "lines_of", lines)


def breaker_lets_hand_on() -> AbstractContextManager[Any]:
    """A breaker that opens leaves the permits as they are, so allocations are handed on behind its back."""

    def withdraw_permits(_state: PoolRecord, _agent_type: str) -> Iterator[Any]:
        return iter(())

    return patch.object(breaker, "_withdraw_permits", withdraw_permits)


def breaker_never_closes() -> AbstractContextManager[Any]:
    """A breaker stays half open although its probes have succeeded."""
    real = breaker.settle

    def settle(state: PoolRecord) -> Iterator[Any]:
        return (event for event in real(state) if not isinstance(event, BreakerClosed))

    return patch.object(breaker, "settle", settle)


def failed_probe_forgotten() -> AbstractContextManager[Any]:
    """A probe that fails lets the next one start at once."""
    real = breaker.ended

    def ended(state: PoolRecord, grant: Any, event: Any, at: int) -> None:
        real(state, grant, event, at)
        if grant.agent_type in state.circuits:
            state.circuits[grant.agent_type].has_failed = False

    return patch.object(breaker, "ended", ended)


def labels_ignored() -> AbstractContextManager[Any]:
    """A worker need not have the labels that a task requires."""

    def admits(_entry: Any, _affinity: Any) -> bool:
        return True

    return patch.object(import_module("talka_core.resource.labels"), "admits", admits)


def cool_down_ignored() -> AbstractContextManager[Any]:
    """Workers go as soon as there is less to do."""

    def is_measured(_scaling: Any, _now_ms: int) -> bool:
        return True

    return patch.object(scaling, "_is_measured", is_measured)


def one_worker_too_many() -> AbstractContextManager[Any]:
    """Whenever more workers are wanted, one more than that is, whatever the bounds say."""
    real: Callable[..., tuple[int, str]] = scaling.wanted

    def wanted(*about: Any) -> tuple[int, str]:
        number, reason = real(*about)
        return (number + 1, reason) if reason in ("zero", "backlog", "late") else (number, reason)

    return patch.object(scaling, "wanted", wanted)


def quotas_ignored() -> AbstractContextManager[Any]:
    """No request waits for a quota of its tenant or a limit of its execution."""

    def has_room(_state: PoolRecord, _request: Request) -> bool:
        return True

    return patch.object(granting, "has_room", has_room)


def weights_ignored() -> AbstractContextManager[Any]:
    """Every tenant is due as much of the pool as any other."""
    fairness = import_module("talka_core.resource.fairness")
    real: Callable[..., float] = fairness.share_of

    def share_of(state: PoolRecord, tenant: str, whole: Any) -> float:
        return real(state, tenant, whole) * state.weights.get(tenant, 1.0)

    return patch.object(fairness, "share_of", share_of)


def shares_ignored() -> AbstractContextManager[Any]:
    """The best rank is granted first, whatever its tenant has already."""

    def of(_self: Any, _tenant: str) -> float:
        return 0.0

    return patch.object(import_module("talka_core.resource.fairness").Shares, "of", of)


def lost_grants_counted() -> AbstractContextManager[Any]:
    """A tenant goes on having what stood on a worker that is gone."""
    evolve = import_module("talka_core.resource.evolve")
    real = evolve.accounts.taken

    def taken(state: PoolRecord, grant: Grant, sign: int = 1) -> None:
        if sign > 0 or grant.worker_id in state.workers:
            real(state, grant, sign)

    return patch.object(evolve.accounts, "taken", taken)


def gangs_in_part() -> AbstractContextManager[Any]:
    """The pool grants the first of a gang, when not all of it fits or has asked."""
    real = granting._grant_gang  # noqa: SLF001

    def grant_gang(state: PoolRecord, asked: Any, line: Any, *rest: Any) -> Iterator[Any]:
        steps = list(real(state, asked, line, *rest))
        yield from steps
        for _, _, name in state.queues.get(line.shape, ())[:1] if not steps else ():
            request = state.waiting[name]
            need = placement.need_of(state, request.agent_type, request.amounts)
            if (worker_id := placement.place(state, need)) is not None:
                grant = granting._grant(state, name, request, worker_id, state.next_fence)  # noqa: SLF001
                yield 0, GangGranted(request.terms.gang, (grant,))

    return patch.object(granting, "_grant_gang", grant_gang)


def parts_of_gangs_kept() -> AbstractContextManager[Any]:
    """A late copy of a gang's request waits for ever for members that have ended."""

    def forget_parts(_state: PoolRecord) -> Iterator[Any]:
        return iter(())

    return patch.object(import_module("talka_core.resource.gangs"), "forget_parts", forget_parts)


def reservation_never_used_up() -> AbstractContextManager[Any]:
    """A task is granted what a reservation keeps, which goes on keeping it."""
    bookings = import_module("talka_core.resource.bookings")
    real: Callable[..., Iterator[Any]] = bookings._use  # noqa: SLF001

    def use(*about: Any) -> Iterator[Any]:
        for found in real(*about):
            if not isinstance(found, ReservationEnded):
                yield found

    return patch.object(bookings, "_use", use)


POOL_MUTANTS = (
    cool_down_ignored,
    one_worker_too_many,
    reservation_never_used_up,
    gangs_in_part,
    parts_of_gangs_kept,
    quotas_ignored,
    weights_ignored,
    shares_ignored,
    lost_grants_counted,
    breaker_lets_hand_on,
    breaker_never_closes,
    failed_probe_forgotten,
    labels_ignored,
    capacity_ignored,
    fence_ignored,
    requests_counted_twice,
    lost_worker_keeps_its_grants,
    shared_returned_early,
    key_ignored,
    rate_returned_early,
    arrival_order,
)
