"""Which worker a request goes to."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from talka_core.keys import is_keyed
from talka_core.resource import breaker, labels, nearest
from talka_core.resource.shared import capacity_of, free_of, is_free, own_of, shared_of
from talka_core.resource.state import SLOTS, Amounts, PoolRecord, WorkerEntry, slot_of, thousandths
from talka_protocols.events import ANYWHERE, Affinity


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


class Need(NamedTuple):
    """What a request takes: thousandths of its worker, of the pool as a whole, and the agent's own slot."""

    agent_type: str
    own: tuple[tuple[str, int], ...]
    shared: Amounts
    own_slot: str


def need_of(state: PoolRecord, agent_type: str, amounts: dict[str, float]) -> Need:
    """Return what every request of this shape takes as the pool is configured now."""
    own, shared = Amounts(), Amounts()
    for name, amount in thousandths(amounts).items():
        (shared if name in state.shared or is_keyed(name) else own)[name] = amount
    if not agent_type:
        return Need("", tuple(own.items()), shared, "")
    own[SLOTS] = 1000
    return Need(agent_type, tuple(own.items()), shared, slot_of(agent_type))


def take(entry: WorkerEntry, need: Need) -> None:
    """Count what a request takes of its worker as used."""
    free = entry.free
    for name, amount in need.own:
        free[name] = free.get(name, 0) - amount
    if need.own_slot in entry.capacity:
        free[need.own_slot] -= 1000


def place(
    state: PoolRecord, need: Need, affinity: Affinity = ANYWHERE, avoided: Collection[str] = ()
) -> str | None:
    """Return the worker that suits best and stays least loaded, or None when it fits nowhere now.

    The load is the largest share in use of any resource that the request
    needs; ties go to the smaller worker id, so the choice is deterministic.
    What the pool has as a whole must be free there, and asks nothing of the worker.
    ``avoided`` are held for a better request.
    """
    if need.shared and not is_free(state, need.shared):
        return None
    if state.circuits and not breaker.lets_start(state, need.agent_type):
        return None
    if avoided or (affinity is not ANYWHERE and affinity != ANYWHERE):
        return _place_where(state, need, affinity, avoided)
    best: tuple[float, str] | None = None
    for worker_id, entry in state.workers.items():
        if entry.is_draining or (need.agent_type and need.agent_type not in entry.agent_types):
            continue
        load = _load(entry, need)
        if load is not None and (best is None or (load, worker_id) < best):
            best = (load, worker_id)
    return best[1] if best else None


def _place_where(state: PoolRecord, need: Need, affinity: Affinity, avoided: Collection[str]) -> str | None:
    """Return the worker, but for the avoided ones, that suits the labels best; then the load decides."""
    fitting = (
        (labels.distance(worker_id, entry, affinity), load, worker_id)
        for worker_id, entry in state.workers.items()
        if worker_id not in avoided
        and may_run(entry, need)
        and labels.admits(entry, affinity)
        and (load := _load(entry, need)) is not None
    )
    return min(fitting, default=(0, 0.0, None))[2]


def may_run(entry: WorkerEntry, need: Need) -> bool:
    """Tell whether the worker takes what is new, and serves the agent type."""
    return not entry.is_draining and (not need.agent_type or need.agent_type in entry.agent_types)


def fits(state: PoolRecord, worker_id: str, need: Need, affinity: Affinity = ANYWHERE) -> bool:
    """Tell whether one worker can take the request now, draining or not."""
    entry = state.workers.get(worker_id)
    if entry is None or (need.agent_type and need.agent_type not in entry.agent_types):
        return False
    if not labels.admits(entry, affinity) or not breaker.lets_start(state, need.agent_type):
        return False
    return is_free(state, need.shared) and _load(entry, need) is not None


def _load(entry: WorkerEntry, need: Need) -> float | None:
    load = 0.0
    free, capacity = entry.free, entry.capacity
    for name, amount in need.own:
        left = free.get(name, 0) - amount
        if left < 0:
            return None
        if amount:
            load = max(load, 1.0 - left / capacity[name])
    if need.own_slot in capacity:
        left = free[need.own_slot] - 1000
        if left < 0:
            return None
        load = max(load, 1.0 - left / capacity[need.own_slot])
    return load


def shortage(
    state: PoolRecord, agent_type: str, amounts: dict[str, float], affinity: Affinity = ANYWHERE
) -> str:
    """Say in one sentence what keeps a request from being granted now: a breaker, or which resource."""
    if reason := breaker.shortage(state, agent_type):
        return reason
    shared = shared_of(state, amounts)
    for name, amount in shared.items():
        if free_of(state, name) < amount:
            return _shared_shortage(state, name, amount)
    able = [w for w in state.workers.values() if not agent_type or agent_type in w.agent_types]
    if not able:
        what = f"runs agent type {agent_type!r}" if agent_type else "is there"
        return f"No worker of pool {state.pool!r} {what}."
    if missing := labels.missing(able, affinity):
        return missing
    able = [entry for entry in able if labels.admits(entry, affinity)]
    own = own_of(amounts, shared)
    if impossible := nearest.lacking(state, able, thousandths(own)):
        return impossible
    for name, amount in thousandths(own).items():
        free = max(entry.free.get(name, 0) for entry in able)
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
