"""Limits per key across executions, on the embedded platform."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from talka import Task, WorkflowBuilder, local
from talka_protocols.events import AllocationQueued
from talka_protocols.policies import Concurrency, Rate
from talka_protocols.subjects import POOL, LogName
from talka_protocols.workflow import Workflow


def work(name: str, task: Task) -> Workflow:
    """Return a workflow of one task."""
    return WorkflowBuilder(name).add_task(task).build()


async def test_executions_share_the_limits_of_a_key(tmp_path: Path) -> None:
    """One at a time and three within a second hold across executions, and the log says who waited."""
    alone = Task("a", "sleep", payload={"seconds": 0.1}, concurrency=Concurrency("customer-7"))
    mail = Task("m", "sleep", payload={"seconds": 0}, rate=Rate("mails", 3, 1.0))
    async with local(data_dir=tmp_path, workers=2, durability="process") as talka:
        flows = [work(f"alone-{n}", alone) for n in range(4)]
        results = await asyncio.gather(*map(talka.execute_workflow, flows))
        spans = sorted((r.tasks["a"].started_at or 0.0, r.tasks["a"].finished_at or 0.0) for r in results)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        flows = [work(f"mail-{n}", mail) for n in range(7)]
        results = await asyncio.gather(*map(talka.execute_workflow, flows))
        starts = sorted(result.tasks["m"].started_at or 0.0 for result in results)
        assert starts[6] - starts[0] > 1.5, "the seventh start is in the third second"
        commits = await talka.histories.commits(LogName(POOL, "-", "default"))
        queued = [
            event
            for _, commit in commits
            for _, _, event in commit.events()
            if isinstance(event, AllocationQueued)
        ]
        assert {name for event in queued for name in event.amounts} == {
            "key:customer-7/1",
            "rate:mails/3/1000",
        }
