"""A long task that goes on where its last attempt ended: checkpoints, and steps that run once.

``talka run docs.examples.checkpoints:workflow`` runs it from the repository's root. The first
attempt fails half-way on purpose; the second one copies only the pages that are left.
"""

from __future__ import annotations

from typing import Any

from talka_core.builder import WorkflowBuilder
from talka_protocols.workflow import Task, Workflow

PAGES = 6


async def copy_pages(context: Any) -> dict[str, Any]:
    """Copy page after page; ``context`` is the attempt's, because the parameter is called so."""
    target = await context.step("create the book", create, context.idempotency_key)
    done = context.checkpointed or 0
    for page in range(done, PAGES):
        if context.attempt == 1 and page == PAGES // 2:
            raise ConnectionError("the first attempt fails half-way")
        await context.checkpoint(page + 1)
    return {"target": target, "copied_by_this_attempt": PAGES - done}


def create(key: str) -> str:
    """Create something outside, under a name that is the same for every attempt."""
    return f"book-{key}"


def workflow() -> Workflow:
    """Return a workflow of one long task that may be tried twice."""
    payload = {"call": "docs.examples.checkpoints:copy_pages"}
    return WorkflowBuilder("checkpoints").add_task(Task("copy", "python", payload=payload, retries=1)).build()
