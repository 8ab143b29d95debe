"""The same idea in Python: parameters name the tasks whose results they want.

``talka run docs.examples.neighbours:workflow`` runs it from the repository's root.
"""

from __future__ import annotations

from talka_core.builder import WorkflowBuilder
from talka_core.tasks import task
from talka_protocols.workflow import ResourceRequirements, Workflow


@task
def numbers(upto: int) -> list[int]:
    return list(range(1, upto + 1))


@task(resources=ResourceRequirements(cpu_cores=0.5))
def squares(numbers: list[int]) -> list[int]:
    return [number * number for number in numbers]


@task(retries=2)
def total(squares: list[int], weight: float = 1.0) -> float:
    return weight * sum(squares)


def workflow(upto: int = 10) -> Workflow:
    return (
        WorkflowBuilder("neighbours")
        .add_task(numbers.task(upto=upto))
        .add_task(squares)
        .add_task(total)
        .add_task(total.with_options(id="half").task(weight=0.5))
        .set_parallelism(4)
        .build()
    )
