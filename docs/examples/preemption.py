"""A long task that makes way for one that is nearly late, and goes on where it was.

On a platform whose workers have one core, start ``workflow`` and then ``urgent``:
the long task is stopped when the other one's deadline is threatened, gives its
core back, and goes on from its checkpoint after that. Alone,
``talka run docs.examples.preemption:workflow`` runs it to its end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from talka_core.builder import WorkflowBuilder
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow

PAGES = 10
PAGE_S = 0.2
DUE_S = 2.0
CORE = ResourceRequirements(cpu_cores=1.0)


async def read_pages(context: Any) -> dict[str, Any]:
    """Read page after page, and save how far it came after each."""
    begun_at = context.checkpointed or 0
    for page in range(begun_at, PAGES):
        await asyncio.sleep(PAGE_S)
        await context.checkpoint(page + 1)
    return {"attempt": context.attempt, "begun_at": begun_at}


def workflow() -> Workflow:
    """Return a workflow of one long task that may be preempted."""
    payload = {"call": "docs.examples.preemption:read_pages"}
    task = Task("read", "python", payload=payload, resources=CORE, is_preemptible=True)
    return WorkflowBuilder("preemption").add_task(task).build()


def urgent() -> Workflow:
    """Return a workflow that has to be over soon after it began."""
    payload = {"seconds": 0.1}
    task = Task("answer", "sleep", payload=payload, resources=CORE, estimated_seconds=0.1, deadline=DUE_S)
    return WorkflowBuilder("urgent").add_task(task).set_strategy(Strategy.DEADLINE).build()
