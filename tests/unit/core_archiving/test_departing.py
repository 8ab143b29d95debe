"""Which workers a pool knows: those that are there or were lost, and those that something is held on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from talka_core.archiving import is_known
from talka_core.resource import PoolRecord
from talka_core.resource.state import Booking, Grant, HeldBack, Reservation, WorkerEntry
from talka_protocols.events import Holder

WAYS: dict[str, Callable[[], PoolRecord]] = {
    "there": lambda: PoolRecord("p", workers={"w": WorkerEntry(1, ("sleep",), {}, {})}),
    "lost": lambda: PoolRecord("p", lost={"w": 1}),
    "granted": lambda: PoolRecord("p", grants={"a": Grant(Holder("e", "t", 1), "sleep", "w", 1, {}, 1)}),
    "reserved": lambda: PoolRecord("p", reservations={"r": Reservation("c", "w", {}, 1)}),
    "booked": lambda: PoolRecord("p", bookings={"b": Booking("c", "w", {}, 1, 2)}),
    "held back": lambda: PoolRecord("p", held_back={"1": HeldBack({}, 1, 2, "w", 1)}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_is_known_in_every_way(way: str) -> None:
    pool = WAYS[way]()
    assert is_known(pool, "w")
    assert not is_known(pool, "other")


def test_a_worker_that_nothing_names_is_not_known() -> None:
    assert not is_known(PoolRecord("p"), "w")
