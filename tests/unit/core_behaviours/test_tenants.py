"""Tenants share a pool by their dominant shares, within quotas; executions stay within their own limits."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_chaos.invariants import check_pool
from talka_core.behaviour import step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.accounts import EXECUTION, TENANT, has_room, sentence, short_of, used_by
from talka_core.resource.fairness import share_of, whole_of
from talka_core.resource.placement import need_of, place
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder, Terms

Amounts = dict[str, float]


class Shared:
    """A pool whose tenants ask; what is granted is kept until it is released."""

    def __init__(self, capacity: Amounts, workers: int = 1, **settings: Any) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.granted: list[e.AllocationGranted] = []
        self.tell(m.ConfigurePool("p", **settings))
        for number in range(workers):
            self.tell(m.RegisterWorker("p", f"w{number}", 1, ("work",), 999, capacity))

    def tell(self, *messages: Any) -> None:
        """Take messages that arrive together."""
        for _, events, _ in step_batch(RESOURCE, self.state, messages, 1_000):
            self.granted += [event for event in events if isinstance(event, e.AllocationGranted)]
        check_pool(self.state)

    def ask(self, tenant: str, count: int, amounts: Amounts, rank: float = 0.0, **terms: Any) -> None:
        """Ask for so many alike, together."""
        asked = len(self.granted) + len(self.state.waiting)
        names = [f"{tenant}{asked + n}" for n in range(count)]
        of = terms.pop("of", tenant)
        self.tell(*(request(name, tenant, amounts, rank, of=of, **terms) for name in names))

    def release(self, granted: e.AllocationGranted) -> None:
        """Give an allocation back."""
        self.tell(m.ReleaseAllocation("p", granted.allocation_id, granted.holder))

    def share(self, tenant: str) -> float:
        """Return a tenant's weighted dominant share."""
        return share_of(self.state, tenant, whole_of(self.state))


def request(
    name: str, tenant: str, amounts: Amounts, rank: float = 0.0, of: str = "", **terms: Any
) -> m.RequestAllocation:
    """Return a request of a tenant."""
    about = Terms(tenant, **terms)
    return m.RequestAllocation(
        "p", name, Holder(of or tenant, name, 1), "work", amounts, (rank,), terms=about
    )


def test_each_tenant_gets_its_dominant_share() -> None:
    """The example of the paper: 9 cores, 18 GB; A asks for <1, 4>, B for <3, 1>: three of A, two of B."""
    pool = Shared({"cpu_cores": 9.0, "memory_mb": 18.0})
    asked = [request(f"a{n}", "a", {"cpu_cores": 1.0, "memory_mb": 4.0}) for n in range(9)]
    asked += [request(f"b{n}", "b", {"cpu_cores": 3.0, "memory_mb": 1.0}) for n in range(9)]
    pool.tell(*asked)
    assert Counter(event.terms.tenant for event in pool.granted) == {"a": 3, "b": 2}


def test_weight_counts_as_so_many_tenants() -> None:
    """A tenant of weight 3 has three times what one of weight 1 has."""
    pool = Shared({"cpu_cores": 8.0}, weights={"b": 3.0})
    pool.tell(*(request(f"{t}{n}", t, {"cpu_cores": 1.0}) for n in range(9) for t in "ab"))
    assert Counter(event.terms.tenant for event in pool.granted) == {"a": 2, "b": 6}


def test_a_freed_core_goes_to_the_tenant_with_the_least() -> None:
    """Who came late and has nothing is next, although all others asked before it at a better rank."""
    pool = Shared({"cpu_cores": 2.0})
    pool.ask("a", 4, {"cpu_cores": 1.0}, rank=0.0)
    pool.ask("b", 1, {"cpu_cores": 1.0}, rank=9.0)
    pool.release(pool.granted[0])
    assert [event.terms.tenant for event in pool.granted] == ["a", "a", "b"]


def test_within_a_tenant_the_rank_decides() -> None:
    """The strategy's order is untouched among requests of one tenant."""
    pool = Shared({"cpu_cores": 1.0})
    pool.tell(*(request(f"a{n}", "a", {"cpu_cores": 1.0}, rank=9.0 - n) for n in range(3)))
    assert [event.allocation_id for event in pool.granted] == ["a2"]


def test_quota_keeps_a_tenant_waiting_and_nobody_else() -> None:
    """Beyond its quota a tenant waits though there is room; the sentence says so; others take the room."""
    pool = Shared({"cpu_cores": 8.0}, quotas={"a": {"cpu_cores": 2.0}})
    pool.ask("a", 4, {"cpu_cores": 1.0})
    pool.ask("b", 4, {"cpu_cores": 1.0}, rank=9.0)
    assert Counter(event.terms.tenant for event in pool.granted) == {"a": 2, "b": 4}
    waiting = next(iter(pool.state.waiting.values()))
    short = next(short_of(pool.state, waiting))
    said = "cpu_cores: 1 asked, and tenant 'a' has 2 of its quota of 2."
    assert sentence(pool.state, waiting, short) == said
    pool.tell(m.ConfigurePool("p", quotas={"a": {"cpu_cores": 3.0}}))
    assert used_by(pool.state, f"{TENANT}a")["cpu_cores"] == 3_000


def test_slots_may_be_a_quota() -> None:
    """How many attempts run at once is bounded like any resource."""
    pool = Shared({"cpu_cores": 8.0}, quotas={"a": {"slots": 1.0}})
    pool.ask("a", 3, {})
    assert len(pool.granted) == 1


def test_limits_bound_one_execution() -> None:
    """An execution waits for its own allocations to end, and another of the same tenant does not."""
    pool = Shared({"cpu_cores": 8.0})
    pool.ask("a", 4, {"cpu_cores": 1.0}, of="x", limits={"cpu_cores": 2.0})
    pool.ask("a", 2, {"cpu_cores": 1.0}, of="y", limits={"cpu_cores": 2.0})
    held = Counter(event.holder.execution_id for event in pool.granted)
    assert held == {"x": 2, "y": 2}
    pool.release(pool.granted[0])
    assert used_by(pool.state, f"{EXECUTION}x") == {"cpu_cores": 2_000, "slots": 2_000}
    assert len(pool.granted) == 5


def test_lower_quota_calls_back_permits() -> None:
    """What was handed on among a tenant's tasks goes back to the pool, which knows the new quota."""
    pool = Shared({"cpu_cores": 8.0})
    pool.ask("a", 1, {"cpu_cores": 1.0})
    assert pool.state.permits
    pool.tell(m.ConfigurePool("p", quotas={"a": {"cpu_cores": 0.0}}))
    assert not pool.state.permits


@pytest.mark.parametrize(
    "message",
    [
        m.ConfigurePool("p", quotas={"a": {"cpu_cores": -1.0}}),
        m.ConfigurePool("p", quotas={"a": {"cpu_cores": float("nan")}}),
        m.ConfigurePool("p", weights={"a": 0.0}),
        request("x", "a", {"cpu_cores": 1.0}, limits={"cpu_cores": -1.0}),
    ],
)
def test_senseless_amounts_change_nothing(message: Any) -> None:
    """A quota, weight or limit that is no amount is told to the operator, and nothing happens for it."""
    state = RESOURCE.initial("p")
    assert not list(RESOURCE.decide(state, message, 1_000))


def test_accounts_of_an_old_snapshot_are_counted() -> None:
    """A state written before there were accounts counts its grants when the first of them changes."""
    pool = Shared({"cpu_cores": 8.0})
    pool.ask("a", 2, {"cpu_cores": 1.0})
    pool.state.accounts = None
    assert used_by(pool.state, f"{TENANT}a")["cpu_cores"] == 2_000
    pool.release(pool.granted[0])
    assert used_by(pool.state, f"{TENANT}a")["cpu_cores"] == 1_000


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_sharing_incentive(seed: int) -> None:
    """With enough to do, nobody has less than its part of the pool, up to one task."""
    random = Random(seed)
    tenants = "abcd"[: random.randint(2, 4)]
    weights = {tenant: float(random.randint(1, 3)) for tenant in tenants}
    pool = Shared({"cpu_cores": 60.0, "memory_mb": 60.0}, weights=weights)
    needs = {
        t: {"cpu_cores": float(random.randint(1, 3)), "memory_mb": float(random.randint(0, 3))}
        for t in tenants
    }
    pool.tell(*(request(f"{t}{n}", t, needs[t]) for n in range(70) for t in tenants))
    part = 1.0 / sum(weights.values())
    for tenant in tenants:
        one_task = max(needs[tenant].values()) / 60.0 / weights[tenant]
        # The last that does not fit may be the largest of another tenant.
        slack = one_task + 3.0 / 60.0
        assert pool.share(tenant) >= part - slack, (weights, needs, [pool.share(t) for t in tenants])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_never_over_quota_and_work_conserving(seed: int) -> None:
    """Whatever comes and goes: no account is over its bound, and what waits fits nowhere or has no room."""
    random = Random(seed)
    quotas = {"a": {"cpu_cores": float(random.randint(1, 4))}, "b": {"slots": 2.0}}
    pool = Shared({"cpu_cores": 4.0}, workers=2, quotas=quotas)
    for step in range(40):
        live = [event for event in pool.granted if event.allocation_id in pool.state.grants]
        if live and random.random() < 0.5:
            pool.release(random.choice(live))
        else:
            limits = {"cpu_cores": 2.0} if random.random() < 0.3 else {}
            of = random.choice("xyz") if limits else f"e{step}"
            amounts = {"cpu_cores": random.choice((0.5, 1.0, 2.0))}
            pool.ask(random.choice("abc"), 1, amounts, rank=random.random(), of=of, limits=limits)
        for tenant, quota in quotas.items():
            used = used_by(pool.state, TENANT + tenant)
            assert all(used.get(name, 0) <= 1000 * most for name, most in quota.items())
        for waiting in pool.state.waiting.values():
            need = need_of(pool.state, waiting.agent_type, waiting.amounts)
            assert not has_room(pool.state, waiting) or place(pool.state, need) is None


def test_no_tenant_starves() -> None:
    """A large request of one tenant begins although another one never stops asking for small ones."""
    pool = Shared({"cpu_cores": 4.0})
    pool.ask("b", 4, {"cpu_cores": 1.0})
    pool.ask("a", 1, {"cpu_cores": 1.0}, rank=99.0)
    for number in range(200):
        pool.ask("b", 1, {"cpu_cores": 1.0}, rank=-float(number))
        live = [event for event in pool.granted if event.allocation_id in pool.state.grants]
        pool.release(live[0])
        if "a" in {event.terms.tenant for event in pool.granted}:
            return
    pytest.fail("The tenant a was never granted anything.")
