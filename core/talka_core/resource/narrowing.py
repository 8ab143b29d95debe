"""Closing all lines at once that can get nothing any more in a round of granting.

A request that does not fit matters to the others in one way only: it may be the
one that a worker is held for, or tell that others than its own execution were
held up (see ``backfill``). Once that is known, lines that are short need no turn.
As grants use up what was free, more and more lines are short. They are looked
at again whenever enough of them had their turn for nothing.
"""

from __future__ import annotations

from talka_core.resource.backfill import Backfill
from talka_core.resource.fairness import Head, Turns
from talka_core.resource.lines import Asked, Line
from talka_core.resource.state import PoolRecord, Request

PATIENCE = 16
"""How many turns for nothing there are at least, before all lines are looked at again."""
PART = 8
"""The turns for nothing may take so large a part of all that are left: looking is so much cheaper."""


class Narrowing:
    """The lines of one round that may still get something; ``hopeful`` is how many."""

    def __init__(self, lines: list[Line], turns: Turns, backfill: Backfill) -> None:
        self.hopeful = sum(not line.is_short for line in lines)
        self._lines = lines
        self._turns = turns
        self._backfill = backfill
        self._short = {line.first.holder.execution_id for line in lines if line.is_short}
        self._missed = 0
        self._patience = PATIENCE

    def closed(self, line: Line) -> None:
        """Count a line that has got all that it can."""
        self.hopeful -= not line.is_short
        self._missed += not line.is_short

    def closes(self, state: PoolRecord, asked: Asked, request: Request) -> bool:
        """Close what can get nothing any more, and tell whether the turn may be somebody else's now.

        ``request`` is the one whose turn it is.
        """
        if self._missed >= self._patience:
            self._look(state, asked, request)
        if not self._short or not self._backfill.is_settled(self._short):
            return False
        self._short = set[str]()
        self._turns.keep(lambda number: not self._lines[number].is_short)
        return True

    def _look(self, state: PoolRecord, asked: Asked, request: Request) -> None:
        is_short = self._backfill.shortness(request)
        for head, number in self._turns.open():
            line = self._lines[number]
            if line.is_short:
                continue
            one = _request(state, asked, head)
            if is_short(one):
                line.is_short = True
                self.hopeful -= 1
                self._short.add(one.holder.execution_id)
        self._missed = 0
        self._patience = max(PATIENCE, self.hopeful // PART)


def _request(state: PoolRecord, asked: Asked, head: Head) -> Request:
    _, is_fresh, _, allocation_id = head
    return asked[allocation_id][1] if is_fresh else state.waiting[allocation_id]
