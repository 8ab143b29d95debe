"""Judges by a pool's events alone whose turn it was among its tenants.

F1 whoever is granted something had no more of the pool, by weight, than another tenant that goes on
waiting for the very same. Only that is judged: what asks for something else may not have fitted, and
gangs, reservations, deadlines, quotas and limits have turns of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from talka_chaos.gangs import single
from talka_core.keys import is_keyed
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.events import Terms
from talka_protocols.subjects import LogName

MARGIN = 1e-9


class Standings(Struct):
    """What a pool has, who has how much of it, and who waits for what."""

    workers: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    shared: Counter[str] = field(default_factory=Counter[str])
    weights: dict[str, float] = {}
    quotas: dict[str, dict[str, float]] = {}
    live: dict[str, tuple[str, Counter[str]]] = field(default_factory=dict[str, tuple[str, Counter[str]]])
    waiting: dict[str, e.AllocationQueued] = field(default_factory=dict[str, e.AllocationQueued])

    def take(self, event: Any) -> None:
        """Remember one event."""
        match event:
            case e.PoolConfigured():
                self.shared = _thousandths(event.shared)
                self.weights, self.quotas = event.weights, event.quotas
            case e.WorkerJoined():
                self.workers[event.worker_id] = _thousandths({**event.capacity, "slots": event.slots})
            case e.WorkerLost():
                self.workers.pop(event.worker_id, None)
            case e.AllocationQueued():
                self.waiting[event.allocation_id] = event
            case e.RequestPromoted():
                self.waiting[event.allocation_id] = replace(
                    self.waiting[event.allocation_id], rank=event.rank
                )
            case e.AllocationGranted():
                self.waiting.pop(event.allocation_id, None)
                self.live[event.allocation_id] = event.terms.tenant, _claim(event)
            case e.AllocationFreed() | e.AllocationRevoked() | e.AllocationRefused():
                self.waiting.pop(event.allocation_id, None)
                self.live.pop(event.allocation_id, None)
            case _:
                pass

    def share(self, tenant: str) -> float:
        """Return the largest part that a tenant has of anything, by its weight."""
        whole = sum(self.workers.values(), Counter(self.shared))
        used: Counter[str] = Counter()
        for owner, claim in self.live.values():
            if owner == tenant:
                used.update(claim)
        parts = [amount / whole[name] for name, amount in used.items() if whole[name]]
        return max(parts, default=0.0) / self.weights.get(tenant, 1.0)


def fairness_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """F1 yield each grant to a tenant whose turn it was not."""
    standings = Standings()
    for number, commit in enumerate(commits):
        # What the next commit says no more of was on its way out of the queue already.
        leaving = _leaving(commits[number : number + 2])
        for version, _, event in single(commit.events()):
            if isinstance(event, e.AllocationGranted) and _is_judged(event.terms):
                for passed_over in _passed_over(standings, event, leaving):
                    yield f"F1 {log}: event {version} grants {event.allocation_id}, and {passed_over}"
            standings.take(event)


def _leaving(commits: list[Commit[Any]]) -> set[str]:
    over = (e.AllocationFreed, e.AllocationRefused)
    return {
        event.allocation_id
        for commit in commits
        for _, _, event in commit.events()
        if isinstance(event, over)
    }


def _passed_over(standings: Standings, granted: e.AllocationGranted, leaving: set[str]) -> Iterator[str]:
    """Yield which tenants had less, and wait for the same: the best of each, which may hold up its others."""
    ours = granted.terms.tenant
    wanted = _wanted(granted)
    first: dict[str, e.AllocationQueued] = {}
    for asked in standings.waiting.values():
        best = first.get(asked.terms.tenant)
        if _wanted(asked) == wanted and (best is None or asked.rank < best.rank):
            first[asked.terms.tenant] = asked
    for theirs, asked in first.items():
        if theirs == ours or theirs in standings.quotas or not _is_judged(asked.terms):
            continue
        if asked.allocation_id in leaving or asked.affinity.requires:
            continue
        if not _is_over_sooner(asked, granted):
            # It might run into what a better request is about to get, where the other one does not.
            continue
        least, most = standings.share(theirs), standings.share(ours)
        if least < most - MARGIN:
            yield f"{asked.allocation_id} of {theirs!r} waits at {least:.3f}, not at {most:.3f}"


def _is_over_sooner(asked: e.AllocationQueued, granted: e.AllocationGranted) -> bool:
    return not granted.estimate_ms or 0 < asked.estimate_ms <= granted.estimate_ms


def _is_judged(terms: Terms) -> bool:
    return not (terms.gang or terms.reservation or terms.start_by or terms.limits)


def _wanted(event: e.AllocationGranted | e.AllocationQueued) -> bytes:
    return msgspec.json.encode((event.agent_type, event.amounts), order="sorted")


def _claim(event: e.AllocationGranted) -> Counter[str]:
    amounts = {name: amount for name, amount in event.amounts.items() if not is_keyed(name)}
    return _thousandths(amounts | ({"slots": 1.0} if event.agent_type else {}))


def _thousandths(amounts: dict[str, float]) -> Counter[str]:
    return Counter({name: round(1000 * amount) for name, amount in amounts.items()})
