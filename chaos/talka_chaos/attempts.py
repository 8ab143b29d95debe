"""Rules for attempts: pauses between them, errors that are worth none, time-outs; and more to wait for.

They have a stream of chance of their own, so that workflows without them stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_protocols.messages import SubmitWorkflow
from talka_protocols.policies import MapOver, RetryPolicy
from talka_protocols.workflow import Dependency, Task, Workflow

SHARE = 0.15
REPEATED_SHARE = 0.1
OTHER = "not the first that was submitted"
"""The name of a workflow that is submitted under an id which another one has already."""


def with_rules(seed: int, epoch_ms: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let the workflows of some seeds say how their attempts follow each other, and wait for more."""
    random = Random(f"rules {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return list(workflows)
    return [_ruled(random, epoch_ms, workflow) for workflow in workflows]


def repeated(seed: int, submission: SubmitWorkflow, at_s: float) -> Iterator[tuple[float, SubmitWorkflow]]:
    """Yield, with their moments, more submissions under the same id: of the same workflow, and of another."""
    random = Random(f"repeated {seed} {submission.execution_id}")  # noqa: S311
    workflow = submission.workflow
    if workflow is None or random.random() >= REPEATED_SHARE:
        return
    for _ in range(random.choice((1, 3))):
        other = replace(submission, workflow=replace(workflow, name=OTHER), baseline=None)
        yield at_s + random.uniform(0.01, 20.0), random.choice((submission, other))


def _ruled(random: Random, epoch_ms: int, workflow: Workflow) -> Workflow:
    tasks = [_limited(random, task) for task in workflow.tasks]
    more: list[Task] = []
    edges: list[Dependency] = []
    if random.random() < 0.4:
        # What a map gives is a list, and so another one can be made of it; what a task gives is none.
        of = Task("xm", AGENT_TYPE, map=MapOver(list(range(random.choice((0, 2, 4))))), retries=2)
        then = Task("xr", AGENT_TYPE, map=MapOver("${xm}", max_parallel=random.choice((None, 1))), retries=2)
        more, edges = [of, then], [Dependency("xm", "xr")]
        if random.random() < 0.3:
            more += [Task("xp", AGENT_TYPE), Task("xn", AGENT_TYPE, map=MapOver("${xp}"))]
            edges.append(Dependency("xp", "xn"))
    if random.random() < 0.5:
        until = epoch_ms / 1000 + random.uniform(0.0, 30.0)
        more.append(Task("xw", "wait", payload={"until": until}))
    config = workflow.config
    if random.random() < 0.4:
        config = replace(config, tolerated_failure_share=random.choice((0.1, 0.5, 1.0)))
    dependencies = (*workflow.dependencies, *edges)
    return replace(workflow, tasks=(*tasks, *more), dependencies=dependencies, config=config)


def _limited(random: Random, task: Task) -> Task:
    if task.agent_type != AGENT_TYPE:
        return task
    if random.random() < 0.5:
        patterns = random.choice(((), (), ("task_failed",), ("task_*",), ("other",)))
        only, never = random.choice(((patterns, ()), ((), patterns)))
        policy = RetryPolicy(
            base_seconds=random.choice((0.2, 1.0, 3.0)),
            factor=random.choice((1.0, 2.0, 3.0)),
            max_seconds=random.choice((2.0, 60.0)),
            jitter=random.choice((0.0, 0.5, 1.0)),
            only=only,
            never=never,
        )
        task = replace(task, retry=policy)
    if random.random() < 0.3:
        task = replace(task, timeout=random.choice((0.5, 2.0, 6.0)))
    return task
