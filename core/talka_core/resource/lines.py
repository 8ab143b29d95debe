"""The lines of one round of granting: requests of one shape, which fit or do not fit together.

Thousands of shapes may wait for little that is free. Most of them ask for more
of something than any worker that could run them has left, and what is free only
shrinks in a round. So those can be told apart by comparing their amounts
with the largest free amounts, and nothing else is worked out for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from talka_core.keys import is_keyed
from talka_core.resource import labels
from talka_core.resource.accounts import fullness
from talka_core.resource.fairness import Head
from talka_core.resource.placement import Need
from talka_core.resource.shared import free_of
from talka_core.resource.state import SLOTS, Amounts, PoolRecord, Request
from talka_protocols.events import ANYWHERE, ORDINARY

Asked = dict[str, tuple[int, Request]]
"""Requests that are not recorded yet, with the place of the message of each, by allocation id."""
FRESH = 1 << 62
"""Who has just asked comes after all that arrived before with the same rank."""
COMPARED = 8
"""With how many workers' free amounts a request is compared; with more, only with the largest of each."""


class Line(Struct, gc=False):
    """The requests of one shape that have a turn in a round.

    ``fresh`` are those that have just asked, the best last; ``need`` is what each takes.
    None of them can get anything any more if it ``is_short``.
    """

    shape: str
    fresh: list[Head] | None
    need: Need
    is_short: bool = False


class Lines(Struct, gc=False):
    """Who takes part in a round: the best request of each shape, by shape and again by tenant.

    ``fresh`` are those that have just asked by their shape, the best last. The round
    ``is_opened`` to those that wait if one of them might get something.
    """

    best: dict[str, Head]
    heads: dict[str, list[Head]]
    fresh: dict[str, list[Head]]
    is_opened: bool


def lines_of(state: PoolRecord, asked: Asked, *, is_opened: bool) -> Lines:
    """Return the shapes of which a request might be granted now.

    Where nothing was freed (not ``is_opened``) that is none of which others wait,
    unless something may fit now that was kept from them: the hold for a better
    one may be over by time alone, and then no newcomer passes who waits for that.
    """
    fresh = _fresh(state, asked, is_opened=is_opened)
    if not is_opened and _is_passed(state, [asked[ones[-1][2]][1] for ones in fresh.values()]):
        is_opened, fresh = True, _fresh(state, asked, is_opened=True)
    best = {shape: queue[0] for shape, queue in state.queues.items()} if is_opened else {}
    for shape, ones in fresh.items():
        best[shape] = min(best.get(shape, ones[-1]), ones[-1])
    waiting = state.waiting
    if not is_opened and all(map(shortness(state), [asked[head[2]][1] for head in best.values()])):
        best = {}
    heads: dict[str, list[Head]] = {}
    for head in best.values():
        allocation_id = head[2]
        request = asked[allocation_id][1] if allocation_id in asked else waiting[allocation_id]
        tenant = request.terms.tenant
        if tenant in heads:
            heads[tenant].append(head)
        else:
            heads[tenant] = [head]
    return Lines(best, heads, fresh, is_opened)


def _is_passed(state: PoolRecord, newcomers: list[Request]) -> bool:
    """Tell whether some of these might get something, and some request that waits might as well.

    It errs on one side only: who waits may be kept from it all the same.
    """
    is_short = shortness(state)
    if all(map(is_short, newcomers)):
        return False
    is_full = fullness(state)
    waiting = (state.waiting[queue[0][2]] for queue in state.queues.values())
    return any(not is_short(one) and not (is_full is not None and is_full(one)) for one in waiting)


def _fresh(state: PoolRecord, asked: Asked, *, is_opened: bool) -> dict[str, list[Head]]:
    """Return those that have just asked by their shape, the best last."""
    found: dict[str, list[Head]] = {}
    for allocation_id, (position, request) in asked.items():
        if is_opened or request.terms.gang or request.shape not in state.queues:
            head = (request.rank, FRESH + position, allocation_id)
            found.setdefault(request.shape, []).append(head)
    for heads in found.values():
        heads.sort(reverse=True)
    return found


def request_of(state: PoolRecord, asked: Asked, head: Head) -> Request:
    """Return the request itself."""
    return asked[head[2]][1] if head[2] in asked else state.waiting[head[2]]


def next_of(state: PoolRecord, line: Line) -> Head | None:
    """Return the best of a line now, or None when nobody is left."""
    queue = state.queues.get(line.shape)
    if not queue:
        return line.fresh[-1] if line.fresh else None
    return min(queue[0], line.fresh[-1]) if line.fresh else queue[0]


_Bounds = tuple[dict[str, float], list[dict[str, float]]]
"""How much of anything may be asked for at most, and of what each worker has if there are several."""


def shortness(
    state: PoolRecord, held: Mapping[str, Amounts] = {}, *, is_whole: bool = False
) -> Callable[[Request], bool]:
    """Return what tells of a request that no worker has enough free for it, nor will have in this round.

    It errs on one side only: what it passes may still not fit. Of a gang all are short if one member is.
    ``held`` is how much at most may be taken of some workers, but by gangs. If it ``is_whole``
    all that the workers have counts as free.
    """
    known: dict[object, _Bounds] = {}
    shared = {name: free_of(state, name) for name in state.shared}

    def bounds_of(request: Request, *, is_gang: bool) -> _Bounds:
        requires = request.affinity is not ANYWHERE and request.affinity.requires
        key: object = request.agent_type
        if is_gang or requires:
            key = (is_gang, request.agent_type, *sorted(request.affinity.requires.items()))
        bounds = known.get(key)
        if bounds is None:
            found = _largest(_frees(state, request, {} if is_gang else held, is_whole=is_whole))
            bounds = known[key] = _bounds(found, shared)
        return bounds

    def is_beyond(amounts: dict[str, float], bounds: _Bounds) -> bool:
        most, several = bounds
        for name, amount in amounts.items():
            bound = most.get(name)
            if bound is None:
                bound = most[name] = _bound(free_of(state, name) if is_keyed(name) else 0)
            if amount > bound:
                return True
        for one in several:
            for name, amount in amounts.items():
                if amount > one.get(name, amount):
                    break
            else:
                return False
        return bool(several)

    def is_short(request: Request) -> bool:
        if request.terms is ORDINARY or not request.terms.gang:
            return is_beyond(request.amounts, bounds_of(request, is_gang=False))
        members = [request, *(state.waiting[place[2]] for place in state.queues.get(request.shape, ()))]
        return any(is_beyond(one.amounts, bounds_of(one, is_gang=True)) for one in members)

    return is_short


def _bounds(frees: list[Amounts], shared: Amounts) -> _Bounds:
    names = {name for free in frees for name in free}
    most = {name: _bound(max(free.get(name, 0) for free in frees)) for name in names}
    several = (
        [{name: _bound(free.get(name, 0)) for name in names} for free in frees] if len(frees) > 1 else []
    )
    return most | {name: _bound(amount) for name, amount in shared.items()}, several


def _bound(free: int) -> float:
    """Return the amount that may be asked for: to round it to thousandths takes less than one off."""
    return (free + 1) / 1000


def _frees(
    state: PoolRecord, request: Request, held: Mapping[str, Amounts], *, is_whole: bool
) -> Iterator[Amounts]:
    """Yield what is free on each worker that could run the request if it had enough."""
    agent_type = request.agent_type
    for worker_id, entry in state.workers.items():
        if entry.is_draining or (agent_type and agent_type not in entry.agent_types):
            continue
        free = entry.capacity if is_whole else entry.free
        if spare := held.get(worker_id):
            free = {name: min(amount, spare.get(name, amount)) for name, amount in free.items()}
        if (not agent_type or free[SLOTS] >= 1000) and labels.admits(entry, request.affinity):
            yield free


def _largest(frees: Iterable[Amounts]) -> list[Amounts]:
    """Return those free amounts of which none is covered by another one."""
    largest: list[Amounts] = []
    for free in {frozenset(free.items()): free for free in frees}.values():
        if any(_covers(other, free) for other in largest):
            continue
        largest = [other for other in largest if not _covers(free, other)] + [free]
        if len(largest) > COMPARED:
            names = {name for other in largest for name in other}
            largest = [{name: max(other.get(name, 0) for other in largest) for name in names}]
    return largest


def _covers(free: Amounts, other: Amounts) -> bool:
    return all(free.get(name, 0) >= amount for name, amount in other.items())
