"""Goal: who does not get what it asked for is told, by the event that it waits, what it lost.

Method: pools in which one thing is short, one request too many, and the reason in its event.
"""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.behaviour import step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Affinity, Holder, Terms
from talka_protocols.policies import Breaker
from talka_protocols.states import Health

CORE = {"cpu_cores": 1.0}


class Pool:
    """A pool with one worker of two cores and four slots, on which one core is in use."""

    def __init__(self, **settings: Any) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.tell(m.ConfigurePool("p", **settings))
        capacity = {"cpu_cores": 2.0, "memory_mb": 100.0}
        self.tell(m.RegisterWorker("p", "w", 1, ("work", "fragile"), 4, capacity, {"fragile": 1}))

    def tell(self, *messages: Any) -> list[e.AllocationQueued]:
        """Take messages that arrive together, and return what has to wait."""
        stepped = [events for _, events, _ in step_batch(RESOURCE, self.state, messages, 1_000)]
        return [event for events in stepped for event in events if isinstance(event, e.AllocationQueued)]

    def reason(self, *asked: m.RequestAllocation) -> str:
        """Ask for all of it together, and return why the last of it waits."""
        return self.tell(*asked)[-1].reason


def ask(name: str, amounts: dict[str, float], agent_type: str = "work", **more: Any) -> m.RequestAllocation:
    """Return a request; ``of`` names its execution, the rest are its terms."""
    affinity, of = more.pop("affinity", Affinity()), more.pop("of", name)
    estimate_ms = more.pop("estimate_ms", 0)
    holder = Holder(of, name, 1)
    return m.RequestAllocation(
        "p",
        name,
        holder,
        agent_type,
        amounts,
        (0.0,),
        affinity=affinity,
        estimate_ms=estimate_ms,
        terms=Terms(**more),
    )


@pytest.mark.parametrize(
    ("settings", "asked", "reason"),
    [
        ({}, [ask("a", CORE), ask("b", CORE), ask("c", CORE)], "short cpu_cores"),
        ({}, [ask("a", {"memory_mb": 60.0}), ask("b", {"memory_mb": 60.0})], "short memory_mb"),
        ({}, [ask(name, {}) for name in "abcde"], "short slots"),
        ({}, [ask("a", {}, "fragile"), ask("b", {}, "fragile")], "short slots"),
        ({"shared": {"licence": 1.0}}, [ask(name, {"licence": 1.0}) for name in "ab"], "shared licence"),
        ({"quotas": {"t": CORE}}, [ask(name, CORE, tenant="t") for name in "ab"], "quota cpu_cores"),
        ({}, [ask(name, CORE, limits=CORE, of="same") for name in "ab"], "limit cpu_cores"),
        ({}, [ask("a", {}, "unheard_of")], "no_worker"),
        ({}, [ask("a", {}, affinity=Affinity(requires={"zone": "z"}))], "no_worker"),
        ({}, [ask("a", CORE, gang="g", members=2)], "gang"),
        ({}, [ask("a", CORE, reservation="r")], "reservation"),
    ],
    ids=[
        "cores",
        "memory",
        "slots",
        "slots of the agent",
        "pool-wide",
        "quota",
        "limit",
        "type",
        "label",
        "gang",
        "reservation",
    ],
)
def test_what_is_short_is_named(
    settings: dict[str, Any], asked: list[m.RequestAllocation], reason: str
) -> None:
    """One thing after the other is what the last request lost."""
    assert Pool(**settings).reason(*asked) == reason


def test_a_breaker_is_named() -> None:
    """While it is open nobody gets anything, however much is free."""
    pool = Pool(breakers={"work": Breaker(failures=1)})
    pool.tell(ask("a", {}))
    fence = pool.state.grants["a"].fence
    pool.tell(m.ReleaseAllocation("p", "a", Holder("a", "a", 1), fence, (fence,), Health.BAD))
    assert pool.reason(ask("b", {})) == "breaker"


def test_who_would_fit_and_comes_later_waits_for_its_rank() -> None:
    """The free core is kept for the larger request that came first and would wait longer otherwise."""
    pool = Pool()
    pool.tell(ask("a", CORE, estimate_ms=10_000))
    assert pool.reason(ask("large", {"cpu_cores": 2.0})) == "short cpu_cores"
    assert pool.reason(ask("late", CORE, estimate_ms=60_000)) == "rank"
