"""The numbers for an external autoscaler are the same in ``/metrics`` as from ``talka pool demand``."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from talka_core.behaviour import step
from talka_core.resource import RESOURCE
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.policies import ScalingPolicy
from talka_services.client.scaling import demand_in
from talka_services.gateway.scaling_gauges import ScalingGauges


def test_the_demand_of_a_pool_is_shown_and_goes_when_the_pool_does() -> None:
    pool = RESOURCE.initial("p")
    step(RESOURCE, pool, m.ScalePool("p", ScalingPolicy(0, 8)), 1_000)
    step(RESOURCE, pool, m.RegisterWorker("p", "w", 1, ("work",), 1, {"cpu_cores": 1.0}), 1_000)
    for name in ("a", "b", "c"):
        asked = m.RequestAllocation("p", name, Holder("e", name, 1), "work", {"cpu_cores": 1.0}, (0.0,))
        step(RESOURCE, pool, asked, 2_000)
    demand = demand_in(pool, 5_000)
    registry = CollectorRegistry()
    gauges = ScalingGauges(registry)
    gauges.show([demand])

    def sample(name: str) -> float | None:
        return registry.get_sample_value(f"talka_pool_{name}", {"pool": "p"})

    assert (sample("demand_waiting"), sample("demand_oldest_wait_seconds")) == (2.0, 3.0)
    assert sample("desired_workers") == demand.desired_workers
    assert sample("demand_load") == 1.0
    assert sample("demand_expected_wait_seconds") == demand.expected_wait_s
    gauges.show([])
    assert sample("demand_waiting") is None


def test_a_pool_without_a_policy_wants_no_number_of_workers() -> None:
    registry = CollectorRegistry()
    ScalingGauges(registry).show([demand_in(RESOURCE.initial("p"), 5_000)])
    assert registry.get_sample_value("talka_pool_desired_workers", {"pool": "p"}) is None
    assert registry.get_sample_value("talka_pool_demand_waiting", {"pool": "p"}) == 0.0
