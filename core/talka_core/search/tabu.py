"""A local search for projects whose resources do one task at a time.

Tabu search on the critical path: the best of the moves that may shorten it is
made, even if it makes the schedule longer, and what it turned round stays so
for a while. After Nowicki and Smutnicki, "A fast taboo search algorithm for the
job shop problem", Management Science 42 (1996), with the larger neighbourhood
of Balas and Vazacopoulos (1998).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from talka_core.search.dice import Dice
from talka_core.search.disjunctive import Move, Sequencing

REACH = 4
"""From how far inside a block tasks are moved to its border."""

TENURE = 12
"""How many pairs are kept as they were turned, at least; up to half as many more by chance."""

STALE_MAX = 1_000
"""After so many moves without a shorter schedule the walk begins anew near the best one."""

KICKS = 10


class Walk(Struct):
    """Where a local search is: the starts (milliseconds), and the pairs last turned round.

    ``stale`` counts the moves since the last improvement, ``kicks`` the moves still to be made at random.
    """

    starts: list[int]
    turned: list[tuple[int, int]] = []
    stale: int = 0
    kicks: int = 0


def step(sequencing: Sequencing, walk: Walk, dice: Dice, best: int) -> bool:
    """Make one move, in place; False where none can be made.

    Args:
        sequencing: The schedule that the walk is at.
        walk: What it remembers; ``starts`` is left as it is.
        dice: Chooses among equals.
        best: The shortest makespan so far, which lifts every ban.
    """
    moves = sequencing.moves(sequencing.critical(dice), REACH)
    banned = set(walk.turned[-TENURE - dice.below(TENURE // 2 + 1) :])
    for move in _ranked(sequencing, moves, banned, dice, 0 if walk.kicks else best):
        if sequencing.apply(move):
            walk.turned = [*walk.turned, *move.turned][-2 * TENURE * REACH :]
            walk.stale += 1
            walk.kicks = max(0, walk.kicks - 1)
            return True
    return False


def _ranked(
    sequencing: Sequencing, moves: Sequence[Move], banned: set[tuple[int, int]], dice: Dice, best: int
) -> list[Move]:
    """Return the moves as they are tried; at random if all are banned or no best is given."""
    ranked: list[tuple[int, float, Move]] = []
    for move in moves if best else ():
        estimate = sequencing.estimate(move)
        # A banned move puts a pair back into the order that was given up.
        if estimate < best or banned.isdisjoint((second, first) for first, second in move.turned):
            ranked.append((estimate, dice.share(), move))
    if not ranked:
        ranked = [(0, dice.share(), move) for move in moves]
    ranked.sort(key=lambda entry: entry[:2])
    return [move for _, _, move in ranked]
