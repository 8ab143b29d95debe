"""Goal: what a pool must hold to when reservations are used, amounts are odd, or answers are lost.

Method: each is a short sequence that generated histories or reading once found.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from talka_core.behaviour import Effect, Send, step
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.state import shape_of, thousandths
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder


def _tell(state: PoolRecord, message: Any) -> tuple[list[Any], list[Effect]]:
    events, effects = step(RESOURCE, state, message, 1_000)
    return events, [effect for _, effect in effects]


def _pool(cores: float = 4.0) -> PoolRecord:
    state = RESOURCE.initial("p")
    _tell(state, m.RegisterWorker("p", "w1", 1, ("work",), 8, {"cpu_cores": cores}))
    return state


def _request(name: str, cores: float, reservation_id: str = "") -> m.RequestAllocation:
    holder = Holder(client_id="c")
    return m.RequestAllocation("p", name, holder, "work", {"cpu_cores": cores}, (), reservation_id)


@pytest.mark.parametrize("asked", [3.0, 4.5])
def test_using_a_reservation_never_takes_more_than_is_free(asked: float) -> None:
    """A request that asks for more than it had reserved waits instead of overloading the worker."""
    state = _pool()
    _tell(state, m.ReserveResources("p", "r", "c", {"cpu_cores": 1.0}))
    _tell(state, _request("other", 3.0))
    _tell(state, _request("mine", asked, "r"))
    assert "mine" in state.waiting
    assert all(free >= 0 for free in state.workers["w1"].free.values())


def test_rest_of_a_used_reservation_goes_to_who_waits() -> None:
    """What a reservation held beyond the request that used it is granted at once."""
    state = _pool()
    _tell(state, m.ReserveResources("p", "r", "c", {"cpu_cores": 4.0}))
    _tell(state, _request("waiting", 3.0))
    events, _ = _tell(state, _request("mine", 1.0, "r"))
    granted = [event.allocation_id for event in events if isinstance(event, e.AllocationGranted)]
    assert granted == ["mine", "waiting"]


def test_request_under_an_unknown_reservation_is_placed_like_any_other() -> None:
    """A request whose reservation is gone does not wait while there is room."""
    state = _pool()
    _tell(state, _request("mine", 1.0, "gone"))
    assert "mine" in state.grants


def test_holders_are_reminded() -> None:
    """Asked to advance with nothing to do, the pool says again who holds what, so that strays come back."""
    state = _pool()
    _tell(state, m.RequestAllocation("p", "e/a/1", Holder("e", "a", 1), "work"))
    events, effects = _tell(state, m.Advance("p"))
    assert not events
    assert [x.message.allocation_id for x in effects if isinstance(x, Send)] == ["e/a/1"]  # type: ignore[union-attr]


@given(st.integers(0, 10**12))
@example(8_418_272_140)
def test_thousandths_are_exact(amount: int) -> None:
    """An amount written with three decimals is held as exactly that many thousandths."""
    assert thousandths({"x": amount / 1000}) == {"x": amount}


def test_shapes_tell_close_amounts_apart() -> None:
    """Requests share a queue only when they ask for exactly the same."""
    assert shape_of("work", {"memory_mb": 1_000_001.0}) != shape_of("work", {"memory_mb": 1_000_002.0})
    assert shape_of("work", {"memory_mb": 1}) == shape_of("work", {"memory_mb": 1.0})
