"""Goal: control flow works on the real server, from the definition to the result."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, local
from talka_protocols.policies import Join
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.cli.verification import verify_execution

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Orchestrator]:
    """Return a client of a platform; whatever ran on it is verified at the end."""
    directory: Path = tmp_path_factory.mktemp("talka")
    async with local(data_dir=directory, durability="process", snapshot_every=20) as orchestrator:
        yield orchestrator
        ports = orchestrator.node.ports
        records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
        for execution_id in await orchestrator.histories.names("execution"):
            verdict = await verify_execution(records, execution_id)
            assert verdict.violations == (), execution_id


def sleep(task_id: str, result: Any = None, **more: Any) -> Task:
    """Return a task that returns ``result`` at once."""
    return Task(task_id, "sleep", payload={"seconds": 0, "result": result}, **more)


def workflow(*tasks: Task) -> Workflow:
    """Build a workflow of nothing but tasks."""
    return Workflow("flow", "flow", tasks)


async def test_a_condition_looks_into_a_large_result(talka: Orchestrator) -> None:
    """The worker reports what conditions look at, and one branch runs."""
    result = await talka.execute_workflow(
        workflow(
            sleep("test", {"head": {"n": 1}, "rows": "x" * 100_000}),
            sleep("yes", when="test.head.n == 1"),
            sleep("no", when='tasks["test"].result.head.n != 1'),
            sleep("merge", dependencies=("yes", "no"), join=Join.ANY),
            sleep("blind", when="size(test.rows) == 100000"),
        )
    )
    statuses = {task_id: task.status for task_id, task in result.tasks.items()}
    assert statuses["yes"] is TaskStatus.SUCCEEDED
    assert statuses["no"] is TaskStatus.SKIPPED
    assert statuses["merge"] is TaskStatus.SUCCEEDED
    error = result.tasks["blind"].error
    assert error is not None
    assert (error.code, "too large" in error.message) == ("condition_failed", True)
    assert result.status is ExecutionState.FAILED
