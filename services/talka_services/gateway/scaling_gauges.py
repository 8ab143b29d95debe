"""What an external autoscaler needs to know of pools, among the numbers of ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from talka_services.client.scaling import PoolDemand


class ScalingGauges:
    """Shows what ``talka pool demand`` tells; what is not known, or not decided, has no sample."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(f"talka_pool_{name}", meaning, ["pool"], registry=registry)

        self._desired = gauge("desired_workers", "Workers that the pool's scaling policy wants now.")
        self._demanded = gauge("demand_waiting", "Requests that wait and that more workers would help.")
        self._held_up = gauge("demand_held_up", "Requests that wait for something else than workers.")
        self._oldest = gauge("demand_oldest_wait_seconds", "How long the longest of those has waited.")
        self._expected = gauge("demand_expected_wait_seconds", "How long the last of those will wait.")
        self._load = gauge("demand_load", "Workers' worth of the scarcest resource in use.")

    def show(self, demands: Iterable[PoolDemand]) -> None:
        """Replace what the look before showed."""
        gauges = (self._desired, self._demanded, self._held_up, self._oldest, self._expected, self._load)
        for gauge in gauges:
            gauge.clear()
        for demand in demands:
            values = (
                demand.desired_workers,
                demand.queue_length,
                demand.held_up,
                demand.oldest_wait_s,
                demand.expected_wait_s,
                demand.load if demand.policy else None,
            )
            for gauge, value in zip(gauges, values, strict=True):
                if value is not None:
                    gauge.labels(demand.pool).set(value)
