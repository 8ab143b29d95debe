"""A task that plans the others: it looks at its input and adds what there is to do to its own graph.

``talka run docs.examples.growing:workflow`` runs it from the repository's root.
"""

from __future__ import annotations

from talka import Dependency, Extended, Task, Workflow, WorkflowBuilder, task


@task
def plan(beds: list[str]) -> Extended:
    steps = [
        Task(f"plan.{bed}", "sleep", payload={"seconds": 0.1, "result": f"{bed} is planted"}) for bed in beds
    ]
    # The report was there before; from now on it waits for every step as well.
    return Extended(len(steps), steps, [Dependency(step.id, "report") for step in steps])


@task
def report(plan: int) -> str:
    return f"{plan} beds are planted"


def workflow() -> Workflow:
    return WorkflowBuilder("growing").add_task(plan.task(beds=["north", "south"])).add_task(report).build()
