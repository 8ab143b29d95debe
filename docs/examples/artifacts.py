"""Artifacts: what one task writes under a name, later ones read; a missing dependency is found out.

``talka run docs.examples.artifacts:workflow`` runs it from the repository's root. The run ends with
an alert: ``guess`` reads what ``harvest`` writes, and nothing says that it comes later.
"""

from __future__ import annotations

from typing import Any

from talka_core.builder import WorkflowBuilder
from talka_protocols.workflow import Task, Workflow


async def harvest(context: Any) -> None:
    """Write an artifact; others see it when this task has succeeded."""
    await context.write_artifact("harvest.csv", b"beans,12\ncorn,30\n")


async def count(context: Any) -> int:
    """Read the artifact of a task that surely comes first."""
    text = (await context.read_artifact("harvest.csv")).decode()
    return sum(int(line.partition(",")[2]) for line in text.splitlines())


def workflow() -> Workflow:
    """Return three tasks; ``guess`` comes last by chance only, because of its priority."""
    builder = WorkflowBuilder("artifacts")
    for task_id, function, priority in (
        ("harvest", "harvest", 50),
        ("count", "count", 50),
        ("guess", "count", 1),
    ):
        payload = {"call": f"docs.examples.artifacts:{function}"}
        builder.add_task(Task(task_id, "python", payload=payload, priority=priority))
    return builder.add_dependency("harvest", "count").set_parallelism(1).build()
