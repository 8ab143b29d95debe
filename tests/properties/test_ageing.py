"""Goal: nothing starves in a pool, however many executions of a higher priority come after it.

Method: one slot is kept busy by a stream of executions that are better by their priority; each begins before
the slot is free again, so that without ageing the one in question would never get its turn.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.ageing import POINT_S, aged
from talka_core.behaviour import step
from talka_core.resource import RESOURCE
from talka_core.resource.state import PoolRecord
from talka_protocols import messages as m
from talka_protocols.events import AllocationGranted, Holder


class Pool:
    """A pool with one slot, in virtual time."""

    def __init__(self) -> None:
        self.now_ms = 1_795_000_000_000
        self.state: PoolRecord = RESOURCE.initial("p")
        self.held: list[str] = []
        self.tell(m.RegisterWorker("p", "w", 1, ("work",), 1, {}))

    def tell(self, message: m.ResourceMessage) -> None:
        """Deliver a message, and note what was granted."""
        for event in step(RESOURCE, self.state, message, self.now_ms)[0]:
            if isinstance(event, AllocationGranted):
                self.held.append(event.holder.execution_id)

    def ask(self, name: str, priority: int) -> None:
        """Let an execution that begins now ask for the slot."""
        rank = aged((float(-priority), 0.0, 0.0), self.now_ms)
        self.tell(m.RequestAllocation("p", f"{name}/a/1", Holder(name, "a", 1), "work", {}, rank))

    def free(self, name: str) -> None:
        """Let an execution give the slot back."""
        self.tell(m.ReleaseAllocation("p", f"{name}/a/1", Holder(name, "a", 1)))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    low=st.integers(0, 99), ahead=st.integers(1, 100), seconds=st.integers(5, 60), queued=st.integers(1, 4)
)
def test_nothing_starves(low: int, ahead: int, seconds: int, queued: int) -> None:
    """A request gets its turn once it has waited 30 s for each point that it is behind."""
    high = min(100, low + ahead)
    pool = Pool()
    began_ms = pool.now_ms
    names = [f"high{number}" for number in range(queued + 1)]
    for name in names:
        pool.ask(name, high)
    pool.ask("low", low)
    while "low" not in pool.held:
        pool.now_ms += 1000 * seconds
        names.append(f"high{len(names)}")
        pool.ask(names[-1], high)
        pool.free(pool.held[-1])
    waited_s = (pool.now_ms - began_ms) / 1000
    fair_s = POINT_S * (high - low)
    # Those of the same whole point, and those that asked before the turn came, may still go first.
    assert waited_s <= fair_s + POINT_S + (queued + 2 + POINT_S / seconds) * seconds
    assert waited_s >= min(fair_s - POINT_S, seconds)


@pytest.mark.parametrize(
    ("later_s", "is_first"), [(0, False), (29, False), (POINT_S * 10, False), (POINT_S * 11, True)]
)
def test_an_older_execution_gains_on_newer_ones(later_s: int, is_first: bool) -> None:
    """Ten points are made up for by ten times the seconds of a point, and then it goes first."""
    old, new = aged((-40.0, 5.0), 0), aged((-50.0, 1.0), later_s * 1000)
    assert (old < new) is is_first


def test_age_does_not_change_the_order_within_an_execution() -> None:
    """All tasks of an execution are as old as it is."""
    ranks = [(-50.0, 3.0, 1.0), (-90.0, 9.0, 0.0), (-50.0, 2.0, 7.0)]
    assert sorted(ranks) == sorted(ranks, key=lambda rank: aged(rank, 1_795_000_123_456))
