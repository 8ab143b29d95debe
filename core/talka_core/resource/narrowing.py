"""Closing all lines at once that can get nothing any more in a round of granting.

A request that does not fit matters to the others in one way only: it may be the
one that a worker is held for, or tell that others than its own execution were
held up (see ``backfill``). Once that is known, lines that are short need no turn.
One that is kept back by something else, or would fit nowhere, matters to nobody.
As grants use up what was free, more and more lines are short. So who is short is
looked for not before the first turn, but whenever enough turns were for nothing.
"""

from __future__ import annotations

from talka_core.resource.backfill import Backfill
from talka_core.resource.fairness import Head, Shares, Turns
from talka_core.resource.lines import Asked, Line, Lines, next_of, request_of
from talka_core.resource.placement import need_of
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
        self._best = lines.best
        self._fresh = lines.fresh
        self._lines: dict[str, Line] = {}
        self._short: dict[str, Head] = {}
        self._short_of: set[str] = set()
        self._shares = shares
        self._turns = Turns(shares, lines.heads)
        self._backfill = backfill
        self._missed = 0
        self._patience = PATIENCE

    def best(self) -> tuple[Head, Request, Line] | None:
        """Return the request whose turn it is, and its line."""
        while self._best and (head := self._turns.best()):
            request = request_of(self._state, self._asked, head)
            if not self._closes(request):
                return head, request, self._line(request)
        return None

    def close(self, line: Line) -> None:
        """Give the line whose turn it was no other turn."""
        self._turns.follow(None)
        if line.is_short:
            del self._short[line.shape]
        else:
            del self._best[line.shape]
            self._missed += 1

    def follow(self, line: Line) -> None:
        """Let the next of the line whose turn it was have its turn in time."""
        head = next_of(self._state, line)
        if head is None:
            self.close(line)
        else:
            self._best[line.shape] = head
            self._turns.follow(head)

    def _line(self, request: Request) -> Line:
        line = self._lines.get(request.shape)
        if line is None:
            need = need_of(self._state, request.agent_type, request.amounts)
            line = Line(request.shape, self._fresh.get(request.shape), need)
            self._lines[request.shape] = line
        line.is_short = request.shape not in self._best
        return line

    def _closes(self, request: Request) -> bool:
        """Close what can get nothing any more, and tell whether the turn may be somebody else's now.

        ``request`` is the one whose turn it is.
        """
        is_closed = self._missed >= self._patience and self._look(request)
        if self._short and self._backfill.is_settled(self._short_of):
            self._short, self._short_of = {}, set()
            is_closed = True
        if is_closed:
            self._turns = Turns(self._shares, self._heads())
        return is_closed

    def _look(self, request: Request) -> bool:
        """Find who is short now, and tell whether there are some whose turn would change nothing at all.

        ``request`` is the one whose turn it is.
        """
        state, asked, size = self._state, self._asked, len(self._best) + len(self._short)
        is_pointless, is_short = self._backfill.pointlessness(), self._backfill.shortness(request)
        left: dict[str, Head] = {}
        for shape, head in self._best.items():
            one = asked[head[2]][1] if head[2] in asked else state.waiting[head[2]]
            if is_pointless is not None and is_pointless(one):
                continue
            if is_short(one):
                self._short[shape] = head
                self._short_of.add(one.holder.execution_id)
            else:
                left[shape] = head
        self._best = left
        self._missed = 0
        self._patience = max(PATIENCE, len(left) // PART)
        return len(left) + len(self._short) < size

    def _heads(self) -> dict[str, list[Head]]:
        heads: dict[str, list[Head]] = {}
        for head in (*self._best.values(), *self._short.values()):
            tenant = request_of(self._state, self._asked, head).terms.tenant
            heads.setdefault(tenant, []).append(head)
        return heads
