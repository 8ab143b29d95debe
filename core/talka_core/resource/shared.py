"""Amounts that a pool has as a whole: licences, mutexes, and places under the limits of keys.

What is pool-wide about a grant or a reservation is settled when it is made and
kept with it, so a later configuration changes nothing that is held.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from talka_core.keys import counter_of, is_keyed, is_rate, limit_of, period_of
from talka_core.resource.state import Amounts, Grant, HeldBack, PoolRecord, thousandths


def shared_of(state: PoolRecord, amounts: dict[str, float]) -> Amounts:
    """Return the part of the amounts that the pool has as a whole, in thousandths."""
    shared = state.shared
    return thousandths({name: amount for name, amount in amounts.items() if name in shared or is_keyed(name)})


def own_of(amounts: dict[str, float], shared: Amounts) -> dict[str, float]:
    """Return the amounts that a worker itself must have."""
    return {name: amount for name, amount in amounts.items() if name not in shared and not is_keyed(name)}


def free_of(state: PoolRecord, name: str) -> int:
    """Return how much of a pool-wide amount is free, in thousandths.

    It is less than nothing after the pool was given less than is in use.
    """
    return capacity_of(state, name) - state.shared_used.get(counter_of(name), 0)


def capacity_of(state: PoolRecord, name: str) -> int:
    """Return how much the pool has as a whole, in thousandths."""
    return 1000 * limit_of(name) if is_keyed(name) else thousandths(state.shared).get(name, 0)


def is_free(state: PoolRecord, shared: Amounts) -> bool:
    """Tell whether the pool as a whole has all of it free."""
    return all(free_of(state, name) >= amount for name, amount in shared.items())


def are_free(state: PoolRecord, several: Sequence[Amounts]) -> bool:
    """Tell whether the pool has all of several amounts free together.

    What counts against one key may name different limits; each of them bounds all.
    """
    together: Amounts = {}
    for shared in several:
        for name, amount in shared.items():
            together[counter_of(name)] = together.get(counter_of(name), 0) + amount
    names = {name for shared in several for name in shared}
    return all(free_of(state, name) >= together[counter_of(name)] for name in names)


def take(state: PoolRecord, shared: Amounts, sign: int = 1) -> None:
    """Count pool-wide amounts as used, or with ``sign`` -1 as free again."""
    for keyed, amount in shared.items():
        name = counter_of(keyed)
        used = state.shared_used.get(name, 0) + sign * amount
        if used:
            state.shared_used[name] = used
        else:
            state.shared_used.pop(name, None)


def hold_back(state: PoolRecord, grant: Grant, lease_ms: int, at: int) -> None:
    """Keep a lost grant's pool-wide amounts as used until its worker, or its client, has surely stopped."""
    if grant.shared:
        user, incarnation = ("", 0) if grant.holder.client_id else (grant.worker_id, grant.incarnation)
        held = HeldBack(grant.shared, lease_ms, at + lease_ms, user, incarnation)
        state.held_back[str(grant.fence)] = held


def held_by(state: PoolRecord, worker_id: str, incarnation: int) -> list[int]:
    """Return the fences of what is held back because this incarnation of a worker may still use it."""
    return [
        int(fence)
        for fence, held in state.held_back.items()
        if (held.worker_id, held.incarnation) == (worker_id, incarnation)
    ]


def restart_leases(state: PoolRecord, at: int) -> None:
    """Count the leases of what is held back anew, on the clock of the pool's new owner.

    The clock of the owner before may have been another machine's, so its instants say nothing.
    """
    for fence, held in state.held_back.items():
        state.held_back[fence] = replace(held, due_at=at + held.lease_ms)


def rate_key(fence: int) -> str:
    """Name what a start holds back of its rate, beside what its loss would."""
    return f"rate-{fence}"


def start(state: PoolRecord, fence: int, shared: Amounts, at: int) -> Amounts:
    """Take a grant's pool-wide amounts, and return those that come back with its end.

    A start counts against its rate until its time is over, whatever becomes of the attempt.
    """
    if not shared:
        return shared
    take(state, shared)
    rates = {name: amount for name, amount in shared.items() if is_rate(name)}
    for name in rates:
        state.held_back[rate_key(fence)] = HeldBack(rates, period_of(name), at + period_of(name))
    return {name: amount for name, amount in shared.items() if name not in rates}
