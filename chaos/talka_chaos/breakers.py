"""Circuit breakers of a world's pool, and what its log must say of them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec import Struct, field

from talka_chaos.gangs import single
from talka_chaos.graphs import AGENT_TYPE
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.policies import Breaker
from talka_protocols.subjects import LogName


def drawn_breakers(seed: int) -> dict[str, Breaker]:
    """Return the breakers of one seed: none, or one that opens easily; nothing else of the seed changes."""
    random = Random(f"breakers {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() < 0.4:
        return {}
    within_ms, open_ms = random.choice((5_000, 60_000)), random.choice((500, 2_000, 10_000))
    return {AGENT_TYPE: Breaker(random.choice((1, 1, 2)), within_ms, open_ms, random.choice((1, 1, 2)))}


def drawn_outage(seed: int) -> tuple[float, float]:
    """Return the virtual seconds between which every attempt fails, in worlds that have breakers."""
    random = Random(f"outage {seed}")  # noqa: S311
    begins_s = random.uniform(1.0, 5.0)
    return begins_s, begins_s + (random.uniform(5.0, 25.0) if drawn_breakers(seed) else 0.0)


class _Seen(Struct):
    """What the log has said of one agent type."""

    phase: str = "closed"
    failures: list[int] = field(default_factory=list[int])
    opened_at: int = 0
    probes: set[str] = field(default_factory=set[str])
    has_failed: bool = False


def breaker_findings(log: LogName, commits: list[Commit[Any]]) -> Iterator[str]:
    """Say what is wrong with the breakers of a pool's log.

    K1 nothing of a type is granted while it is open, or after a probe has
    failed; K2 it opens and closes for its reasons; K3 it half opens in its time:
    a new owner counts that anew, so it is the least; K4 nothing that was granted
    before it opened may still be handed on when it half opens.
    """
    permits: dict[str, tuple[int, int]] = {}
    rules: dict[str, Breaker] = {}
    seen: dict[str, _Seen] = {}
    types: dict[str, str] = {}
    for commit in commits:
        for version, _, event in single(commit.events()):
            match event:
                case e.PoolConfigured():
                    rules = event.breakers
                    seen = {name: known for name, known in seen.items() if name in rules}
                case e.AllocationGranted():
                    types[event.allocation_id] = event.agent_type
                    permits[event.allocation_id] = event.fence, event.fence + event.hands
                    known = seen.setdefault(event.agent_type, _Seen())
                    if known.phase == "half_open":
                        known.probes.add(event.allocation_id)
                    if known.phase == "open" or known.has_failed:
                        yield f"K1 {log}: event {version} grants {event.agent_type}, whose breaker is open"
                    if known.phase != "closed" and event.hands:
                        yield f"K1 {log}: event {version} lets a probe be handed on"
                case e.AllocationFreed() | e.AllocationHolderChanged():
                    _end(permits, event)
                    if event.failed:
                        known = seen.setdefault(types[event.allocation_id], _Seen())
                        known.failures += [commit.at] * event.failed
                        known.has_failed |= event.allocation_id in known.probes
                case e.AllocationPermitWithdrawn():
                    permits.pop(event.allocation_id, None)
                case e.BreakerOpened():
                    known, rule = seen.setdefault(event.agent_type, _Seen()), rules[event.agent_type]
                    recent = [at for at in known.failures if known.failures[-1] - at < rule.within_ms]
                    is_due = len(recent) >= rule.failures or (known.phase == "half_open" and recent)
                    if not is_due:
                        yield f"K2 {log}: event {version} opens after {recent}"
                    seen[event.agent_type] = _Seen("open", opened_at=commit.at)
                case e.BreakerHalfOpened():
                    known, rule = seen[event.agent_type], rules[event.agent_type]
                    if known.phase != "open" or commit.at - known.opened_at < rule.open_ms:
                        yield f"K3 {log}: event {version} half opens what is {known}"
                    seen[event.agent_type] = _Seen("half_open")
                    for left in [a for a, (now, last) in permits.items() if now < last]:
                        if types[left] == event.agent_type:
                            yield f"K4 {log}: {left} may be handed on still when event {version} half opens"
                case e.BreakerClosed():
                    if len(seen[event.agent_type].probes) < rules[event.agent_type].probes:
                        yield f"K2 {log}: event {version} closes without its probes"
                    seen[event.agent_type] = _Seen()
                case _:
                    pass


def _end(permits: dict[str, tuple[int, int]], event: e.AllocationFreed | e.AllocationHolderChanged) -> None:
    """Forget the permit of what is gone, and count how often the rest was used."""
    if isinstance(event, e.AllocationHolderChanged) and event.allocation_id in permits:
        permits[event.allocation_id] = event.fence, permits[event.allocation_id][1]
    else:
        permits.pop(event.allocation_id, None)
