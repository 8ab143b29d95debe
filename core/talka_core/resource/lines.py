"""The lines of one round of granting: requests of one shape, which fit or do not fit together.

Thousands of shapes may wait for little that is free. Most of them ask for more
of something than any worker that could run them has left, and what is free only
shrinks in a round. So those are told apart first, by comparing their amounts
with the largest free amounts, and nothing else is worked out for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from talka_core.keys import is_keyed
from talka_core.resource import labels
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
    """The requests of one shape that may be granted in a round.

    ``fresh`` are those that have just asked, the best last;
    ``need`` is what each takes, once it was asked for.
    """

    shape: str
    fresh: list[Head] | None = None
    need: Need | None = None


class Lines(Struct, gc=False):
    """Who takes part in a round: the best request of each shape by tenant, and the lines that may get some.

    All other shapes are short, and can get nothing in this round: ``short`` are the executions of their best.
    """

    heads: dict[str, list[Head]]
    lines: dict[str, Line]
    short: set[str]


def lines_of(state: PoolRecord, asked: Asked, *, is_opened: bool) -> Lines:
    """Return the shapes of which a request might be granted now.

    Where nothing was freed (not ``is_opened``) that is none of which others wait.
    """
    heads: dict[str, Head] = {}
    if is_opened:
        heads = {shape: queue[0] for shape, queue in state.queues.items()}
    fresh = _fresh(state, asked, is_opened=is_opened)
    for shape, ones in fresh.items():
        heads[shape] = min(heads.get(shape, ones[-1]), ones[-1])
    waiting, is_short = state.waiting, shortness(state)
    found = Lines({}, {}, set())
    by_tenant, lines, short = found.heads, found.lines, found.short
    for shape, head in heads.items():
        allocation_id = head[2]
        request = asked[allocation_id][1] if allocation_id in asked else waiting[allocation_id]
        if is_short(request):
            short.add(request.holder.execution_id)
        else:
            lines[shape] = Line(shape, fresh.get(shape))
        tenant = request.terms.tenant
        if tenant in by_tenant:
            by_tenant[tenant].append(head)
        else:
            by_tenant[tenant] = [head]
    return found


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


def best_of(state: PoolRecord, asked: Asked, line: Line) -> Request:
    """Return the best request of a line now, which must have one."""
    if not line.fresh:
        return state.waiting[state.queues[line.shape][0][2]]
    head = next_of(state, line)
    assert head is not None, "a line without requests is closed"
    return request_of(state, asked, head)


def request_of(state: PoolRecord, asked: Asked, head: Head) -> Request:
    """Return the request itself."""
    return asked[head[2]][1] if head[2] in asked else state.waiting[head[2]]


def next_of(state: PoolRecord, line: Line) -> Head | None:
    """Return the best of a line now, or None when nobody is left."""
    queue = state.queues.get(line.shape)
    if not queue:
        return line.fresh[-1] if line.fresh else None
    return min(queue[0], line.fresh[-1]) if line.fresh else queue[0]


def shortness(state: PoolRecord, held: Mapping[str, Amounts] = {}) -> Callable[[Request], bool]:
    """Return what tells of a request that no worker has enough free for it, nor will have in this round.

    It errs on one side only: what it passes may still not fit. Members of a gang are always passed.
    ``held`` is how much at most may be taken of some workers.
    """
    known: dict[object, list[dict[str, float]]] = {}
    shared = {name: free_of(state, name) for name in state.shared}

    def is_short(request: Request) -> bool:
        if request.terms is not ORDINARY and request.terms.gang:
            return False
        requires = request.affinity is not ANYWHERE and request.affinity.requires
        key = (request.agent_type, *sorted(requires.items())) if requires else request.agent_type
        largest = known.get(key)
        if largest is None:
            found = _largest(_frees(state, request, held))
            # Rounding to thousandths may add to an amount, and takes less than one off.
            most = [{name: (amount + 1) / 1000 for name, amount in (free | shared).items()} for free in found]
            largest = known[key] = most
        amounts = request.amounts
        for bounds in largest:
            for name, amount in amounts.items():
                bound = bounds.get(name)
                if bound is None:
                    bound = amount if is_keyed(name) else 1 / 1000
                if amount > bound:
                    break
            else:
                return False
        return True

    return is_short


def _frees(state: PoolRecord, request: Request, held: Mapping[str, Amounts]) -> Iterator[Amounts]:
    """Yield what is free on each worker that could run the request if it had enough."""
    agent_type = request.agent_type
    for worker_id, entry in state.workers.items():
        if entry.is_draining or (agent_type and agent_type not in entry.agent_types):
            continue
        free = entry.free
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
