"""Random workflows, the same for the same seed."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from talka_protocols.policies import Action, OnFailure
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
    density = random.choice((0.0, 0.1, 0.3, 0.6, 1.0))
    # What needs the same is handed on from task to task; what takes long outlives a lease.
    alike, most_s = random.choice((0.5, 0.5, 1.0)), random.choice((3.0, 0.3, 12.0))
    tasks = tuple(_task(random, position, alike, most_s) for position in range(size))
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
    if config.strategy is Strategy.DEADLINE:
        config = replace(config, deadline=0.5 * size)
        tasks = tuple(_due(position, task) for position, task in enumerate(tasks))
    if random.random() < 0.3:
        tasks = tuple(_saving(random, task) for task in tasks)
    if random.random() < 0.1:
        config = replace(config, timeout=random.uniform(2.0, 15.0))
    if random.random() < 0.2:
        tolerated = random.randrange(3)
        config = replace(config, on_failure=random.choice(list(OnFailure)), tolerated_failures=tolerated)
        tasks = tuple(_with_fallback(random, task) for task in tasks)
    return Workflow(name, name, tasks, tuple(edges), config)


def licensed(random: Random, workflow: Workflow, share: float) -> Workflow:
    """Return the workflow with this share of its tasks in need of a licence of the pool as well."""
    tasks = [
        replace(task, resources=replace(task.resources, custom_resources={"licence": 1.0}))
        if random.random() < share
        else task
        for task in workflow.tasks
    ]
    return replace(workflow, tasks=tuple(tasks))


def with_children(random: Random, workflow: Workflow, depth: int = 1) -> Workflow:
    """Let some of the tasks be sub-workflows, and perhaps some of the tasks of these."""
    tasks = [_child(random, task, depth) if random.random() < 0.3 else task for task in workflow.tasks]
    return replace(workflow, tasks=tuple(tasks))


def _child(random: Random, task: Task, depth: int) -> Task:
    child = random_workflow(random, f"{task.id}-child", random.choice((1, 2, 4)))
    if depth and random.random() < 0.3:
        child = with_children(random, child, depth - 1)
    retries = random.choice((0, 0, 1))
    return replace(task, agent_type="workflow", payload={}, workflow=child, retries=retries)


def _saving(random: Random, task: Task) -> Task:
    """Let a task save its progress now and then, or not at all, and write what others may write as well."""
    writes = random.choice(((), (), ("x",), ("x", "y")))
    return replace(task, payload={"saves": random.choice((0, 1, 3, 8)), "writes": writes})


def _due(position: int, task: Task) -> Task:
    """Let every third task be due, without a further draw: that would change every workflow drawn so far."""
    return task if position % 3 else replace(task, deadline=1.0 + position, weight=1.0 + position % 4)


def _task(random: Random, position: int, alike: float, most_s: float) -> Task:
    is_plain = random.random() < alike
    return Task(
        id=f"t{position}",
        agent_type=AGENT_TYPE,
        resources=ResourceRequirements(cpu_cores=1.0 if is_plain else random.choice(CORES)),
        priority=50 if is_plain else random.choice((10, 50, 90)),
        retries=random.choice((0, 0, 1, 3, 6)),
        estimated_seconds=round(random.uniform(0.01, most_s), 3),
    )


def _with_fallback(random: Random, task: Task) -> Task:
    if random.random() < 0.6:
        return task
    start_timeout = random.choice((None, 1.0, 20.0))
    return replace(
        task, fallback=Action(AGENT_TYPE, retries=random.choice((0, 1))), start_timeout=start_timeout
    )
