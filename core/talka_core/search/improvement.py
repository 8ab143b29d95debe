"""An improving search over schedules, one pure step after the other.

A genetic algorithm whose members are schedules. A child takes from one parent
what it does in a stretch of time in which it uses resources well, and the rest
in the order of the other parent; then it is pushed to the end and back
(justification). After Debels and Vanhoucke, "A decomposition-based genetic
algorithm for the RCPSP", Operations Research 55 (2007), and Valls, Ballestin
and Quintanilla, "A hybrid genetic algorithm for the RCPSP", European Journal of
Operational Research 185 (2008).

Where every resource does one task at a time, a local search on the critical
path takes the place of the genetic algorithm (module ``tabu``).

The time goes first to the ordinary rules, then to orders drawn around the best
of them, and only then to children, so that a search that is stopped early has
still done what pays most.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from talka_core.search import tabu
from talka_core.search.bounds import lower_bound
from talka_core.search.dice import Dice
from talka_core.search.disjunctive import Sequencing, machines_of
from talka_core.search.justification import justified
from talka_core.search.project import Project
from talka_core.search.rules import RULES
from talka_core.search.schedules import makespan, parallel, serial

MEMBERS_MAX = 20
DRAWN_MAX = 20
STALE_MAX = 400

MOVES = 50
"""How many moves of the local search count as one iteration."""


class Search(Struct):
    """How far a search is; all of it can be stored, and gone on with elsewhere.

    ``best`` are the starts of the shortest schedule found (milliseconds, by
    position in the project), ``makespan`` its length, ``bound`` what no schedule
    can beat. ``members`` are (makespan, starts) of the schedules that are bred.
    ``schedules`` counts those generated so far, ``stale`` the children since
    the last improvement. ``walk`` is where the local search is, if it is the one that is used.
    """

    dice: int
    bound: int
    best: list[int] = []
    makespan: int = 0
    members: list[tuple[int, list[int]]] = []
    started: int = 0
    schedules: int = 0
    stale: int = 0
    walk: tabu.Walk | None = None

    @property
    def is_optimal(self) -> bool:
        """Tell whether the best schedule is as short as the bound."""
        return bool(self.best) and self.makespan <= self.bound


def begin(project: Project, seed: int = 0) -> Search:
    """Return a search that has not looked at anything yet."""
    return Search(dice=seed * 2 + 1, bound=lower_bound(project))


def proceed(project: Project, search: Search, iterations: int) -> Search:
    """Look at so many more schedules (each is justified), in place; stops at a proven optimum.

    The same project, state and number always lead to the same result, in one go or in parts.
    """
    dice = Dice(search.dice)
    machines = machines_of(project)
    if machines is None:
        for _ in range(iterations):
            if search.is_optimal:
                break
            _iterate(project, search, dice)
    else:
        _walk(project, search, dice, machines, iterations)
    search.dice = dice.state
    return search


def _walk(project: Project, search: Search, dice: Dice, machines: Sequence[int], iterations: int) -> None:
    """Try the rules, then go on from the best of them."""
    sequencing: Sequencing | None = None
    for _ in range(iterations):
        if search.is_optimal:
            break
        if search.started < len(RULES):
            first = parallel(project, RULES[search.started](project))
            search.started += 1
            search.schedules += 1
            _keep(search, first, makespan(project, first))
            continue
        walk = search.walk = search.walk or tabu.Walk(search.best)
        sequencing = sequencing or Sequencing(project, machines, walk.starts)
        for _ in range(MOVES):
            is_stuck = not tabu.step(sequencing, walk, dice, search.makespan)
            search.schedules += 1
            if sequencing.length < search.makespan:
                walk.stale = 0
                _keep(search, sequencing.starts, sequencing.length)
                if search.makespan <= search.bound:
                    break
            if is_stuck or walk.stale >= tabu.STALE_MAX:
                walk = search.walk = tabu.Walk(search.best, kicks=tabu.KICKS)
                sequencing = Sequencing(project, machines, walk.starts)
        walk.starts = sequencing.starts


def _iterate(project: Project, search: Search, dice: Dice) -> None:
    if search.stale >= STALE_MAX:
        # The members have grown alike: only the best stays among new ones.
        search.members, search.started, search.stale = search.members[:1], len(RULES), 0
    if search.started < len(RULES):
        first = parallel(project, RULES[search.started](project))
        search.schedules += 1
        _keep(search, first, makespan(project, first))
    elif search.started < len(RULES) + DRAWN_MAX:
        first = _drawn(project, search, dice)
        search.schedules += 1
    else:
        _breed(project, search, dice)
        return
    search.started += 1
    for _ in range(3):
        better = justified(project, first)
        search.schedules += 2
        shorter = makespan(project, better)
        is_shorter = shorter < makespan(project, first)
        first = better
        if not is_shorter:
            break
    join(search, first, makespan(project, first))


def _drawn(project: Project, search: Search, dice: Dice) -> list[int]:
    """Return a schedule in the order of a rule or of a member, with each rank shifted a little at random."""
    length = search.makespan or 1
    spread = length * (0.05 + 0.35 * dice.share())
    base: Sequence[float]
    if dice.share() < 0.5:
        base = RULES[dice.below(len(RULES))](project)
    else:
        base = search.members[dice.below(len(search.members))][1]
    share = dice.share
    ranks = [rank + spread * share() for rank in base]
    if dice.share() < 0.5:
        return parallel(project, ranks)
    return serial(project, feasible(project, ranks))


def feasible(project: Project, ranks: Sequence[float]) -> list[int]:
    """Return all tasks by rank, each moved behind its predecessors where it has to be."""
    held = list(ranks)
    for task, needed in enumerate(project.predecessors):
        for before in needed:
            held[task] = max(held[task], held[before])
    return sorted(range(len(held)), key=held.__getitem__)


def _breed(project: Project, search: Search, dice: Dice) -> None:
    members = search.members
    father = min(dice.below(len(members)), dice.below(len(members)))
    mother = min(dice.below(len(members)), dice.below(len(members)))
    if mother == father:
        mother = (father + 1 + dice.below(max(1, len(members) - 1))) % len(members)
    keys = _crossed(members[father], members[mother], dice)
    child = justified(project, serial(project, feasible(project, keys)))
    search.schedules += 3
    search.stale += 1
    length = makespan(project, child)
    join(search, child, length)


def _crossed(father: tuple[int, list[int]], mother: tuple[int, list[int]], dice: Dice) -> list[float]:
    """Return keys: the father's in a stretch of his time, elsewhere the mother's, a few moved at random."""
    length, his = father
    hers = mother[1]
    width = length * (0.25 + 0.5 * dice.share())
    begins = dice.share() * (length - width)
    ends = begins + width
    far = 4.0 * (length + mother[0])
    keys: list[float] = []
    for own, other in zip(his, hers, strict=True):
        if own < begins:
            keys.append(other - far)
        elif own > ends:
            keys.append(other + far)
        else:
            keys.append(own)
    count = len(keys)
    for _ in range(max(1, count // 40)):
        one, two = dice.below(count), dice.below(count)
        keys[one], keys[two] = keys[two], keys[one]
    return keys


def _keep(search: Search, starts: list[int], length: int) -> None:
    if not search.best or length < search.makespan:
        search.best, search.makespan, search.stale = starts, length, 0


def join(search: Search, starts: list[int], length: int) -> None:
    """Take a schedule in among the members if it is new and not worse than the last of them."""
    _keep(search, starts, length)
    members = search.members
    if any(length == other and starts == its for other, its in members):
        return
    if len(members) >= MEMBERS_MAX:
        if length > members[-1][0]:
            return
        members.pop()
    at = next((n for n, (other, _) in enumerate(members) if length <= other), len(members))
    members.insert(at, (length, starts))
