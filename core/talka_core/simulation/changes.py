"""A recorded execution with something other than it was: its order, its workers, its amounts, its pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from talka_core.simulation.assumptions import hastened, within
from talka_core.simulation.recorded import Recorded
from talka_core.simulation.world import Offer
from talka_protocols.baseline import Baseline
from talka_protocols.workflow import Workflow, WorkflowConfig


class Staff(Struct, frozen=True):
    """What a pool has: its workers, what it has as a whole, and the most that each tenant may have of it.

    ``strategy`` is that of workflows which name none.
    """

    offers: tuple[Offer, ...]
    shared: dict[str, float]
    quotas: dict[str, dict[str, float]]
    strategy: str = ""


class Change(Struct, frozen=True, kw_only=True):
    """What is to be other than it was.

    ``config`` takes the place of the workflow's settings, ``staff`` of the pool that it had. With ``workers``
    there are as many of the largest that there were; ``capacity``, ``labels`` and
    ``shared`` have the last word on what each worker and the pool have,
    ``quota`` on how much of it the tenant may have, and every task takes ``time_scale`` times as long.
    """

    config: WorkflowConfig | None = None
    staff: Staff | None = None
    workers: int | None = None
    capacity: Mapping[str, float] = field(default_factory=dict[str, float])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    shared: Mapping[str, float] = field(default_factory=dict[str, float])
    quota: Mapping[str, float] = field(default_factory=dict[str, float])
    time_scale: float = 1.0


class Setting(Struct, frozen=True):
    """What a simulation is given; ``followed`` is a schedule to follow, or whether to make one."""

    workflow: Workflow
    seconds: dict[str, float]
    offers: tuple[Offer, ...]
    shared: dict[str, float]
    followed: Baseline | bool


def altered(found: Recorded, change: Change, own: Mapping[str, float]) -> Setting:
    """Return a recorded execution with a change, ready to be simulated.

    It follows the schedule that it followed then, unless its order or its workers change.

    Args:
        found: What it was.
        change: What is to be other.
        own: What a worker offers where nothing is known of any.
    """
    workflow, seconds = found.workflow, found.seconds
    if change.time_scale != 1.0:
        workflow, seconds = hastened(workflow, seconds, dict.fromkeys(seconds, change.time_scale))
    is_staffed_alike = change.staff is None and change.workers is None and not change.capacity
    followed = (found.baseline or False) if change.config is None and is_staffed_alike else True
    if change.config is not None:
        workflow = replace(workflow, config=change.config)
    staff = change.staff or Staff(found.offers, found.shared, {workflow.config.tenant: found.quota})
    workflow = within(workflow, {**staff.quotas.get(workflow.config.tenant, {}), **change.quota})
    shared = {**staff.shared, **change.shared}
    return Setting(workflow, dict(seconds), employed(staff.offers, change, own), shared, followed)


def employed(offers: Sequence[Offer], change: Change, own: Mapping[str, float]) -> tuple[Offer, ...]:
    """Return the workers as they were, or as many as are asked for of the largest, with other amounts."""
    if change.workers is None and offers:
        return tuple(
            replace(
                offer,
                capacity={**offer.capacity, **change.capacity},
                labels={**offer.labels, **change.labels},
            )
            for offer in offers
        )
    slots = max((offer.slots for offer in offers), default=Offer({}).slots)
    machines = [offer.capacity for offer in offers]
    labels = dict(change.labels)
    given = shapes(machines, own, change.workers, change.capacity)
    return tuple(Offer(shape, slots, labels=labels) for shape in given)


def shapes(
    machines: Sequence[Mapping[str, float]],
    own: Mapping[str, float],
    workers: int | None,
    capacity: Mapping[str, float],
    most: int | None = None,
) -> list[dict[str, float]]:
    """Return what each of some workers offers.

    Args:
        machines: What is known of the machines; with fewer workers all are as large as the largest.
        own: What a worker offers where nothing is known.
        workers: How many there are; None for one on each machine.
        capacity: Has the last word on each amount.
        most: The most workers where nobody says how many.
    """
    if not machines:
        return [{**own, **capacity}] * (workers or 1)
    largest = max(machines, key=lambda machine: sorted(machine.items()))
    count = workers or min(len(machines), most or len(machines))
    if count < len(machines):
        chosen = [largest] * count
    else:
        chosen = [machines[i % len(machines)] for i in range(count)]
    return [{**machine, **capacity} for machine in chosen]
