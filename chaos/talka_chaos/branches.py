"""Draws control flow into a workflow: joins, conditions, waits, maps, loops and tolerated failures."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from talka_protocols.policies import Join, Loop, MapOver, OnFailure
from talka_protocols.ports import Attempt, Extended
from talka_protocols.workflow import Dependency, Task, Workflow

SHARE = 0.4
"""The share of a drawn workflow's tasks that get some."""


def with_control_flow(random: Random, workflow: Workflow) -> Workflow:
    """Return the workflow with control flow; no dependency is new, so no cycle is."""
    needs: dict[str, list[str]] = {}
    for edge in workflow.dependencies:
        needs.setdefault(edge.to_task, []).append(edge.from_task)
    tasks = [_joined(random, task, needs.get(task.id, [])) for task in workflow.tasks]
    tolerated = random.choice((0, 0, 1, 3))
    config = replace(workflow.config, tolerated_failures=tolerated)
    mentioned = " ".join(task.when for task in tasks)
    eased = tuple(_eased(random, task, is_mentioned=task.id in mentioned) for task in tasks)
    repeated = tuple(_repeated(random, task) for task in eased)
    return replace(workflow, tasks=repeated, config=config)


def _eased(random: Random, task: Task, *, is_mentioned: bool) -> Task:
    if not is_mentioned and random.random() < 0.15:
        task = replace(task, agent_type="wait", payload={"seconds": round(random.uniform(0.0, 5.0), 3)})
    return replace(task, on_failure=OnFailure.CONTINUE) if random.random() < 0.2 else task


def added_by(attempt: Attempt) -> Any:
    """Return what an attempt returns: its number, and with it a chain of tasks if it is told to add some."""
    ends = attempt.task.payload.get("adds")
    if ends is None:
        return attempt.attempt
    first, last = f"{attempt.task.id}+a", f"{attempt.task.id}+b"
    tasks = (Task(first, attempt.task.agent_type), Task(last, attempt.task.agent_type))
    return Extended(
        attempt.attempt, tasks, (Dependency(first, last), *(Dependency(last, end) for end in ends))
    )


def _repeated(random: Random, task: Task) -> Task:
    """Let a task that a worker runs do so for each item of a list, in rounds, or both."""
    if task.agent_type == "wait":
        return task
    if random.random() < SHARE / 3:
        # The other end of what is added may be pending, started or no task, or lead back: then it is refused.
        ends = [f"t{random.randrange(30)}" for _ in range(random.choice((0, 0, 1)))]
        return replace(task, payload={"adds": ends})
    if random.random() < SHARE / 3:
        rule = MapOver(
            list(range(random.choice((0, 1, 3, 6)))),
            max_parallel=random.choice((None, 1, 2)),
            tolerated_failures=random.choice((0, 1, 6)),
        )
        task = replace(task, map=rule, payload={"item": "${item}"})
    if random.random() < SHARE / 3:
        until = random.choice(("result > 0", "result >= 2", "iteration == 2", "result > 4"))
        delay = random.choice((0.0, 0.5))
        task = replace(task, loop=Loop(until, max_iterations=random.choice((1, 3)), delay_seconds=delay))
    return task


def _joined(random: Random, task: Task, needed: list[str]) -> Task:
    if not needed or random.random() > SHARE:
        return task
    join = random.choice((Join.ALL, Join.ANY, Join.DONE, Join.FIRST, random.randint(1, len(needed))))
    other = random.choice(needed)
    when = random.choice(
        (
            "",
            f"{other} == 1",
            f"{other} > 0",
            f'tasks["{other}"].status == "succeeded"',
            f'tasks["{other}"].status in ["failed", "skipped"]',
        )
    )
    return replace(task, join=join, when=when)
