"""Goal: telling apart what cannot fit first saves time and changes nothing of what a pool decides.

Method: two pools get the same messages. One gives every shape its turn in every round, which is the
rule as it is written; the other leaves out those that are short, and looks again after every turn for
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from talka_core.behaviour import step_batch
from talka_core.resource import RESOURCE, PoolRecord, backfill, lines, narrowing
from talka_core.resource.state import Request
from talka_protocols import messages as m
from talka_protocols.events import Affinity, Holder, Terms

WORKERS = ("w1", "w2", "w3")
ROUNDS = 60
SEEDS = 12


def passes_all(_state: PoolRecord, _held: object = None) -> Callable[[Request], bool]:
    """Find nobody short, so that each gets its turn."""
    return lambda _request: False


def tells_nothing(_: backfill.Backfill) -> None:
    """Know of nobody whose turn would change nothing."""


REAL_SHORTNESS, REAL_IS_PASSED = lines.shortness, vars(lines)["_is_passed"]


def is_passed(state: PoolRecord, newcomers: list[Request]) -> bool:
    """Tell who takes part in a round as it is told in both pools: that is a rule, and no short cut."""
    with patch.object(lines, "shortness", REAL_SHORTNESS):
        return bool(REAL_IS_PASSED(state, newcomers))


def in_full(state: PoolRecord, messages: list[Any], now_ms: int) -> list[Any]:
    """Return what the pool decides when every shape gets its turn."""
    with ExitStack() as patches:
        for module in (lines, backfill):
            patches.enter_context(patch.object(module, "shortness", passes_all))
        patches.enter_context(patch.object(lines, "_is_passed", is_passed))
        patches.enter_context(patch.object(backfill.Backfill, "pointlessness", tells_nothing))
        return [(place, events) for place, events, _ in step_batch(RESOURCE, state, messages, now_ms)]


def in_short(state: PoolRecord, messages: list[Any], now_ms: int) -> list[Any]:
    """Return what the pool decides as it really does, but looking again most often."""
    with patch.object(narrowing, "PATIENCE", 1), patch.object(narrowing, "PART", 1_000_000):
        return [(place, events) for place, events, _ in step_batch(RESOURCE, state, messages, now_ms)]


def joined(random: Random, worker_id: str, incarnation: int) -> m.RegisterWorker:
    """Return the registration of a worker of some size."""
    capacity = {"cpu_cores": random.choice((4.0, 8.0)), "memory_mb": random.choice((64.0, 256.0))}
    zone = {"zone": random.choice("ab")}
    types = ("x", "y") if random.random() < 0.7 else ("x",)
    own = {"x": 2} if random.random() < 0.3 else {}
    return m.RegisterWorker(
        "p", worker_id, incarnation, types, random.choice((2, 9)), capacity, slots_by_agent=own, labels=zone
    )


def asked(random: Random, number: int) -> list[Any]:
    """Return a request, or those of a gang."""
    of = random.choice(("e1", "e2", "e3", ""))
    members = 2 if of and random.random() < 0.1 else 0
    terms = Terms(
        tenant=random.choice(("default", "t2")) if random.random() < 0.5 else "default",
        limits={"cpu_cores": 6.0} if of == "e3" else {},
        gang=f"{of}/g{number}" if members else "",
        members=members,
    )
    affinity = Affinity(requires={"zone": "a"}) if random.random() < 0.2 else Affinity()
    found: list[Any] = []
    for member in range(members or 1):
        amounts = {
            "cpu_cores": random.choice((0.0, 1.0, 3.0, 8.0, 16.0)),
            "memory_mb": random.choice((1.5, 40.0, 200.0)) + random.choice((0.0, number / 64)),
        }
        if random.random() < 0.2:
            amounts[random.choice(("licence", "key:k/2"))] = 1.0
        name = f"a{number}.{member}"
        holder = Holder(of, name, 1) if of else Holder(client_id="c")
        rank = (float(random.randrange(4)), float(number))
        agent_type, estimate_ms = random.choice("xxy"), random.choice((0, 500, 9_000))
        found.append(
            m.RequestAllocation(
                "p",
                name,
                holder,
                agent_type,
                amounts,
                rank,
                "",
                affinity,
                estimate_ms=estimate_ms,
                terms=terms,
            )
        )
    return found


def drawn(random: Random, state: PoolRecord, number: int) -> list[Any]:
    """Return messages that may reach the pool together."""
    messages: list[Any] = []
    for at in range(random.choice((1, 1, 3, 8))):
        kind = random.random()
        if kind < 0.55:
            messages += asked(random, 100 * number + at)
        elif kind < 0.85 and state.grants:
            name, grant = random.choice(list(state.grants.items()))
            messages.append(m.ReleaseAllocation("p", name, grant.holder, grant.fence))
        elif kind < 0.9:
            messages.append(joined(random, random.choice(WORKERS), number + 2))
        elif kind < 0.93 and state.workers:
            worker_id, entry = random.choice(list(state.workers.items()))
            messages.append(m.DrainWorker("p", worker_id, entry.incarnation))
        elif kind < 0.96:
            starts_at = number * 3_000 + random.randrange(20_000)
            messages.append(
                m.ReserveResources(
                    "p", f"r{number}.{at}", "c", {"cpu_cores": 3.0}, ttl_ms=5_000, starts_at=starts_at
                )
            )
        else:
            messages.append(m.Advance("p"))
    return messages


@pytest.mark.parametrize("seed", range(SEEDS))
def test_leaving_out_what_is_short_changes_no_decision(seed: int) -> None:
    """Both pools record the same facts, in the same order and with the same causes."""
    random = Random(seed)
    full, short = RESOURCE.initial("p"), RESOURCE.initial("p")
    quotas = {"t2": {"cpu_cores": 9.0}} if seed % 2 else {}
    messages: list[Any] = [m.ConfigurePool("p", {"licence": 2.0}, quotas=quotas)]
    messages += [joined(random, worker_id, 1) for worker_id in WORKERS]
    for number in range(ROUNDS):
        now_ms = 1 + number * 3_000
        assert in_full(full, messages, now_ms) == in_short(short, messages, now_ms)
        messages = drawn(random, full, number)
    assert full == short
