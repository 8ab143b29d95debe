"""Can all deadlines be met on these workers, and if not: what would it take?

The answer is that of a simulation, so it is as good as the estimates. That no
workers at all could do it is certain under them; that these cannot is what the
real planner and pool would make of it, not a proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from talka_core.deadlines import dues_of, has_deadlines, latest_starts
from talka_core.graph import TaskGraph
from talka_core.simulation.assumptions import assumed
from talka_core.simulation.world import Offer, SimulationStuckError, simulate
from talka_protocols.workflow import Workflow

_UNITS = {
    "cpu_cores": "CPU core",
    "gpu_count": "GPU",
    "memory_mb": "MiB of memory",
    "disk_mb": "MiB of disk",
    "network_bandwidth_mbps": "Mbit/s",
}


class Feasibility(Struct, frozen=True):
    """What a simulation says of the deadlines.

    ``misses`` counts those that would be missed, and ``remedies`` says with
    what each by itself they would all be met. ``impossible`` names the tasks
    that end too late on any number of workers.
    """

    misses: int
    weighted_tardiness_s: float
    remedies: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()

    @property
    def is_feasible(self) -> bool:
        """Tell whether nothing would be late."""
        return self.misses == 0

    def sentence(self) -> str:
        """Say it to people."""
        if self.is_feasible:
            return "All deadlines can be met."
        late = f"{self.misses} deadline{'s' if self.misses > 1 else ''} would be missed"
        if self.impossible:
            named = ", ".join(map(repr, self.impossible[:3])) + (", ..." if len(self.impossible) > 3 else "")
            return f"Infeasible: {late}, that of {named} on any workers: the way to it takes longer."
        if self.remedies:
            return f"Infeasible: {late}. With {' or '.join(self.remedies)} all would be met."
        return f"Infeasible: {late}, also with one more of anything."


def feasibility(
    workflow: Workflow, offers: Sequence[Offer], shared: Mapping[str, float] | None = None
) -> Feasibility | None:
    """Return what becomes of a checked workflow's deadlines on these workers; None where nothing is due.

    Raises:
        WorkflowInvalidError: the planner refuses it.
        SimulationStuckError: it would wait for ever.
    """
    if not has_deadlines(workflow):
        return None
    run = simulate(workflow, offers, shared)
    misses, tardiness = run.deadline_misses or 0, run.weighted_tardiness_s or 0.0
    if not misses:
        return Feasibility(0, 0.0)
    impossible = tuple(_impossible(workflow))
    if impossible:
        return Feasibility(misses, tardiness, impossible=impossible)
    variants = _variants(workflow, offers, shared or {})
    remedies = tuple(name for name, more, pooled in variants if _meets(workflow, more, pooled))
    return Feasibility(misses, tardiness, remedies)


def _impossible(workflow: Workflow) -> Iterator[str]:
    """Yield what is due sooner than the longest way to its end takes."""
    simulated = assumed(workflow)
    dues = dues_of(simulated)
    graph = TaskGraph.of(simulated)
    durations = [task.estimated_seconds or 0.0 for task in simulated.tasks]
    for task_id, due in dues.items():
        only = [due if each == task_id else None for each in graph.ids]
        if min(latest_starts(graph, durations, only)) < 0:
            yield task_id


def _meets(workflow: Workflow, offers: Sequence[Offer], shared: Mapping[str, float]) -> bool:
    try:
        return simulate(workflow, offers, shared).deadline_misses == 0
    except SimulationStuckError:
        return False


def _variants(
    workflow: Workflow, offers: Sequence[Offer], shared: Mapping[str, float]
) -> Iterator[tuple[str, Sequence[Offer], Mapping[str, float]]]:
    """Yield the workers with as much more of each resource as one task asks for, and with one more worker."""
    largest = max(range(len(offers)), key=lambda number: sum(offers[number].capacity.values()))
    asked: dict[str, float] = {}
    for task in workflow.tasks:
        for name, amount in task.resources.amounts().items():
            asked[name] = max(asked.get(name, 0.0), amount)
    for name, amount in sorted(asked.items()):
        if name in shared:
            yield _more(name, amount), offers, {**shared, name: shared[name] + amount}
        else:
            capacity = {**offers[largest].capacity}
            capacity[name] = capacity.get(name, 0.0) + amount
            grown = [*offers]
            grown[largest] = replace(offers[largest], capacity=capacity)
            yield _more(name, amount), grown, shared
    yield "one more worker like the largest", [*offers, offers[largest]], shared


def _more(name: str, amount: float) -> str:
    unit = _UNITS.get(name, name)
    return f"one more {unit}" if amount == 1 else f"{amount:g} more {unit}"
