"""The graphs that are measured; sizes are those of the peers' harness."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from talka_core.builder import WorkflowBuilder
from talka_protocols.workflow import DEFAULT_MAX_TASKS, Task, TaskType, Workflow

HERE = "talka_services.bench.steps"
Isolation = Literal["none", "process"]


def no_op(name: str, isolation: Isolation) -> Task:
    """Return a task that only notes the time."""
    return Task(name, "python", payload={"call": f"{HERE}:stamp", "isolation": isolation})


def waiting(name: str, seconds: float) -> Task:
    """Return a task that waits in the worker's loop."""
    arguments = {"seconds": seconds}
    return Task(name, "python", payload={"call": f"{HERE}:nap", "arguments": arguments, "isolation": "none"})


def burning(name: str, rounds: int) -> Task:
    """Return a task that keeps a core busy, in a child process to itself."""
    payload = {"call": f"{HERE}:burn", "arguments": {"rounds": rounds}}
    return Task(name, "python", type=TaskType.COMPUTE, payload=payload)


def fan(size: int, isolation: Isolation = "none") -> Workflow:
    """Return ``size`` no-op tasks that wait for nothing."""
    builder = WorkflowBuilder("fan").set_limits(max_tasks=max(size, DEFAULT_MAX_TASKS))
    for i in range(size):
        builder.add_task(no_op(f"t{i}", isolation))
    return builder.build()


def chain(length: int, isolation: Isolation = "none") -> Workflow:
    """Return no-op tasks that each wait for the one before."""
    builder = WorkflowBuilder("chain")
    tasks = [no_op(f"t{i}", isolation) for i in range(length)]
    for task in tasks:
        builder.add_task(task)
    for before, after in pairwise(tasks):
        builder.add_dependency(before, after)
    return builder.build()


def layers(depth: int, width: int, seconds: float) -> Workflow:
    """Return layers of waiting tasks, each of which waits for the whole layer before."""
    builder = WorkflowBuilder("layers")
    rows = [[waiting(f"l{i}-{j}", seconds) for j in range(width)] for i in range(depth)]
    for row in rows:
        for task in row:
            builder.add_task(task)
    for above, below in pairwise(rows):
        for before in above:
            for after in below:
                builder.add_dependency(before, after)
    return builder.build()


def sleepers(count: int, seconds: float) -> Workflow:
    """Return independent waiting tasks, all of which may run at once."""
    builder = WorkflowBuilder("sleepers").set_parallelism(count)
    for i in range(count):
        builder.add_task(waiting(f"t{i}", seconds))
    return builder.build()
