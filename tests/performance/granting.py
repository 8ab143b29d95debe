"""Measures one decision of a pool: ``python -m tests.performance.granting [WAITING...]``.

So many tasks wait, and one that runs ends: who gets its place? Or one comes that fits. It prints
milliseconds of processor time for each such decision, the median and the worst of some, where all requests
have the same requirements and where no two have. Where a quota (``kept``) or the limits of
keys (``keyed``) keep them waiting, there are places that are free.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from statistics import median

from talka_core.behaviour import step, step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder, Terms

SIZES = (1_000, 10_000)
WORKERS = 8
DECISIONS = 40

Amounts = dict[str, float]


def alike(_random: Random, _number: int) -> Amounts:
    """Return requirements that all requests have in common."""
    return {"cpu_cores": 1.0, "memory_mb": 512.0}


def distinct(random: Random, number: int) -> Amounts:
    """Return requirements that no other request has; most fit only where nothing else runs."""
    return {"cpu_cores": random.choice((1.0, 2.0, 4.0)), "memory_mb": 512.0 + number}


def mixed(random: Random, number: int) -> Amounts:
    """Return requirements of which one worker is short of cores for some, and of memory for others."""
    large, small = (4.0, 256.0) if number % 2 else (1.0, 20_000.0)
    return {"cpu_cores": large, "memory_mb": small + number / 1000 + random.random() / 4}


def keyed(_random: Random, number: int) -> Amounts:
    """Return requirements that are small, and a place under the limit of one of a few keys."""
    return {"cpu_cores": 0.1, "memory_mb": 1 + number / 1000, f"key:k{number % 8}/1": 1.0}


SHAPES: dict[str, Callable[[Random, int], Amounts]] = {
    "alike": alike,
    "distinct": distinct,
    "mixed": mixed,
    "keyed": keyed,
    "kept": distinct,
}
QUOTAS = {"kept": {"cpu_cores": 8.0}}


def crowded(size: int, shape: str, tenants: int = 1) -> PoolRecord:
    """Return a pool with as much running as fits, and at least so many requests that wait."""
    state, random, amounts_of = RESOURCE.initial("p"), Random(size), SHAPES[shape]
    quotas = {f"tenant-{number}": QUOTAS[shape] for number in range(tenants) if shape in QUOTAS}
    step(RESOURCE, state, m.ConfigurePool("p", {}, quotas=quotas), 1)
    for number in range(WORKERS):
        capacity = {"cpu_cores": 8.0, "memory_mb": 32_768.0}
        step(RESOURCE, state, m.RegisterWorker("p", f"w{number}", 1, ("work",), 99, capacity), 1)
    requests: list[m.RequestAllocation] = []
    for number in range(size + 8 * WORKERS):
        holder = Holder(f"e{number % 7}", f"t{number}", 1)
        terms = Terms(tenant=f"tenant-{number % tenants}")
        rank = (random.random(), float(number))
        amounts = amounts_of(random, number)
        requests.append(m.RequestAllocation("p", f"a{number}", holder, "work", amounts, rank, terms=terms))
    for _ in step_batch(RESOURCE, state, requests, 1):
        pass
    return state


def decisions(state: PoolRecord) -> Iterator[float]:
    """Yield how long each decision takes (milliseconds of processor time), the grants' effects included."""
    for _ in range(DECISIONS):
        allocation_id, grant = next(iter(state.grants.items()))
        ended = m.ReleaseAllocation("p", allocation_id, grant.holder, grant.fence)
        began = time.process_time_ns()
        steps = list(step_batch(RESOURCE, state, [ended], 2))
        took = time.process_time_ns() - began
        assert isinstance(steps[0][1][0], e.AllocationFreed)
        yield took / 1e6


def arrivals(state: PoolRecord) -> Iterator[float]:
    """Yield how long each decision takes about a newcomer that fits where those that wait do not."""
    for number in range(DECISIONS):
        holder = Holder("late", f"n{number}", 1)
        amounts = {"memory_mb": 0.5 + number / 1000}
        asked = m.RequestAllocation("p", f"n{number}", holder, "work", amounts, (2.0, 0.0), terms=Terms())
        began = time.process_time_ns()
        steps = list(step_batch(RESOURCE, state, [asked], 2))
        took = time.process_time_ns() - began
        assert steps
        yield took / 1e6


def main(sizes: list[int]) -> None:
    """Print a line for each number of waiting tasks, kind of requirements and number of tenants."""
    for name in SHAPES:
        for tenants in (1, 3):
            for size in sizes:
                state = crowded(size, name, tenants)
                gc.collect()
                what = (
                    f"{name:9} {tenants} tenants {len(state.waiting):6,} wait, {len(state.queues):6,} shapes"
                )
                for kind, times in (("ends", decisions), ("comes", arrivals)):
                    took = sorted(times(state))
                    figures = f"median {median(took):7.2f} ms, worst {took[-1]:7.2f} ms"
                    sys.stdout.write(f"{what}, one {kind:5}: {figures}\n")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
