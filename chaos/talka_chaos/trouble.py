"""Tasks that give trouble: they start late, fall silent, heed no cancel, or take their workers with them.

They have a stream of chance of their own, so that the workflows of other seeds stay what they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random

from msgspec import Raw
from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.rewinding import can_go_back
from talka_chaos.runs import failure_of
from talka_protocols.errors import TaskFailedError
from talka_protocols.messages import CancelExecution, Mark, SchedulerMessage
from talka_protocols.policies import Action, MapOver
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Dependency, Task, Workflow

SHARE = 0.3
LATE, SILENT, STUBBORN, POISON, DOOMED = "late", "silent", "stubborn", "poison", "doomed"
KINDS = (LATE, LATE, SILENT, STUBBORN, POISON, DOOMED)

HEARTBEAT_S = 2.0
"""How long the attempts of watched tasks may be silent; they beat three times as often."""
SILENT_ATTEMPTS = 2
"""So many attempts of a task that falls silent do; later ones beat."""
STUBBORN_S = 150.0
"""How long an attempt goes on that was asked to stop and does not; only force ends it sooner."""
FOR_EVER_S = 1e6
NULL = Raw(b"null")


def kind_of(seed: int) -> str:
    """Return the trouble of one seed; most have none."""
    random = Random(f"trouble {seed}")  # noqa: S311  (the same for the same seed is the point)
    return random.choice(KINDS) if random.random() < SHARE else ""


def with_trouble(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let some tasks of some seeds give trouble."""
    kind, random = kind_of(seed), Random(f"trouble {seed} tasks")  # noqa: S311
    if not kind:
        return list(workflows)
    if kind == DOOMED:
        return [_with_doomed_group(random, workflow) for workflow in workflows]
    return [
        replace(workflow, tasks=tuple(_troubled(random, kind, workflow, task) for task in workflow.tasks))
        for workflow in workflows
    ]


def dawdling(seed: int) -> float:
    """Return how likely a message to a worker takes its time, for which starts are late."""
    return 0.8 if kind_of(seed) == LATE else 0.0


def forced_cancels(seed: int, workflow: Workflow, at_s: float) -> Iterator[tuple[float, SchedulerMessage]]:
    """Yield, with their moments, a request to cancel the execution and then one to do so by force."""
    if kind_of(seed) == STUBBORN and any(task.payload.get(STUBBORN) for task in workflow.tasks):
        random = Random(f"trouble {seed} {workflow.id}")  # noqa: S311
        asked_s = at_s + random.uniform(0.5, 10.0)
        yield asked_s, CancelExecution(workflow.id, "asked to")
        yield asked_s + random.uniform(0.5, 5.0), CancelExecution(workflow.id, "told to", is_forced=True)


def _troubled(random: Random, kind: str, workflow: Workflow, task: Task) -> Task:
    if task.agent_type != AGENT_TYPE or random.random() < 0.5:
        return task
    match kind:
        case "late":
            limit_s = random.choice((0.5, 1.0, 3.0))
            return replace(task, start_timeout=limit_s, retries=max(task.retries, random.choice((0, 2))))
        case "silent":
            silent = {**task.payload, SILENT: random.choice((0, SILENT_ATTEMPTS))}
            if not can_go_back(workflow):
                silent["saves"] = random.choice((0, 2, 8))
            return replace(task, payload=silent, heartbeat_timeout=HEARTBEAT_S, retries=max(task.retries, 3))
        case "stubborn":
            # What the pool lends as a whole must be let go within a lease, so it is nothing for these.
            is_lent = task.resources.custom_resources or task.concurrency is not None
            is_apart = is_lent or can_go_back(workflow)
            return task if is_apart else replace(task, payload={**task.payload, STUBBORN: True})
        case _:
            kills = random.choice((0, 0, 0, 1, 12))
            return replace(task, payload={**task.payload, POISON: kills})


def _with_doomed_group(random: Random, workflow: Workflow) -> Workflow:
    """Add a group to a workflow whose last member fails, behind a map that can be undone.

    It makes a workflow one that can go back, in which nothing may save its progress.
    """
    if any(task.payload.get("saves") or task.payload.get("writes") for task in workflow.tasks):
        return workflow
    undo, retries = Action(AGENT_TYPE, retries=4), random.choice((0, 2))
    rule = MapOver([1, 2, 3], max_parallel=random.choice((None, 1)))
    of_map = Task("gm", AGENT_TYPE, map=rule, group="doomed", compensation=undo, retries=retries)
    last = Task("gl", AGENT_TYPE, payload={DOOMED: True}, group="doomed", dependencies=("gm",))
    edge = Dependency("gm", "gl")
    return replace(
        workflow, tasks=(*workflow.tasks, of_map, last), dependencies=(*workflow.dependencies, edge)
    )


async def give_trouble(
    attempt: Attempt, kill: Callable[[Attempt], None], silent: set[tuple[str, str, int]]
) -> None:
    """Do what the attempt's payload says of silence and poison, and remember who falls ``silent``."""
    payload = attempt.task.payload
    if attempt.attempt <= payload.get(POISON, 0):
        kill(attempt)
        await asyncio.sleep(FOR_EVER_S)
    if payload.get(DOOMED):
        raise TaskFailedError(failure_of(attempt.attempt))
    if attempt.attempt <= payload.get(SILENT, 0):
        silent.add((attempt.execution_id, attempt.task.id, attempt.attempt))
        await asyncio.sleep(FOR_EVER_S)


async def pass_time(attempt: Attempt, seconds: float) -> None:
    """Let time pass, with a sign of life now and then if somebody watches for it."""
    if not attempt.task.heartbeat_timeout or attempt.progress is None:
        await asyncio.sleep(seconds)
        return
    while seconds > 0.0:
        step_s = min(seconds, attempt.task.heartbeat_timeout / 3)
        await asyncio.sleep(step_s)
        await attempt.progress.save(Mark.BEAT, "", NULL)
        seconds -= step_s


async def resist(attempt: Attempt) -> None:
    """Go on for long although the attempt was asked to stop, if it is one of that kind; force ends that."""
    current = asyncio.current_task()
    if attempt.task.payload.get(STUBBORN) and current is not None and current.cancelling() < 2:
        await asyncio.sleep(STUBBORN_S)
