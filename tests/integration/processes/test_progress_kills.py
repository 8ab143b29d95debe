"""Kills a worker in the middle of a long task; the next attempt goes on from what the log holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from talka import Task, WorkflowBuilder, connect
from talka_chaos.processes import Cluster
from talka_chaos.records import record_of
from talka_protocols.events import TaskCheckpointed, TaskStepFinished
from talka_protocols.states import ExecutionState

pytestmark = [pytest.mark.slow, pytest.mark.asyncio, pytest.mark.xdist_group("kills")]

MODULE = "long_work"
STEPS = 12
HANGS = [3, 7]
"""What the first two attempts have saved when they hang until they are killed."""
RUN_S = 60
SOURCE = """
import time

def note(path, line):
    with open(path, "a") as file:
        file.write(line + "\\n")

def work(context, path, steps, hangs):
    first = context.checkpointed or 0
    note(path, f"attempt {context.attempt} from {first}")
    for number in range(first, steps):
        context.step(f"step {number}", note, path, f"step {number}")
        context.checkpoint(number + 1)
        note(path, f"saved {number + 1}")
        if hangs[context.attempt - 1 : context.attempt] == [number + 1]:
            time.sleep(600)
    return [context.checkpointed, context.step("last", lambda: "done")]
"""


def written(path: Path) -> list[str]:
    """Return the lines that the task has written so far."""
    return path.read_text().splitlines() if path.exists() else []


async def lines_reach(path: Path, line: str) -> None:
    """Return when the task has written a line."""
    async with asyncio.timeout(RUN_S):
        while line not in written(path):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_worker_killed_in_the_middle(cluster: Cluster, tmp_path: Path) -> None:
    """Two workers are killed; steps ran once, and no confirmed checkpoint was lost."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    effects = tmp_path / "effects"
    for worker_id in ("w1", "w2"):
        cluster.add_worker(worker_id)
    await cluster.start()
    payload = {"call": f"{MODULE}:work", "arguments": {"path": str(effects), "steps": STEPS, "hangs": HANGS}}
    workflow = WorkflowBuilder("long").add_task(Task("long", "python", payload=payload)).build()
    async with await connect(cluster.url) as orchestrator:
        execution_id = await orchestrator.submit_workflow(workflow)
        for hang in HANGS:
            await lines_reach(effects, f"saved {hang}")
            victim = (await orchestrator.histories.execution(execution_id)).tasks["long"].worker_id
            cluster[victim].kill()
            await cluster.start(victim)
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        record = await record_of(orchestrator, execution_id)

    assert result.status is ExecutionState.SUCCEEDED
    assert result.tasks["long"].result == [STEPS, "done"]
    lines = written(effects)
    begun = [line for line in lines if line.startswith("attempt")]
    assert begun == ["attempt 1 from 0", "attempt 2 from 3", "attempt 3 from 7"]
    steps = [line for line in lines if line.startswith("step")]
    assert steps == [f"step {number}" for number in range(STEPS)]
    names = [event.name for _, event in record.events if isinstance(event, TaskStepFinished)]
    assert sorted(names) == sorted([*(f"step {number}" for number in range(STEPS)), "last"])
    saved = [
        int(bytes(event.saved.data)) for _, event in record.events if isinstance(event, TaskCheckpointed)
    ]
    assert saved == list(range(1, STEPS + 1))
    assert cluster.tracebacks() == []
