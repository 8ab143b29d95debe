"""The strategy of a pool, on the embedded platform: it decides where a workflow names none."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka import Orchestrator, ResourceRequirements, Task, Workflow, WorkflowBuilder, local
from talka_protocols.events import TaskStarted
from talka_protocols.workflow import Strategy
from talka_services.client import LocalOptions
from talka_services.client.histories import Histories

BREADTH, DEPTH = ["a1", "b1", "a2", "b2"], ["a1", "a2", "b1", "b2"]


def two_chains() -> WorkflowBuilder:
    """Return two chains of two tasks that ask for the same core."""
    builder = WorkflowBuilder("chains")
    for name in ("a1", "b1", "a2", "b2"):
        needs = ResourceRequirements(cpu_cores=1.0)
        builder.add_task(Task(name, "sleep", payload={"seconds": 0.02}, resources=needs))
    builder.add_dependency("a1", "a2").add_dependency("b1", "b2")
    return builder


async def _order(talka: Orchestrator, workflow: Workflow) -> list[str]:
    """Return the tasks in the order in which they began."""
    execution_id = await talka.submit_workflow(workflow)
    await talka.wait(execution_id)
    commits = await talka.histories.commits(talka.histories.name(execution_id))
    events = [event for _, commit in commits for _, _, event in commit.events()]
    return [event.task_id for event in events if isinstance(event, TaskStarted)]


async def test_a_pool_decides_where_a_workflow_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its strategy is taken by whoever names none, and outlives the process that declared it."""
    named = two_chains().set_strategy(Strategy.BREADTH_FIRST).build()
    options = LocalOptions(data_dir=tmp_path, durability="process", capacity={"cpu_cores": 1.0})
    async with local(options, strategy="depth_first") as talka:
        assert await _order(talka, two_chains().build()) == DEPTH
        assert await _order(talka, named) == BREADTH
        assert (await talka.get_available_resources()).strategy == "depth_first"
    async with local(options) as talka:
        # The pool's log may be long: it is not read again for each submission.
        monkeypatch.delattr(Histories, "pool")
        assert await _order(talka, two_chains().build()) == DEPTH
    monkeypatch.undo()
    async with local(options, strategy="breadth_first") as talka:
        assert await _order(talka, two_chains().build()) == BREADTH
