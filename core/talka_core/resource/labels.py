"""Which workers a request may go to, and which it would rather go to, by their labels."""

from __future__ import annotations

from collections.abc import Iterable

from talka_core.resource.state import WorkerEntry
from talka_protocols.events import Affinity


def admits(entry: WorkerEntry, affinity: Affinity) -> bool:
    """Tell whether the worker has every label that the request requires."""
    return affinity.requires.items() <= entry.labels.items()


def distance(worker_id: str, entry: WorkerEntry, affinity: Affinity) -> int:
    """Return how far a worker is from what the request prefers: a label counts more than being near."""
    preferred = sum(entry.labels.get(name) == value for name, value in affinity.prefers.items())
    return -2 * preferred - (worker_id == affinity.near)


def missing(able: Iterable[WorkerEntry], affinity: Affinity) -> str:
    """Say which labels no worker has that could run the request otherwise; nothing if one has them all."""
    found = list(able)
    if any(admits(entry, affinity) for entry in found):
        return ""
    most = max(found, key=lambda entry: len(affinity.requires.items() & entry.labels.items()))
    asked = ", ".join(f"{name}={value}" for name, value in sorted(affinity.requires.items()))
    there = ", ".join(f"{name}={value}" for name, value in sorted(most.labels.items()))
    nearest = f"the nearest has {there}" if there else "none of them has a label"
    return f"No worker that could run it has the labels {asked}; {nearest}."
