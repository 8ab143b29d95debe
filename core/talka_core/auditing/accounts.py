"""What tenants and limited executions have of a pool, by the auditor's own count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from talka_core.auditing.amounts import SLOTS, Thousandths, counted, limited
from talka_core.auditing.book import Allocation, Pool
from talka_core.auditing.violations import Finding, Kind
from talka_protocols import events as e

Bound = tuple[str, str, Thousandths]
"""An account, how it is called in a sentence, and the most that it may have."""


def enter(
    pool: Pool, allocation: Allocation, event: e.AllocationGranted, *, is_part: bool
) -> Iterator[Finding]:
    """Count a grant, and yield each bound that its account exceeds with it.

    Of an exported file, which is only a ``part`` of the log, tenants have more than it says.
    """
    amounts = {name: amount for name, amount in counted(event.amounts).items() if limited(name) is None}
    allocation.counted = amounts | ({SLOTS: 1000} if event.agent_type else {})
    for account, named, most in _bounds(pool, allocation, event, is_part=is_part):
        used = pool.used.setdefault(account, Counter())
        used.update(allocation.counted)
        allocation.accounts.append(account)
        for name in most.keys() & allocation.counted.keys():
            if used[name] > most[name]:
                has, may = used[name] / 1000, most[name] / 1000
                sentence = f"With {event.allocation_id}, {named} has {has:g} of at most {may:g} {name}."
                yield Kind.OVER_QUOTA, sentence


def leave(pool: Pool, allocation: Allocation) -> None:
    """Count an allocation no longer: it is freed, or its worker is gone."""
    for account in allocation.accounts:
        used = pool.used[account]
        used.subtract(allocation.counted)
        if not any(used.values()):
            del pool.used[account]
    allocation.accounts.clear()


def _bounds(
    pool: Pool, allocation: Allocation, event: e.AllocationGranted, *, is_part: bool
) -> Iterator[Bound]:
    terms = event.terms
    if not is_part:
        named = f"tenant {terms.tenant!r}"
        yield f"tenant/{terms.tenant}", named, counted(pool.quotas.get(terms.tenant, {}))
    if terms.limits:
        named = f"execution {allocation.execution_id}"
        yield f"execution/{allocation.execution_id}", named, counted(terms.limits)
