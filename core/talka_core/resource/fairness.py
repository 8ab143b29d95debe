"""Whose turn it is among tenants: the one with the least weighted dominant share goes first.

A tenant's dominant share is the largest part that it has of any resource of
the pool (Ghodsi et al., "Dominant Resource Fairness", NSDI 2011), here divided
by its weight. Within a tenant the rank of the strategy decides. Where only one
tenant wants anything nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

from talka_core.resource.accounts import TENANT, accounts_of, used_by
from talka_core.resource.state import Amounts, PoolRecord, plain, thousandths
from talka_protocols.workflow import TenantShare

Head = tuple[tuple[float, ...], int, str]
"""Rank, order of arrival, allocation id: the smallest goes first."""


class Shares:
    """The weighted dominant shares in one round; all are 0 while only one tenant wants anything."""

    def __init__(self, state: PoolRecord, wanting: Iterable[str]) -> None:
        self._state = state
        self._is_shared = len(set(wanting)) > 1
        self._whole = whole_of(state) if self._is_shared else {}

    def of(self, tenant: str) -> float:
        """Return a tenant's share as things stand now."""
        return share_of(self._state, tenant, self._whole) if self._is_shared else 0.0


def whole_of(state: PoolRecord) -> Amounts:
    """Return all that the pool's workers offer, and what it has as a whole, in thousandths."""
    whole = thousandths(state.shared)
    for entry in state.workers.values():
        for name, amount in entry.capacity.items():
            whole[name] = whole.get(name, 0) + amount
    return whole


def share_of(state: PoolRecord, tenant: str, whole: Amounts) -> float:
    """Return the weighted dominant share of a tenant; 1 and more is all that it is due and more."""
    used = used_by(state, TENANT + tenant)
    shares = (amount / whole[name] for name, amount in used.items() if whole.get(name))
    return max(shares, default=0.0) / state.weights.get(tenant, 1.0)


def tenants_of(state: PoolRecord) -> dict[str, TenantShare]:
    """Return what each tenant has of the pool, and may have."""
    whole = whole_of(state)
    accounts = accounts_of(state)
    known = {account.removeprefix(TENANT) for account in accounts if account.startswith(TENANT)}
    return {
        tenant: TenantShare(
            plain(accounts.get(TENANT + tenant, {})),
            state.quotas.get(tenant, {}),
            state.weights.get(tenant, 1.0),
            share_of(state, tenant, whole),
        )
        for tenant in sorted(known | state.quotas.keys() | state.weights.keys())
    }


class Turns:
    """The best request of each line in a round, by tenant; the lists of them are taken over."""

    def __init__(self, shares: Shares, heads: dict[str, list[Head]]) -> None:
        self._shares = shares
        self._heads = heads
        for each in heads.values():
            heapify(each)
        self._tenants = [(shares.of(tenant), each[0], tenant) for tenant, each in heads.items()]
        heapify(self._tenants)

    def best(self) -> Head | None:
        """Return the request whose turn it is."""
        return self._tenants[0][1] if self._tenants else None

    def follow(self, head: Head | None) -> None:
        """Put the next of its line in place of the request whose turn it was, or close the line."""
        tenant = self._tenants[0][2]
        heads = self._heads[tenant]
        if head is None:
            heappop(heads)
        else:
            heapreplace(heads, head)
        if heads:
            heapreplace(self._tenants, (self._shares.of(tenant), heads[0], tenant))
        else:
            heappop(self._tenants)
