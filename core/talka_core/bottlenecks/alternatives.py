"""What would have saved time: an execution simulated again with one thing other than it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from talka_core.simulation import Offer, Recorded, SimulationStuckError, hastened, simulate
from talka_core.simulation.result import SimulatedRun
from talka_protocols.bottlenecks import Alternative
from talka_protocols.workflow import Workflow

TASKS_TRIED = 5
"""How many of the tasks that take the most of the critical path are tried at half their run time."""
SIMULATED_TASKS_MAX = 20_000
"""How many tasks are simulated in all, so that a large execution is tried with fewer changes."""


class _World(Struct, frozen=True):
    """What one simulation is made of."""

    workflow: Workflow
    offers: tuple[Offer, ...]
    shared: Mapping[str, float]
    seconds: Mapping[str, float]

    def run(self) -> int:
        """Return the makespan in milliseconds."""
        found: SimulatedRun = simulate(self.workflow, self.offers, self.shared, self.seconds)
        return round(found.makespan_s * 1000)


def alternatives(found: Recorded, worth_ms: Mapping[str, int]) -> tuple[int, tuple[Alternative, ...]]:
    """Return the makespan of the simulation as it was, and of those with one thing changed, best first.

    Args:
        found: What the execution was.
        worth_ms: How much of the critical path each task may account for.

    Raises:
        SimulationStuckError: simulated, it would never end.
    """
    world = _World(found.workflow, found.offers, found.shared, found.seconds)
    base_ms = world.run()
    room = max(3, SIMULATED_TASKS_MAX // max(1, len(found.workflow.tasks)))
    tried: list[Alternative] = []
    for change, other in _changes(world, worth_ms):
        if len(tried) == room:
            break
        try:
            makespan_ms = other.run()
        except SimulationStuckError:
            continue
        tried.append(Alternative(change, makespan_ms, base_ms - makespan_ms))
    tried.sort(key=lambda each: -each.saves_ms)
    return base_ms, tuple(tried)


def _changes(world: _World, worth_ms: Mapping[str, int]) -> Iterator[tuple[str, _World]]:
    known = {task.id for task in world.workflow.tasks} & worth_ms.keys()
    for task_id in sorted(known, key=lambda each: (-worth_ms[each], each))[:TASKS_TRIED]:
        workflow, seconds = hastened(world.workflow, world.seconds, {task_id: 0.5})
        yield f"halve {task_id}", replace(world, workflow=workflow, seconds=seconds)
    if world.offers:
        largest = max(world.offers, key=lambda offer: (sum(offer.capacity.values()), offer.slots))
        yield (
            "one more worker",
            replace(world, offers=(*world.offers, replace(largest, joins_s=0.0, leaves_s=None))),
        )
    for name in _asked(world.workflow):
        if name in world.shared:
            yield f"twice the {name}", replace(world, shared={**world.shared, name: 2 * world.shared[name]})
        elif any(name in offer.capacity for offer in world.offers):
            yield f"twice the {name}", replace(world, offers=tuple(_doubled(o, name) for o in world.offers))
    if world.workflow.config.max_parallel is not None:
        config = replace(world.workflow.config, max_parallel=None)
        yield "no max_parallel", replace(world, workflow=replace(world.workflow, config=config))


def _asked(workflow: Workflow) -> list[str]:
    return sorted({name for task in workflow.tasks for name in task.resources.amounts()})


def _doubled(offer: Offer, name: str) -> Offer:
    return replace(offer, capacity={**offer.capacity, name: 2 * offer.capacity.get(name, 0.0)})
