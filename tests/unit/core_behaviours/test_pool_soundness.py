"""Numbers that make no sense, workers that contradict themselves, and requests that nobody can ever meet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core_behaviours.test_pool_shared import Pool

from talka_core.behaviour import Alert, Send
from talka_core.resource.placement import shortage
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder

HOLDER = Holder("e", "t", 1)
SENSELESS: list[Any] = [
    m.RequestAllocation("p", "a", HOLDER, "work", {"cpu_cores": -5.0}),
    m.RequestAllocation("p", "a", HOLDER, "work", {"cpu_cores": float("nan")}),
    m.RegisterWorker("p", "liar", 1, ("work",), 4, {"cpu_cores": -1.0}),
    m.RegisterWorker("p", "liar", 1, ("work",), -4, {}),
    m.RegisterWorker("p", "liar", 1, ("work",), 4, {"cpu_cores": float("inf")}),
    m.RegisterWorker("p", "liar", 1, ("work",), 4, {}, {"work": -1}),
    m.ReserveResources("p", "r", "c", {"licence": -1.0}),
    m.ConfigurePool("p", {"licence": -1.0}),
    m.ConfigurePool("p", {}, {"cpu_cores": float("nan")}),
]


@pytest.mark.parametrize("message", SENSELESS, ids=lambda message: type(message).__name__)
def test_senseless_numbers_make_nothing_happen(message: Any) -> None:
    """The operator is told each time, and a client that waits gets its answer."""
    pool = Pool()
    before = pool.state.version
    assert pool.tell(message) == []
    assert pool.state.version == before
    alert, *answers = pool.effects
    assert isinstance(alert, Alert)
    assert "which is no amount" in alert.sentence
    is_answered = isinstance(message, m.ReserveResources)
    assert [isinstance(answer, Send) for answer in answers] == [True] * is_answered


@given(st.dictionaries(st.sampled_from(["cpu_cores", "licence", "x"]), st.floats(), max_size=3))
def test_no_amounts_upset_the_accounting(amounts: dict[str, float]) -> None:
    """Whatever numbers are asked for, the pool's invariants hold (they are checked after every message)."""
    pool = Pool()
    pool.tell(m.RequestAllocation("p", "a", HOLDER, "work", amounts))
    pool.tell(m.ReserveResources("p", "r", "c", amounts))
    pool.tell(m.ReleaseAllocation("p", "a", HOLDER))


def test_a_worker_that_changes_its_offer_is_taken_at_its_first_word() -> None:
    """The same incarnation with another capacity changes nothing; a new one replaces the old."""
    pool = Pool()
    larger = m.RegisterWorker("p", "w1", 1, ("work",), 16, {"cpu_cores": 99.0})
    assert pool.tell(larger) == []
    assert pool.state.workers["w1"].capacity["cpu_cores"] == 2_000
    again = m.RegisterWorker("p", "w1", 2, ("work",), 16, {"cpu_cores": 3.0})
    assert [type(event) for event in pool.tell(again)] == [e.WorkerLost, e.WorkerJoined]
    assert pool.state.workers["w1"].capacity["cpu_cores"] == 3_000


def test_what_nobody_can_ever_meet_names_the_nearest_worker() -> None:
    """The reason says which worker comes nearest, and what exactly it lacks."""
    pool = Pool()
    pool.tell(m.RegisterWorker("p", "big", 1, ("work",), 4, {"cpu_cores": 8.0, "gpu_count": 1.0}))
    assert shortage(pool.state, "work", {"cpu_cores": 10.0, "gpu_count": 1.0}) == (
        "cpu_cores: 10 asked, 8 there, 2 short. No worker of pool 'p' can ever meet it; 'big' comes nearest."
    )
    assert "unheard_of: 1 asked, 0 there, 1 short." in shortage(pool.state, "work", {"unheard_of": 1.0})


def test_what_is_only_busy_is_no_impossibility() -> None:
    """A request that fits an empty worker is told what is short now."""
    pool = Pool()
    pool.ask("a", cpu_cores=2.0)
    pool.ask("b", cpu_cores=2.0)
    assert shortage(pool.state, "work", {"cpu_cores": 1.0}).startswith("cpu_cores: 1 asked, at most 0 free")


def test_an_amount_beyond_all_bounds_is_senseless() -> None:
    """What would overflow in thousandths is refused like what is no number."""
    pool = Pool()
    assert pool.tell(m.RequestAllocation("p", "a", HOLDER, "work", {"cpu_cores": 1e308})) == []
