"""Planted bugs of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from talka_chaos.mutants.planting import behaving
from talka_core.resource import PoolRecord
from talka_core.resource.placement import place
from talka_core.resource.state import Grant, Request, shape_of
from talka_protocols.events import AllocationFreed, AllocationHolderChanged, AllocationRevoked
from talka_protocols.messages import Recipient, RecordHandOn, RequestAllocation

decide = import_module("talka_core.resource.decide")
placement = import_module("talka_core.resource.placement")


def capacity_ignored() -> AbstractContextManager[Any]:
    """Every request fits on every worker."""

    def load(_entry: Any, _claim: Any) -> float:
        return 0.0

    return patch.object(placement, "_load", load)


def fence_ignored() -> AbstractContextManager[Any]:
    """The pool records a hand-on although it knows a newer one of the same allocation."""
    real = decide.decide

    def decided(state: PoolRecord, message: Any, now_ms: int) -> Iterator[Any]:
        if isinstance(message, RecordHandOn) and message.allocation_id in state.grants:
            yield AllocationHolderChanged(message.allocation_id, message.holder, message.fence)
            return
        yield from real(state, message, now_ms)

    return behaving(Recipient.RESOURCE, decide=decided)


def requests_counted_twice() -> AbstractContextManager[Any]:
    """The pool takes a repeated request for another one."""
    real = decide._request  # noqa: SLF001

    def request(state: PoolRecord, message: RequestAllocation, now_ms: int) -> Iterator[Any]:
        if message.allocation_id not in state.grants:
            yield from real(state, message, now_ms)
            return
        worker_id = place(state, message.agent_type, message.amounts)
        if worker_id is not None:
            shape = shape_of(message.agent_type, message.amounts)
            again = Request(message.holder, message.agent_type, message.amounts, message.rank, shape)
            yield decide._granted(state, message.allocation_id, again, worker_id, now_ms)  # noqa: SLF001

    return patch.object(decide, "_request", request)


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


POOL_MUTANTS = (
    capacity_ignored,
    fence_ignored,
    requests_counted_twice,
    lost_worker_keeps_its_grants,
    shared_returned_early,
    key_ignored,
    rate_returned_early,
)
