"""Who may pass a better request that does not fit yet: only who does not make it wait longer.

Where something smaller fits while the best of those that wait does not, taking
it uses what would be idle. But if that goes on, a large request never finds
enough free at once. So the first that does not fit in a round gets a worker
held for it, and others pass it there only if they are estimated to end before
it can begin, or leave it enough: EASY backfilling (Lifka, "The ANL/IBM SP
Scheduling System", 1995; Mu'alem and Feitelson, 2001). When it can begin is
known from the estimates of what runs. Where nobody estimated, the worker is
held in phases of twice the length of the one before, with pauses as long: so
others get half of the time, and tasks of any bounded length leave a phase that
is long enough.

Tasks of its own execution pass a request freely, as their order is the strategy's,
unless a better one of another execution was held up by it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from math import log2

from talka_core.resource import bookings, breaker, gangs, labels
from talka_core.resource.accounts import fullness
from talka_core.resource.fairness import Shares
from talka_core.resource.gangs import Frees, Member
from talka_core.resource.lines import shortness
from talka_core.resource.placement import Need, claim_of, may_run
from talka_core.resource.shared import is_free, own_of
from talka_core.resource.state import Amounts, Grant, Hold, PoolRecord, Request, WorkerEntry

PATIENCE_MS = 10_000
"""How long a request waits before a worker is held for it although nobody knows how long that takes.

What runs is also believed to end any moment for so long after it should have ended."""


class Backfill:
    """What may pass whom in one round of granting, where the best rank asks first."""

    def __init__(self, state: PoolRecord, shares: Shares, now_ms: int) -> None:
        self._state = state
        self._shares = shares
        self._head_share = 0.0
        self._now_ms = now_ms
        self._head: Request | None = None
        self._need: Need | None = None
        self._gang: Sequence[Member] = ()
        self._holds: list[Hold] = []
        self._booked = bookings.holds(state) if state.bookings else []
        self._is_known = False
        self._is_other_blocked = False

    def blocked(self, request: Request, need: Need) -> None:
        """Note that a request does not fit; the best that could ever fit a worker gets one held."""
        if self._matters(request) and _could_fit(self._state, request, need):
            if self._head is not None:
                self._is_other_blocked = True
                return
            self._head, self._need = request, need
            self._head_share = self._shares.of(request.terms.tenant)

    def blocked_gang(self, members: Sequence[Member]) -> None:
        """Note that a gang does not fit as a whole; the workers that it would go to are held for it."""
        request, need = members[0]
        if self._matters(request) and _could_fit_together(self._state, members):
            if self._head is not None:
                self._is_other_blocked = True
                return
            self._head, self._need, self._gang = request, need, members
            self._head_share = self._shares.of(request.terms.tenant)

    def _matters(self, request: Request) -> bool:
        """Tell whether anything would change if the request could fit a worker and does not."""
        return self._head is None or not (self._is_other_blocked or self._is_own(request))

    def is_settled(self, executions: set[str]) -> bool:
        """Tell whether more requests of these executions that do not fit would change nothing."""
        if self._head is None:
            return False
        if self._is_other_blocked:
            return True
        own = self._head.holder.execution_id
        return bool(own) and executions <= {own}

    def pointlessness(self) -> Callable[[Request], bool] | None:
        """Return what tells of whom not even a turn for nothing would change anything in this round.

        That is who is kept back by a quota, a limit or a circuit breaker, and as long as no worker
        is held also who would not fit if nothing ran there. It errs on one side only.
        """
        state = self._state
        checks: list[Callable[[Request], bool]] = []
        if state.circuits:
            checks.append(lambda one: not breaker.lets_start(state, one.agent_type))
        if (is_full := fullness(state)) is not None:
            checks.append(is_full)
        if self._head is None:
            checks.append(shortness(state, is_whole=True))
        return (lambda one: any(is_so(one) for is_so in checks)) if checks else None

    def shortness(self, request: Request) -> Callable[[Request], bool]:
        """Return what tells who can get nothing from the turn of this request on.

        It errs on one side only: the others may not fit either.
        """
        holds = self._holds
        if not (holds and self._is_other_blocked and self._is_behind(request)):
            return shortness(self._state)
        is_short = shortness(self._state, {hold.worker_id: hold.spare for hold in holds})
        return lambda one: is_short(one) and not any(self._is_over_in_time(one, hold) for hold in holds)

    def _is_behind(self, request: Request) -> bool:
        """Tell whether it is the turn of the request only after the head's."""
        rank = self._head.rank if self._head is not None else ()
        return (self._shares.of(request.terms.tenant), request.rank) >= (self._head_share, rank)

    def avoided(self, request: Request, need: Need) -> Collection[str]:
        """Return the workers that the request must leave alone: for a better one, or for what is booked."""
        if not self._booked:
            return self._held(request, need)
        into = (hold for hold in self._booked if bookings.runs_into(request, need, hold, self._now_ms))
        return [*self._held(request, need), *(hold.worker_id for hold in into)]

    def _held(self, request: Request, need: Need) -> Collection[str]:
        head = self._head
        if head is None:
            return ()
        if not self._is_behind(request):
            return ()
        if self._is_own(request) and not self._is_other_blocked and not head.cleared_on:
            return ()
        return [
            hold.worker_id
            for hold in self._known()
            if not self._is_over_in_time(request, hold) and not _is_enough(hold, need)
        ]

    def _is_own(self, request: Request) -> bool:
        own = self._head.holder.execution_id if self._head is not None else ""
        return bool(own) and request.holder.execution_id == own

    def granted(self, request: Request, need: Need, worker_id: str) -> None:
        """Count what a request that passed takes of what the head leaves."""
        for hold in (*self._holds, *self._booked):
            if hold.worker_id == worker_id and not self._is_over_in_time(request, hold):
                for name, amount in need.own:
                    if name in hold.spare:
                        hold.spare[name] -= amount

    def held_until(self) -> int:
        """Return when the head probably begins (milliseconds), 0 if nobody knows."""
        return max((hold.until for hold in self._holds), default=0)

    def _is_over_in_time(self, request: Request, hold: Hold) -> bool:
        return 0 < request.estimate_ms <= hold.until - self._now_ms

    def _known(self) -> list[Hold]:
        """Return the holds; they are worked out only when somebody else's request might need them."""
        if not self._is_known and self._head is not None and self._need is not None:
            self._is_known = True
            if self._gang:
                self._holds = _holds_for_gang(self._state, self._head, self._gang, self._now_ms)
            elif hold := _hold_for(self._state, self._head, self._need, self._now_ms):
                self._holds = [hold]
        return self._holds


def _is_enough(hold: Hold, need: Need) -> bool:
    return all(hold.spare[name] >= amount for name, amount in need.own if name in hold.spare)


def _could_fit_together(state: PoolRecord, members: Sequence[Member]) -> bool:
    """Tell whether a gang would fit if nothing ran on the workers."""
    capacities = {worker_id: dict(entry.capacity) for worker_id, entry in state.workers.items()}
    return gangs.placed(state, members, (), capacities) is not None


def _holds_for_gang(state: PoolRecord, head: Request, members: Sequence[Member], now_ms: int) -> list[Hold]:
    """Return the workers that the gang can have first, as far as anybody knows.

    What runs is let end in the order of its estimates until the gang fits; where
    nobody knows, its workers are held in phases, as for a single request.
    """
    running = [grant for grant in state.grants.values() if not grant.is_revoked]
    estimated = sorted((g for g in running if not _is_unknown(g, now_ms)), key=lambda grant: grant.ends_at)

    def place_after(count: int) -> list[str] | None:
        return gangs.placed(state, members, (), _freed(state, estimated[:count]))

    count = bisect_left(range(len(estimated) + 1), True, key=lambda count: place_after(count) is not None)
    if workers := place_after(count) if count <= len(estimated) else None:
        until = max(now_ms, estimated[count - 1].ends_at) if count else now_ms
        return _holds_on(state, members, workers, _freed(state, estimated[:count]), until)
    if not _is_holding(now_ms - head.queued_at if head.queued_at else 0):
        return []
    tasks = [grant for grant in running if not _is_unknown(grant, now_ms) or grant.holder.execution_id]
    workers = gangs.placed(state, members, (), _freed(state, tasks))
    return _holds_on(state, members, workers, _freed(state, ()), 0) if workers else []


def _freed(state: PoolRecord, grants: Sequence[Grant]) -> Frees:
    """Return what is free on each worker when these have ended."""
    free = {worker_id: dict(entry.free) for worker_id, entry in state.workers.items()}
    for grant in grants:
        _release_on(free, state, grant)
    return free


def _holds_on(
    state: PoolRecord, members: Sequence[Member], workers: Sequence[str], free: Frees, until: int
) -> list[Hold]:
    for (_, need), worker_id in zip(members, workers, strict=True):
        for name, amount in gangs.claim_on(state.workers[worker_id], need):
            free[worker_id][name] = free[worker_id].get(name, 0) - amount
    return [
        Hold(worker_id, until, {name: max(0, left) for name, left in free[worker_id].items()})
        for worker_id in sorted(set(workers))
    ]


def _release_on(free: Frees, state: PoolRecord, grant: Grant) -> None:
    entry = state.workers.get(grant.worker_id)
    if entry is not None and entry.incarnation == grant.incarnation:
        for name, amount in claim_of(entry, grant.agent_type, own_of(grant.amounts, grant.shared)).items():
            free[grant.worker_id][name] = free[grant.worker_id].get(name, 0) + amount


def _hold_for(state: PoolRecord, head: Request, need: Need, now_ms: int) -> Hold | None:
    """Return the worker that the request can have first, as far as anybody knows."""
    cleared = state.workers.get(head.cleared_on)
    if cleared is not None and may_run(cleared, need):
        # What makes way there does so for this one alone.
        return Hold(head.cleared_on, 0, _spare({}, need))
    running: dict[str, list[Grant]] = {}
    for grant in state.grants.values():
        if not grant.is_revoked:
            running.setdefault(grant.worker_id, []).append(grant)
    holds = [
        hold
        for worker_id, entry in state.workers.items()
        if may_run(entry, need) and labels.admits(entry, head.affinity)
        for hold in _holds(worker_id, entry, need, running.get(worker_id, []), now_ms)
    ]
    if known := [hold for hold in holds if hold.until]:
        return min(known, key=lambda hold: (hold.until, hold.worker_id))
    if holds and _is_holding(now_ms - head.queued_at if head.queued_at else 0):
        return min(holds, key=lambda hold: (-sum(hold.spare.values()), hold.worker_id))
    return None


def _could_fit(state: PoolRecord, request: Request, need: Need) -> bool:
    """Tell whether more free on some worker would do, and it is not the pool that is short."""
    return is_free(state, need.shared) and any(
        may_run(entry, need) and labels.admits(entry, request.affinity) and _leaves(entry.capacity, need)
        for entry in state.workers.values()
    )


def _holds(worker_id: str, entry: WorkerEntry, need: Need, running: list[Grant], now_ms: int) -> list[Hold]:
    """Return how the worker would be held, if what runs on it ends some time and leaves enough."""
    free = dict(entry.free)
    estimated = sorted((g for g in running if not _is_unknown(g, now_ms)), key=lambda grant: grant.ends_at)
    for grant in estimated:
        _release(free, entry, grant)
        if _leaves(free, need):
            return [Hold(worker_id, max(now_ms, grant.ends_at), _spare(free, need))]
    for grant in running:
        # A client may keep what it holds for ever; a task ends, and then the next round begins.
        if _is_unknown(grant, now_ms) and grant.holder.execution_id:
            _release(free, entry, grant)
    return [Hold(worker_id, 0, _spare(entry.free, need))] if _leaves(free, need) else []


def _is_unknown(grant: Grant, now_ms: int) -> bool:
    """Tell whether nobody knows when it ends, or it should have ended long ago."""
    return grant.ends_at + PATIENCE_MS < now_ms if grant.ends_at else True


def _release(free: Amounts, entry: WorkerEntry, grant: Grant) -> None:
    if grant.incarnation == entry.incarnation:
        for name, amount in claim_of(entry, grant.agent_type, own_of(grant.amounts, grant.shared)).items():
            free[name] = free.get(name, 0) + amount


def _leaves(free: Amounts, need: Need) -> bool:
    return all(free.get(name, 0) >= amount for name, amount in need.own)


def _spare(free: Amounts, need: Need) -> Amounts:
    return {name: max(0, free.get(name, 0) - amount) for name, amount in need.own}


def _is_holding(waited_ms: int) -> bool:
    return waited_ms >= PATIENCE_MS and int(log2(waited_ms / PATIENCE_MS)) % 2 == 0
