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
from talka_core.resource.placement import Need, need_of
from talka_core.resource.shared import free_of
from talka_core.resource.state import SLOTS, Amounts, PoolRecord, Request
from talka_protocols.events import ANYWHERE, ORDINARY

Asked = dict[str, tuple[int, Request]]
"""Requests that are not recorded yet, with the place of the message of each, by allocation id."""
COMPARED = 8
"""With how many workers' free amounts a request is compared; with more, only with the largest of each."""


class Line(Struct, gc=False):
    """The requests of one shape; ``fresh`` are those that have just asked, the best last.

    One that ``is_short`` can get nothing in this round. ``first`` is the best as the round begins,
    and ``need`` what each takes, once it was asked for.
    """

    shape: str
    first: Request
    head: Head
    is_short: bool
    fresh: list[Head] | None = None
    need: Need | None = None


def lines_of(state: PoolRecord, asked: Asked, *, is_opened: bool) -> list[Line]:
    """Return a line for each shape of which a request might be granted now.

    Where nothing was freed (not ``is_opened``) that is none of which others wait.
    """
    lines: dict[str, Line] = {}
    is_short = shortness(state)
    waiting = state.waiting
    for shape, queue in state.queues.items() if is_opened else ():
        rank, arrival, allocation_id = queue[0]
        request = waiting[allocation_id]
        lines[shape] = Line(shape, request, (rank, False, arrival, allocation_id), is_short(request))
    touched: dict[str, list[Head]] = {}
    for allocation_id, (position, request) in asked.items():
        shape = request.shape
        if not is_opened and shape in state.queues and not request.terms.gang:
            continue
        head = (request.rank, True, position, allocation_id)
        line = lines.get(shape)
        if line is None:
            line = lines[shape] = Line(shape, request, head, is_short(request))
        elif head < line.head:
            line.first, line.head = request, head
        touched.setdefault(shape, []).append(head)
    for shape, heads in touched.items():
        lines[shape].fresh = sorted(heads, reverse=True)
    return list(lines.values())


def need_of_line(state: PoolRecord, line: Line) -> Need:
    """Return what every request of the line takes."""
    if line.need is None:
        line.need = need_of(state, line.first.agent_type, line.first.amounts)
    return line.need


def next_of(state: PoolRecord, line: Line) -> Head | None:
    """Return the best of a line now, or None when nobody is left."""
    queue = state.queues.get(line.shape)
    if not queue:
        return line.fresh[-1] if line.fresh else None
    rank, arrival, allocation_id = queue[0]
    waiting = (rank, False, arrival, allocation_id)
    return min(waiting, line.fresh[-1]) if line.fresh else waiting


def take_fresh(line: Line) -> None:
    """Take the best that has just asked off the line."""
    if line.fresh:
        line.fresh.pop()


def shortness(state: PoolRecord, held: Mapping[str, Amounts] = {}) -> Callable[[Request], bool]:
    """Return what tells of a request that no worker has enough free for it, nor will have in this round.

    It errs on one side only: what it passes may still not fit. Members of a gang are always passed.
    ``held`` is how much at most may be taken of some workers.
    """
    known: dict[object, list[Amounts]] = {}
    shared = {name: free_of(state, name) for name in state.shared}

    def is_short(request: Request) -> bool:
        if request.terms is not ORDINARY and request.terms.gang:
            return False
        requires = request.affinity is not ANYWHERE and request.affinity.requires
        key = (request.agent_type, *sorted(requires.items())) if requires else request.agent_type
        largest = known.get(key)
        if largest is None:
            found = _largest(_frees(state, request, held))
            largest = known[key] = [free | shared for free in found]
        amounts = request.amounts
        for free in largest:
            for name, amount in amounts.items():
                # Rounding to thousandths may add to an amount, and takes less than one off.
                if amount * 1000 > free.get(name, 0) + 1 and (name in free or not is_keyed(name)):
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
