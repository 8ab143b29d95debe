"""Closing all lines at once that can get nothing any more in a round of granting.

A request that does not fit matters to the others in one way only: it may be the
one that a worker is held for, or tell that others than its own execution were
held up (see ``backfill``). Once that is known, lines that are short need no turn.
As grants use up what was free, more and more lines are short. They are looked
at again whenever enough of them had their turn for nothing.
"""

from __future__ import annotations

from talka_core.resource.backfill import Backfill
from talka_core.resource.fairness import Head, Shares, Turns
from talka_core.resource.lines import Asked, Line, Lines, best_of, next_of, request_of
from talka_core.resource.state import PoolRecord, Request

PATIENCE = 16
"""How many turns for nothing there are at least, before all lines are looked at again."""
PART = 8
"""The turns for nothing may take so large a part of all that are left: looking is so much cheaper."""


class Narrowing:
    """Whose turn it is in one round, until nobody can get anything any more."""

    def __init__(
        self, state: PoolRecord, asked: Asked, lines: Lines, shares: Shares, backfill: Backfill
    ) -> None:
        self._state = state
        self._asked = asked
        self._lines = lines.lines
        self._short = lines.short
        self._shares = shares
        self._turns = Turns(shares, lines.heads)
        self._backfill = backfill
        self._missed = 0
        self._patience = PATIENCE

    def best(self) -> tuple[Head, Request, Line | None] | None:
        """Return the request whose turn it is, and its line; None for one that is short."""
        while self._lines and (head := self._turns.best()):
            request = request_of(self._state, self._asked, head)
            if not self._closes(request):
                return head, request, self._lines.get(request.shape)
        return None

    def close(self, line: Line | None) -> None:
        """Give the line whose turn it was no other turn."""
        self._turns.follow(None)
        if line is not None:
            del self._lines[line.shape]
            self._missed += 1

    def follow(self, line: Line) -> None:
        """Let the next of the line whose turn it was have its turn in time."""
        head = next_of(self._state, line)
        if head is None:
            self.close(line)
        else:
            self._turns.follow(head)

    def _closes(self, request: Request) -> bool:
        """Close what can get nothing any more, and tell whether the turn may be somebody else's now.

        ``request`` is the one whose turn it is.
        """
        if self._missed >= self._patience:
            self._look(request)
        if not self._short or not self._backfill.is_settled(self._short):
            return False
        self._short = set[str]()
        self._turns = Turns(self._shares, self._open())
        return True

    def _look(self, request: Request) -> None:
        is_short = self._backfill.shortness(request)
        for line in list(self._lines.values()):
            one = best_of(self._state, self._asked, line)
            if is_short(one):
                del self._lines[line.shape]
                self._short.add(one.holder.execution_id)
        self._missed = 0
        self._patience = max(PATIENCE, len(self._lines) // PART)

    def _open(self) -> dict[str, list[Head]]:
        heads: dict[str, list[Head]] = {}
        for line in self._lines.values():
            if (head := next_of(self._state, line)) is not None:
                tenant = request_of(self._state, self._asked, head).terms.tenant
                heads.setdefault(tenant, []).append(head)
        return heads
