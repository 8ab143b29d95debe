"""What tenants and executions have of a pool now, and the most that they may have.

The live allocations of a tenant never exceed its quotas, and those of an
execution never its own limits. What stands on a worker that is gone counts no
longer: it is no use of the pool any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from talka_core.keys import is_keyed
from talka_core.resource.state import SLOTS, Amounts, Grant, PoolRecord, Request, thousandths

TENANT = "tenant/"
EXECUTION = "execution/"


def claim_of(agent_type: str, amounts: dict[str, float]) -> Amounts:
    """Return what an allocation counts for, in thousandths: its amounts, and a slot if something runs on it.

    Places under the limits of keys are no resource of anybody's.
    """
    claim = thousandths({name: amount for name, amount in amounts.items() if not is_keyed(name)})
    if agent_type:
        claim[SLOTS] = 1000
    return claim


def used_by(state: PoolRecord, account: str) -> Amounts:
    """Return what an account has now."""
    return accounts_of(state).get(account, {})


def accounts_of(state: PoolRecord) -> dict[str, Amounts]:
    """Return what every account has now: all tenants, and the executions with limits of their own."""
    return _counted(state) if state.accounts is None else state.accounts


def taken(state: PoolRecord, grant: Grant, sign: int = 1) -> None:
    """Count a grant for its accounts, or with ``sign`` -1 no longer.

    A snapshot written before there were accounts has none: they are counted from its grants.
    """
    if state.accounts is None:
        state.accounts = _counted(state)
    _take(state.accounts, grant, sign)


def bounds_of(state: PoolRecord, request: Request) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the accounts of a request that are bounded, and how much each may have."""
    if request.terms.limits:
        yield EXECUTION + request.holder.execution_id, request.terms.limits
    if quota := state.quotas.get(request.terms.tenant):
        yield TENANT + request.terms.tenant, quota


def short_of(state: PoolRecord, *together: Request) -> Iterator[tuple[str, str, float]]:
    """Yield each account, resource and bound that requests of one execution would exceed now, all at once."""
    request = together[0]
    if not request.terms.limits and not state.quotas:
        return
    claim: Amounts = {}
    for each in together:
        for name, amount in claim_of(each.agent_type, each.amounts).items():
            claim[name] = claim.get(name, 0) + amount
    for account, bound in bounds_of(state, request):
        used = used_by(state, account)
        for name, most in bound.items():
            amount = claim.get(name, 0)
            if amount and used.get(name, 0) + amount > round(most * 1000):
                yield account, name, most


def has_room(state: PoolRecord, *together: Request) -> bool:
    """Tell whether requests of one execution, all at once, stay within the quotas and limits on them."""
    return next(short_of(state, *together), None) is None


def fullness(state: PoolRecord) -> Callable[[Request], bool] | None:
    """Return what tells of a request that a quota or limit keeps it waiting as long as nothing ends.

    It errs on one side only: what it passes may still have no room. Of a gang all are kept if one member is.
    There is nothing to tell where nobody who is bounded has anything.
    """
    if not state.quotas and not any(account.startswith(EXECUTION) for account in accounts_of(state)):
        return None
    quotas = {tenant: _left(state, TENANT + tenant, quota) for tenant, quota in state.quotas.items()}

    def is_kept(request: Request) -> bool:
        terms = request.terms
        if quotas and _is_beyond(request, quotas.get(terms.tenant, {})):
            return True
        if not terms.limits:
            return False
        return _is_beyond(request, _left(state, EXECUTION + request.holder.execution_id, terms.limits))

    return is_kept


def sentence(state: PoolRecord, request: Request, short: tuple[str, str, float]) -> str:
    """Say what the quota or limit is that keeps a request waiting; see ``short_of``."""
    account, name, most = short
    used = used_by(state, account).get(name, 0) / 1000
    asked = f"{name}: {claim_of(request.agent_type, request.amounts)[name] / 1000:g} asked"
    if account.startswith(TENANT):
        return f"{asked}, and tenant {request.terms.tenant!r} has {used:g} of its quota of {most:g}."
    return f"{asked}, and the execution has {used:g} of its own limit of {most:g}."


def _left(state: PoolRecord, account: str, bound: dict[str, float]) -> dict[str, float]:
    """Return how much of each bounded resource an account may still have, and a thousandth for rounding."""
    used = used_by(state, account)
    return {name: (round(most * 1000) - used.get(name, 0) + 1) / 1000 for name, most in bound.items()}


def _is_beyond(request: Request, left: dict[str, float]) -> bool:
    amounts, slot = request.amounts, 1 if request.agent_type else 0
    for name, most in left.items():
        amount = slot if name == SLOTS else amounts.get(name, 0)
        if amount and amount > most:
            return True
    return False


def _counted(state: PoolRecord) -> dict[str, Amounts]:
    accounts: dict[str, Amounts] = {}
    for grant in state.grants.values():
        if not grant.is_revoked:
            _take(accounts, grant, 1)
    return accounts


def _take(accounts: dict[str, Amounts], grant: Grant, sign: int) -> None:
    claim = claim_of(grant.agent_type, grant.amounts)
    _add(accounts, TENANT + grant.terms.tenant, claim, sign)
    if grant.terms.limits:
        _add(accounts, EXECUTION + grant.holder.execution_id, claim, sign)


def _add(accounts: dict[str, Amounts], account: str, claim: Amounts, sign: int) -> None:
    used = accounts.setdefault(account, {})
    for name, amount in claim.items():
        left = used.get(name, 0) + sign * amount
        if left:
            used[name] = left
        else:
            used.pop(name, None)
    if not used:
        del accounts[account]
