"""From all faults of a failing run to the few that it takes: whole kinds first, then moments, then each.

Every guess is tried, so that what is left does fail; that nothing smaller does is not promised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from talka_chaos.world import Suffered

Fails = Callable[[frozenset[Suffered]], bool]


class Budget:
    """How many guesses may still be tried."""

    def __init__(self, fails: Fails, most: int) -> None:
        self.left = most
        self._fails = fails

    def fails(self, chosen: frozenset[Suffered]) -> bool:
        """Tell whether it fails with these faults alone; with nothing left to spend it is taken not to."""
        if self.left <= 0:
            return False
        self.left -= 1
        return self._fails(chosen)


def fewest(suffered: Mapping[Suffered, float], fails: Fails, most: int) -> frozenset[Suffered]:
    """Return few of the faults with which it still fails, after at most so many tries.

    Args:
        suffered: The faults of a run that failed, with their moments.
        fails: Tells whether a run fails if of all faults only these happen.
        most: How often that may be asked.
    """
    budget = Budget(fails, most)
    kept = _without_kinds(frozenset(suffered), budget)
    kept = _until(sorted(kept, key=lambda fault: (suffered[fault], fault)), budget)
    return _one_by_one(sorted(kept, key=lambda fault: (suffered[fault], fault)), budget)


def _without_kinds(kept: frozenset[Suffered], budget: Budget) -> frozenset[Suffered]:
    """Leave out whole kinds, those with most faults first."""
    kinds = sorted({kind for kind, _ in kept}, key=lambda kind: (-sum(k == kind for k, _ in kept), kind))
    for kind in kinds:
        smaller = frozenset(fault for fault in kept if fault[0] != kind)
        if smaller != kept and budget.fails(smaller):
            kept = smaller
    return kept


def _until(ordered: list[Suffered], budget: Budget) -> frozenset[Suffered]:
    """Leave out what comes late, by halves."""
    enough, too_few = len(ordered), 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if budget.fails(frozenset(ordered[:middle])):
            enough = middle
        else:
            too_few = middle
        if not budget.left:
            break
    return frozenset(ordered[:enough])


def _one_by_one(ordered: list[Suffered], budget: Budget) -> frozenset[Suffered]:
    """Leave out ever smaller pieces, until no single fault can be left out."""
    size = max(1, len(ordered) // 2)
    while ordered and budget.left:
        start, is_smaller = 0, False
        while start < len(ordered):
            rest = ordered[:start] + ordered[start + size :]
            if budget.fails(frozenset(rest)):
                ordered, is_smaller = rest, True
            else:
                start += size
        if size == 1 and not is_smaller:
            break
        size = max(1, size // 2)
    return frozenset(ordered)
