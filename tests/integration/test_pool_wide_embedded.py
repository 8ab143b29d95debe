"""Pool-wide amounts of an embedded platform: for tasks, clients and reservations, over restarts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talka import ResourceRequirements, Task, WorkflowBuilder, WorkflowInvalidError, local
from talka_protocols.errors import ResourcesUnavailable
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import SharedResource, Workflow
from talka_services.cli.main import app

LICENCE = ResourceRequirements(custom_resources={"licence": 1.0})


def workflow_of(count: int, needs: ResourceRequirements = LICENCE) -> Workflow:
    """Return independent tasks that need the same."""
    builder = WorkflowBuilder("pool-wide")
    for number in range(count):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.05}, resources=needs))
    return builder.build()


async def test_pool_wide_amounts_for_everybody(tmp_path: Path) -> None:
    """One licence serves one task or client at a time, and a later start keeps the declaration."""
    async with local(data_dir=tmp_path, workers=2, shared={"licence": 1.0}, durability="process") as talka:
        result = await talka.execute_workflow(workflow_of(6))
        assert result.status is ExecutionState.SUCCEEDED
        spans = sorted((task.started_at or 0.0, task.finished_at or 0.0) for task in result.tasks.values())
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        held = await talka.resources.allocate_resources(Task("own", "sleep", resources=LICENCE))
        with pytest.raises(ResourcesUnavailable, match="the whole pool has 1, 0 free"):
            await talka.resources.reserve_resources(LICENCE)
        await talka.resources.release_resources(held)
        await talka.resources.reserve_resources(LICENCE)
        inventory = await talka.resources.get_available_resources()
        assert inventory.shared == {"licence": SharedResource(1.0, 0.0)}
    async with local(data_dir=tmp_path, durability="process") as talka:
        two = ResourceRequirements(custom_resources={"licence": 2.0})
        with pytest.raises(WorkflowInvalidError, match="the whole pool has 1"):
            await talka.submit_workflow(workflow_of(1, two))
        await talka.submit_workflow(workflow_of(1))


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (["up"], ["--shared"]),
        (["run"], ["--shared"]),
        (["service", "resource"], ["--shared", "--ceiling", "--agent-type"]),
    ],
)
def test_help_names_the_flags(command: list[str], flags: list[str]) -> None:
    """The flags that declare a pool are in the help of the commands that have them."""
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert [flag for flag in flags if flag in shown] == flags
