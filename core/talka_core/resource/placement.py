"""Which worker a request goes to."""

from __future__ import annotations

from talka_core.resource.shared import capacity_of, free_of, is_free, own_of, shared_of
from talka_core.resource.state import SLOTS, Amounts, PoolRecord, WorkerEntry, slot_of, thousandths


def claim_of(entry: WorkerEntry, agent_type: str, amounts: dict[str, float]) -> Amounts:
    """Return what an allocation takes from a worker: its amounts, a slot, and the agent's own slot.

    A reservation names no agent type and takes no slot.
    """
    claim = thousandths(amounts)
    if agent_type:
        claim[SLOTS] = 1000
        own = slot_of(agent_type)
        if own in entry.capacity:
            claim[own] = 1000
    return claim


def place(state: PoolRecord, agent_type: str, amounts: dict[str, float]) -> str | None:
    """Return the worker that stays least loaded, or None when it fits nowhere now.

    The load is the largest share in use of any resource that the request
    needs; ties go to the smaller worker id, so the choice is deterministic.
    What the pool has as a whole must be free there, and asks nothing of the worker.
    """
    shared = shared_of(state, amounts)
    if not is_free(state, shared):
        return None
    own = own_of(amounts, shared)
    best: tuple[float, str] | None = None
    for worker_id, entry in state.workers.items():
        if entry.is_draining or (agent_type and agent_type not in entry.agent_types):
            continue
        load = _load(entry, claim_of(entry, agent_type, own))
        if load is not None and (best is None or (load, worker_id) < best):
            best = (load, worker_id)
    return best[1] if best else None


def fits(state: PoolRecord, worker_id: str, agent_type: str, amounts: dict[str, float]) -> bool:
    """Tell whether one worker can take the request now, draining or not."""
    entry = state.workers.get(worker_id)
    if entry is None or (agent_type and agent_type not in entry.agent_types):
        return False
    shared = shared_of(state, amounts)
    if not is_free(state, shared):
        return False
    return _load(entry, claim_of(entry, agent_type, own_of(amounts, shared))) is not None


def _load(entry: WorkerEntry, claim: Amounts) -> float | None:
    load = 0.0
    for name, amount in claim.items():
        free = entry.free.get(name, 0)
        if free < amount:
            return None
        capacity = entry.capacity[name] if amount else 0
        if capacity:
            load = max(load, 1.0 - (free - amount) / capacity)
    return load


def shortage(state: PoolRecord, agent_type: str, amounts: dict[str, float]) -> str:
    """Say in one sentence which resource keeps a request from fitting now."""
    shared = shared_of(state, amounts)
    for name, amount in shared.items():
        if free_of(state, name) < amount:
            return _shared_shortage(state, name, amount)
    able = [w for w in state.workers.values() if not agent_type or agent_type in w.agent_types]
    if not able:
        what = f"runs agent type {agent_type!r}" if agent_type else "is there"
        return f"No worker of pool {state.pool!r} {what}."
    for name, amount in thousandths(own_of(amounts, shared)).items():
        most = max(entry.capacity.get(name, 0) for entry in able)
        free = max(entry.free.get(name, 0) for entry in able)
        if most < amount:
            return f"{name}: {amount / 1000:g} asked, the largest worker has {most / 1000:g}."
        if free < amount:
            return f"{name}: {amount / 1000:g} asked, at most {free / 1000:g} free on one worker."
    return f"No worker of pool {state.pool!r} has all of it free at once."


def _shared_shortage(state: PoolRecord, name: str, amount: int) -> str:
    free = max(0, free_of(state, name))
    asked, own = f"{name}: {amount / 1000:g} asked", f"the whole pool has {capacity_of(state, name) / 1000:g}"
    sentence = f"{asked}, {own}, {free / 1000:g} free"
    lost = sum(held.amounts.get(name, 0) for held in state.held_back.values())
    if lost:
        return f"{sentence}; {lost / 1000:g} of a lost worker or client comes back when its lease is over."
    return f"{sentence}."
