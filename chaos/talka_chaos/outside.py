"""The people and systems outside a world, who tell its executions what their tasks wait for."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec
from msgspec import Raw

from talka_protocols.messages import AnswerApproval, SchedulerMessage, SignalExecution
from talka_protocols.workflow import Task, Workflow

SIGNAL_NAMES = ("a", "b")
AFTER_STORM_S = 60.0
ROUNDS = 4
LAST_S = ROUNDS * AFTER_STORM_S
"""How long after the storm they come by themselves; whoever waits for them later has to be helped."""


def with_arrivals(random: Random, workflow: Workflow) -> Workflow:
    """Let some of the tasks wait for signals and for people, who must then be there to answer."""
    tasks = [_awaiting(random, task.id) if random.random() < 0.3 else task for task in workflow.tasks]
    return msgspec.structs.replace(workflow, tasks=tuple(tasks))


def _awaiting(random: Random, task_id: str) -> Task:
    limit = random.choice(({}, {"timeout_seconds": random.uniform(1.0, 60.0)}))
    if random.random() < 0.5:
        return Task(task_id, "signal", payload={"name": random.choice(SIGNAL_NAMES), **limit})
    default = {"default": "approve"} if limit and random.random() < 0.5 else {}
    return Task(task_id, "approval", payload={"question": "Go on?", **limit, **default})


def arrivals(
    random: Random, workflow: Workflow, at_s: float, storm_s: float
) -> Iterator[tuple[float, SchedulerMessage]]:
    """Yield (virtual seconds, message) of what comes for the tasks: early, often, and after the storm."""
    for task in workflow.tasks:
        if task.agent_type == "signal":
            data = Raw(msgspec.json.encode(task.id))
            message: SchedulerMessage = SignalExecution(workflow.id, task.payload["name"], task.id, data)
        elif task.agent_type == "approval":
            message = AnswerApproval(workflow.id, task.id, random.choice(("approve", "reject")))
        else:
            continue
        for _ in range(2):
            yield at_s + random.expovariate(0.05), message
        for round_number in range(1, ROUNDS + 1):
            yield storm_s + AFTER_STORM_S * round_number, message
