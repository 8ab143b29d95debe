"""Random workflows, the same for the same seed."""

from __future__ import annotations

from random import Random

from talka_chaos.branches import with_control_flow
from talka_protocols.workflow import (
    Dependency,
    ResourceRequirements,
    Strategy,
    Task,
    Workflow,
    WorkflowConfig,
)

AGENT_TYPE = "work"
CORES = (0.0, 0.1, 0.5, 1.0, 1.1, 2.0)


def random_workflow(random: Random, name: str, size: int) -> Workflow:
    """Return an acyclic workflow of ``size`` tasks whose document order is not its topological order."""
    order = random.sample(range(size), size)
    density = random.choice((0.0, 0.1, 0.3, 0.6))
    tasks = tuple(_task(random, position) for position in range(size))
    edges = [
        Dependency(f"t{order[a]}", f"t{order[b]}")
        for b in range(size)
        for a in range(max(0, b - 5), b)
        if random.random() < density
    ]
    config = WorkflowConfig(
        max_parallel=random.choice((None, None, 1, 2, 4)),
        strategy=random.choice(list(Strategy)),
        timeout=600.0,
    )
    workflow = Workflow(name, name, tasks, tuple(edges), config)
    return with_control_flow(random, workflow) if random.random() < 0.3 else workflow


def _task(random: Random, position: int) -> Task:
    is_plain = random.random() < 0.5
    return Task(
        id=f"t{position}",
        agent_type=AGENT_TYPE,
        resources=ResourceRequirements(cpu_cores=1.0 if is_plain else random.choice(CORES)),
        priority=50 if is_plain else random.choice((10, 50, 90)),
        retries=random.choice((0, 0, 1, 3)),
        estimated_seconds=round(random.uniform(0.01, 3.0), 3),
    )
