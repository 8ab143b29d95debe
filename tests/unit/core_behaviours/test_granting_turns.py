"""Goal: a round of granting spends no time on each of thousands that can get nothing.

Method: many requests wait of which no two are alike, for different reasons, while something is free.
How often one of them has its turn when one that runs ends is counted, as time is not the same everywhere.
"""

from __future__ import annotations

from random import Random
from unittest.mock import patch

import pytest

from talka_core.behaviour import step, step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.narrowing import PATIENCE, Narrowing
from talka_protocols import messages as m
from talka_protocols.events import Holder, Terms

WAITING = 300


def asked(why: str, number: int, random: Random) -> m.RequestAllocation:
    """Return a request like no other, which has to wait for some reason once a few like it run."""
    amounts = {"cpu_cores": float(random.choice((1, 2, 4))), "memory_mb": 1.0 + number}
    terms = Terms(tenant=f"t{number % 3}")
    if why == "limit":
        terms = Terms(limits={"cpu_cores": 4.0})
    elif why == "key":
        amounts = {"cpu_cores": 1.0, "memory_mb": 1.0 + number, f"key:k{number % 4}/1": 1.0}
    elif why == "size":
        amounts["cpu_cores"] = 100.0 if number % 8 else 1.0
    elif why == "gang":
        terms = Terms(gang=f"e/g{number // 2}", members=2)
        amounts["cpu_cores"] *= 2
    holder = Holder(f"e{number % 5}" if why != "gang" else "e", f"t{number}", 1)
    rank = (float(why == "size" and not number % 8), random.random())
    return m.RequestAllocation("p", f"a{number}", holder, "work", amounts, rank, terms=terms)


def crowded(why: str) -> PoolRecord:
    """Return a pool in which as much runs as may."""
    state, random = RESOURCE.initial("p"), Random(WAITING)
    quotas = {f"t{number}": {"cpu_cores": 4.0} for number in range(3)} if why == "quota" else {}
    step(RESOURCE, state, m.ConfigurePool("p", {}, quotas=quotas), 1)
    for number in range(4):
        capacity = {"cpu_cores": 8.0, "memory_mb": 2_000.0}
        step(RESOURCE, state, m.RegisterWorker("p", f"w{number}", 1, ("work",), 99, capacity), 1)
    messages = [asked(why, number, random) for number in range(WAITING)]
    for _ in step_batch(RESOURCE, state, messages, 1):
        pass
    return state


@pytest.mark.parametrize("why", ["quota", "limit", "key", "size", "gang", "cores"])
def test_few_have_a_turn_for_nothing(why: str) -> None:
    """Whatever it is that they wait for, a few turns show that nobody else can get anything."""
    state = crowded(why)
    assert len(state.waiting) > WAITING * 2 / 3
    allocation_id, grant = next(iter(state.grants.items()))
    ended = m.ReleaseAllocation("p", allocation_id, grant.holder, grant.fence)
    with patch.object(Narrowing, "close", autospec=True, side_effect=Narrowing.close) as turns:
        assert list(step_batch(RESOURCE, state, [ended], 2))
    assert turns.call_count <= 3 * PATIENCE
