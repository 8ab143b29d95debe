"""What the workers of a run cost, by prices for what they offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from talka_core.simulation.world import Offer

HOUR_S = 3600.0
WORKER = "worker"
"""The name under which a price is for a whole worker, whatever it offers."""


def cost_of(
    offers: Iterable[Offer], shared: Mapping[str, float], prices: Mapping[str, float], makespan_s: float
) -> float:
    """Return what is paid for workers while they are there, and for what the pool has as a whole.

    Args:
        offers: The workers, each of which is there until the end unless it leaves before.
        shared: Amounts that the pool has as a whole, and not as its workers'.
        prices: By resource, for one unit and an hour; ``worker`` for a worker and an hour.
        makespan_s: How long the run takes.
    """
    unit_seconds = {name: amount * makespan_s for name, amount in shared.items()}
    for offer in offers:
        until = makespan_s if offer.leaves_s is None else min(offer.leaves_s, makespan_s)
        there_s = max(0.0, until - offer.joins_s)
        own = {name: amount for name, amount in offer.capacity.items() if name not in shared}
        for name, amount in {**own, WORKER: 1.0}.items():
            unit_seconds[name] = unit_seconds.get(name, 0.0) + amount * there_s
    return sum(price * unit_seconds.get(name, 0.0) for name, price in prices.items()) / HOUR_S
