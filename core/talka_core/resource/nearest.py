"""What no worker could ever meet, and by how much the nearest one misses it."""

from __future__ import annotations

from collections.abc import Sequence

from talka_core.resource.state import Amounts, PoolRecord, WorkerEntry


def lacking(state: PoolRecord, able: Sequence[WorkerEntry], claim: Amounts) -> str:
    """Say what the nearest worker lacks to ever meet the claim; nothing if one could, given time.

    The nearest lacks the smallest share of what is asked for, all resources added up.
    """
    lacks = [(_lack(entry, claim), entry) for entry in able]
    if any(not lack for lack, _ in lacks):
        return ""
    lack, entry = min(lacks, key=lambda found: sum(amount / claim[name] for name, amount in found[0].items()))
    worker_id = next(worker_id for worker_id, one in state.workers.items() if one is entry)
    asked = {name: (claim[name] / 1000, amount / 1000) for name, amount in sorted(lack.items())}
    missing = ", ".join(
        f"{name}: {wanted:g} asked, {wanted - short:g} there, {short:g} short"
        for name, (wanted, short) in asked.items()
    )
    return f"{missing}. No worker of pool {state.pool!r} can ever meet it; {worker_id!r} comes nearest."


def _lack(entry: WorkerEntry, claim: Amounts) -> Amounts:
    short = {name: amount - entry.capacity.get(name, 0) for name, amount in claim.items()}
    return {name: amount for name, amount in short.items() if amount > 0}
