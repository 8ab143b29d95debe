"""Gangs: requests that are granted together in one decision, on one worker or several, or not at all.

A gang holds nothing before it has everything, so two of them never keep each
other waiting with half of what they need. Where each member goes is searched
for, the largest first and the best worker first; members that are alike, and
workers that are, are tried once. The search is exact for members that are all
alike, and gives up after ``TRIES_MAX`` steps otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from talka_core.resource import breaker, labels
from talka_core.resource.accounts import has_room
from talka_core.resource.placement import Need, may_run, need_of
from talka_core.resource.shared import are_free
from talka_core.resource.state import Amounts, PoolRecord, Request, WorkerEntry
from talka_protocols.events import AllocationFreed

TRIES_MAX = 2_000

Member = tuple[Request, Need]


def members_of(state: PoolRecord, names: Sequence[str], asked: Mapping[str, Request]) -> list[Member]:
    """Return the members of a gang by their allocation ids; none if others of it have not asked yet."""
    requests = [asked[name] if name in asked else state.waiting[name] for name in names]
    if len(names) != requests[0].terms.members:
        return []
    return [(one, need_of(state, one.agent_type, one.amounts)) for one in requests]


def forget_parts(state: PoolRecord) -> Iterator[AllocationFreed]:
    """Let go of the requests of gangs that are not whole; who still wants them asks again.

    A request that arrives again after its gang was granted and has ended waits for members that never come.
    """
    for queue in list(state.queues.values()):
        requests = [(place[2], state.waiting[place[2]]) for place in queue]
        terms = requests[0][1].terms
        if terms.gang and len(requests) != terms.members:
            for allocation_id, request in requests:
                yield AllocationFreed(allocation_id, request.holder)


def may_start(state: PoolRecord, members: Sequence[Member]) -> bool:
    """Tell whether nothing but a lack of resources keeps the gang: no quota, limit or circuit breaker.

    While a breaker is half open the gang may try it as a whole, if nobody else does.
    """
    types = {request.agent_type for request, _ in members}
    if not all(breaker.lets_gang_start(state, agent_type) for agent_type in types):
        return False
    return has_room(state, *(request for request, _ in members))


def placed(
    state: PoolRecord, members: Sequence[Member], avoided: Collection[str] = (), free: Frees | None = None
) -> list[str] | None:
    """Return a worker for each member, so that all run at the same time; None if there is no way.

    ``free`` is what is free on each worker, if it is not what is free now.
    """
    if not are_free(state, [need.shared for _, need in members]):
        return None
    left = {w: dict(entry.free) for w, entry in state.workers.items()} if free is None else copied(free)
    for worker_id in avoided:
        left.pop(worker_id, None)
    search = _Search(state, members, left)
    return search.workers if search.fits(0) else None


Frees = dict[str, Amounts]
"""What is free on each worker, in thousandths."""


def copied(free: Frees) -> Frees:
    """Return amounts that may be changed."""
    return {worker_id: dict(amounts) for worker_id, amounts in free.items()}


def claim_on(entry: WorkerEntry, need: Need) -> tuple[tuple[str, int], ...]:
    """Return what a member takes of a worker, its agent type's own slot included."""
    return (*need.own, (need.own_slot, 1000)) if need.own_slot in entry.capacity else need.own


class _Search:
    """A depth-first search over the members, the largest first."""

    def __init__(self, state: PoolRecord, members: Sequence[Member], left: Frees) -> None:
        self._state = state
        self._members = members
        self._left = left
        self._tries = 0
        self.workers = [""] * len(members)
        self._order = sorted(
            range(len(members)), key=lambda i: (_size(state, members[i][1]), -i), reverse=True
        )

    def fits(self, depth: int) -> bool:
        """Tell whether the members from ``depth`` on fit, and note where."""
        if depth == len(self._order):
            return True
        number = self._order[depth]
        request, need = self._members[number]
        seen: set[tuple[tuple[str, int], ...]] = set()
        for worker_id in self._candidates(request, need):
            alike = self._alike(worker_id)
            if alike in seen:
                continue
            seen.add(alike)
            self._tries += 1
            if self._tries > TRIES_MAX:
                return False
            entry, free = self._state.workers[worker_id], self._left[worker_id]
            claim = claim_on(entry, need)
            for name, amount in claim:
                free[name] = free.get(name, 0) - amount
            self.workers[number] = worker_id
            if self.fits(depth + 1):
                return True
            for name, amount in claim:
                free[name] += amount
            if self._is_like_the_one_before(depth):
                return False
        return False

    def _is_like_the_one_before(self, depth: int) -> bool:
        """Tell whether another place for the member was tried for an equal one already."""
        if depth == 0:
            return False
        (one, need), (other, other_need) = (self._members[self._order[d]] for d in (depth, depth - 1))
        return need == other_need and one.affinity == other.affinity

    def _alike(self, worker_id: str) -> tuple[tuple[str, int], ...]:
        entry = self._state.workers[worker_id]
        if entry.labels:
            return ((worker_id, 0),)
        free = tuple(sorted(self._left[worker_id].items()))
        return (*free, *sorted((f"/{agent_type}", 1) for agent_type in entry.agent_types))

    def _candidates(self, request: Request, need: Need) -> list[str]:
        found: list[tuple[int, float, str]] = []
        for worker_id, free in self._left.items():
            entry = self._state.workers[worker_id]
            if not may_run(entry, need) or not labels.admits(entry, request.affinity):
                continue
            claim = claim_on(entry, need)
            if all(free.get(name, 0) >= amount for name, amount in claim):
                loads = (
                    1.0 - (free[name] - amount) / entry.capacity[name] for name, amount in claim if amount
                )
                far = labels.distance(worker_id, entry, request.affinity)
                found.append((far, max(loads, default=0.0), worker_id))
        return [worker_id for _, _, worker_id in sorted(found)]


def _size(state: PoolRecord, need: Need) -> float:
    """Return the largest part that a member takes of the largest worker, of any resource."""
    most: Amounts = {}
    for entry in state.workers.values():
        for name, amount in entry.capacity.items():
            most[name] = max(most.get(name, 0), amount)
    return max((amount / most[name] for name, amount in need.own if most.get(name)), default=0.0)
