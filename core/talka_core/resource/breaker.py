"""Circuit breakers: agent types that keep failing are not granted for a while, then tried by probes.

See M. Nygard, Release It! (2007), chapter 5. A breaker is closed, open or half
open. What fails is counted when the pool hears of it; requests of the type wait
meanwhile and never fail because of it. An allocation that is handed on is not
asked for, so opening calls back every permit of the type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from talka_core.resource.state import Circuit, Grant, PoolRecord
from talka_protocols.events import (
    AllocationFreed,
    AllocationGranted,
    AllocationPermitWithdrawn,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    PoolEvent,
)
from talka_protocols.messages import ReleaseAllocation
from talka_protocols.states import Health

BREAKER = "breaker/"
"""The timer after which an open breaker is half open, with the agent type behind it."""


# --- what may happen -----------------------------------------------------------------------------


def is_closed(state: PoolRecord, agent_type: str) -> bool:
    """Tell whether attempts of the type are granted and handed on as ever."""
    circuit = state.circuits.get(agent_type)
    return circuit is None or circuit.phase == "closed"


def lets_start(state: PoolRecord, agent_type: str) -> bool:
    """Tell whether an attempt of the type may be granted now."""
    circuit = state.circuits.get(agent_type)
    if circuit is None or circuit.phase == "closed":
        return True
    is_probing = circuit.phase == "half_open" and not circuit.has_failed
    return is_probing and len(circuit.probes) + circuit.successes < state.breakers[agent_type].probes


def lets_gang_start(state: PoolRecord, agent_type: str) -> bool:
    """Tell whether a gang with members of the type may be granted now: all of them are probes together.

    It may have more members than the breaker has probes left, and else would wait for ever: also where
    a probe has succeeded before, and nobody else is there to be another one.
    """
    circuit = state.circuits.get(agent_type)
    return lets_start(state, agent_type) and not (circuit and circuit.probes)


def shortage(state: PoolRecord, agent_type: str) -> str:
    """Say in one sentence why an attempt of the type may not be granted now; empty if it may."""
    if lets_start(state, agent_type):
        return ""
    circuit, rule = state.circuits[agent_type], state.breakers[agent_type]
    if circuit.phase == "open":
        how = f"The circuit breaker of agent type {agent_type!r} is open: {circuit.counted} attempts failed."
        return f"{how} {rule.probes} may try again {circuit.open_ms / 1000:g} s after it opened."
    return f"The circuit breaker of agent type {agent_type!r} is half open, and its probes are under way."


def news(state: PoolRecord, grant: Grant, failed: Collection[int]) -> int:
    """Count those of the failed attempts under a grant that were not counted before."""
    return sum(fence >= grant.fence for fence in failed) if grant.agent_type in state.breakers else 0


def freed(state: PoolRecord, allocation_id: str, said: ReleaseAllocation | None) -> AllocationFreed:
    """Return the end of an allocation or a request, with what its breaker counts of it."""
    grant = state.grants.get(allocation_id)
    if grant is None:
        request = state.waiting.get(allocation_id) or state.reserving[allocation_id]
        return AllocationFreed(allocation_id, request.holder)
    if said is None:
        return AllocationFreed(allocation_id, grant.holder)
    circuit = state.circuits.get(grant.agent_type)
    is_probe = circuit is not None and allocation_id in circuit.probes
    is_success = is_probe and said.health is Health.GOOD
    return AllocationFreed(allocation_id, grant.holder, news(state, grant, said.failed), is_success)


def settle(state: PoolRecord) -> Iterator[PoolEvent]:
    """Open and close what has counted enough, and call the permits back of what is not closed."""
    for agent_type, circuit in list(state.circuits.items()):
        rule = state.breakers[agent_type]
        if circuit.phase == "closed" and len(circuit.failures) >= rule.failures:
            yield BreakerOpened(agent_type, len(circuit.failures), rule.open_ms)
        elif circuit.phase == "half_open" and circuit.has_failed:
            yield BreakerOpened(agent_type, 1, rule.open_ms)
        elif circuit.phase == "half_open" and circuit.successes >= rule.probes:
            yield BreakerClosed(agent_type)
        if not is_closed(state, agent_type):
            yield from _withdraw_permits(state, agent_type)


def due(state: PoolRecord, agent_type: str, now_ms: int) -> Iterator[PoolEvent]:
    """Let an open breaker be half open when its time is over."""
    circuit = state.circuits.get(agent_type)
    if circuit is not None and circuit.phase == "open" and now_ms >= circuit.due_at:
        yield BreakerHalfOpened(agent_type)


def _withdraw_permits(state: PoolRecord, agent_type: str) -> Iterator[PoolEvent]:
    permitted = [allocation_id for permits in state.permits.values() for allocation_id in permits]
    for allocation_id in permitted:
        if state.grants[allocation_id].agent_type == agent_type:
            yield AllocationPermitWithdrawn(allocation_id)


# --- what has happened ---------------------------------------------------------------------------


def granted(state: PoolRecord, event: AllocationGranted) -> None:
    """Remember that a grant of a half-open type is a probe."""
    circuit = state.circuits.get(event.agent_type)
    if circuit is not None and circuit.phase == "half_open":
        circuit.probes[event.allocation_id] = None


def failed(state: PoolRecord, agent_type: str, count: int, at: int) -> None:
    """Remember failures, as many as the breaker looks at."""
    rule = state.breakers.get(agent_type)
    if rule is None or not count:
        return
    circuit = state.circuits.setdefault(agent_type, Circuit())
    if circuit.phase == "closed":
        recent = [instant for instant in circuit.failures if at - instant < rule.within_ms]
        circuit.failures = [*recent, *[at] * count][-rule.failures :]


def ended(state: PoolRecord, grant: Grant, event: AllocationFreed, at: int) -> None:
    """Remember what an allocation's end says."""
    failed(state, grant.agent_type, event.failed, at)
    circuit = state.circuits.get(grant.agent_type)
    if circuit is not None and event.allocation_id in circuit.probes:
        del circuit.probes[event.allocation_id]
        circuit.successes += event.is_success
        circuit.has_failed |= event.failed > 0


def moved(state: PoolRecord, event: BreakerOpened | BreakerHalfOpened | BreakerClosed, at: int) -> None:
    """Remember that a breaker opened, half opened or closed."""
    match event:
        case BreakerOpened():
            due_at = at + event.open_ms
            state.circuits[event.agent_type] = Circuit(
                "open", counted=event.failures, open_ms=event.open_ms, due_at=due_at
            )
        case BreakerHalfOpened():
            state.circuits[event.agent_type] = Circuit("half_open")
        case BreakerClosed():
            state.circuits.pop(event.agent_type, None)


def configured(state: PoolRecord) -> None:
    """Forget the breakers that are declared no longer."""
    for agent_type in [known for known in state.circuits if known not in state.breakers]:
        del state.circuits[agent_type]


def restart(state: PoolRecord, at: int) -> None:
    """Count the time of what is open anew, on the clock of the pool's new owner."""
    for circuit in state.circuits.values():
        if circuit.phase == "open":
            circuit.due_at = at + circuit.open_ms
