"""Goal: control flow works on the real server, from the definition to the result."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from talka import Dependency, Extended, Orchestrator, Task, WorkflowBuilder, local
from talka_protocols.policies import Join, Loop, MapOver
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.client.verifying import verify_execution

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Orchestrator]:
    """Return a client of a platform; whatever ran on it is verified at the end."""
    directory: Path = tmp_path_factory.mktemp("talka")
    async with local(
        data_dir=directory,
        durability="process",
        snapshot_every=20,
        agents={"planner": Planner(), "lister": Lister()},
    ) as orchestrator:
        yield orchestrator
        ports = orchestrator.node.ports
        records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
        for execution_id in await orchestrator.histories.names("execution"):
            verdict = await verify_execution(records, execution_id)
            assert verdict.violations == (), execution_id


class Planner:
    """An agent that adds as many steps as its task asks for, and one that makes a cycle if it is told to."""

    async def execute_task(self, task: Task) -> Extended:
        """Add a chain of steps in front of the task ``report``."""
        names = [f"{task.id}.{i}" for i in range(task.payload["steps"])]
        steps = [sleep(name, f"did {name}") for name in names]
        edges = [Dependency(a, b) for a, b in pairwise([*names, "report"])]
        if task.payload.get("cycle"):
            edges.append(Dependency("report", names[0]))
        return Extended(len(steps), steps, edges)


class Lister:
    """An agent that returns a list as long as its task asks for."""

    async def execute_task(self, task: Task) -> list[int]:
        """Return numbers from 0 on."""
        return list(range(task.payload["items"]))


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


async def test_a_map_runs_over_a_result(talka: Orchestrator) -> None:
    """Items are data, their results come in order, and a large one is named."""
    part = {"seconds": 0, "result": {"n": "${item.n}", "at": "${index}", "of": "${split.name}"}}
    items = [{"n": n} for n in range(30)]
    result = await talka.execute_workflow(
        workflow(
            sleep("split", {"parts": items, "name": "x"}),
            Task("part", "sleep", payload=part, map=MapOver("${split.parts}", max_parallel=4)),
            Task("sum", "sleep", payload={"seconds": 0, "result": "${part.29.n}"}),
        )
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert result.tasks["part"].result == [{"n": n, "at": n, "of": "x"} for n in range(30)]
    assert result.tasks["part[7]"].result == {"n": 7, "at": 7, "of": "x"}
    assert result.tasks["sum"].result == 29


@pytest.mark.slow
async def test_a_map_over_a_million_items_is_a_clear_failure(talka: Orchestrator) -> None:
    """None of them becomes a task, what stands beside goes on, and the list is still to be had."""
    result = await talka.execute_workflow(
        workflow(
            Task("split", "lister", payload={"items": 1_000_000}),
            Task("part", "sleep", payload={"seconds": 0}, map=MapOver("${split}", max_items=1_000_000)),
            sleep("beside", "done"),
        )
    )
    error = result.tasks["part"].error
    assert error is not None
    assert error.code == "unresolved_reference"
    assert "What ${split} refers to is too large" in error.message
    assert "6,888,891 bytes" in error.message
    assert result.tasks["beside"].result == "done"
    assert len(result.tasks["split"].result) == 1_000_000
    assert set(result.tasks) == {"split", "part", "beside"}
    assert result.status is ExecutionState.FAILED


@pytest.mark.slow
@pytest.mark.parametrize("max_parallel", [100, None])
async def test_a_map_runs_over_thousands_of_items(talka: Orchestrator, max_parallel: int | None) -> None:
    """A list inside the limits is mapped over as a whole, its results are in order."""
    count = 5_000
    part = {"seconds": 0, "result": "${item}"}
    builder = WorkflowBuilder("wide").set_limits(max_tasks=count + 2)
    builder.add_task(Task("split", "lister", payload={"items": count}))
    over = MapOver("${split}", max_items=count, max_parallel=max_parallel)
    builder.add_task(Task("part", "sleep", payload=part, map=over))
    result = await talka.execute_workflow(builder.build())
    assert result.status is ExecutionState.SUCCEEDED
    assert result.tasks["part"].result == list(range(count))
    versions = (await talka.get_execution_status(result.execution_id)).version
    assert versions < 10 * count


async def test_a_map_over_what_fails_is_a_clear_failure(talka: Orchestrator) -> None:
    """The items' reasons are in the map's failure."""
    task = Task("m", "command", payload={"argv": ["${item}"]}, map=MapOver(["true", "false"]))
    result = await talka.execute_workflow(workflow(task))
    error = result.tasks["m"].error
    assert error is not None
    assert error.code == "map_failed"
    assert "m[1]: 'false' ended with exit code 1" in error.message


async def test_a_loop_runs_until_its_condition_holds(talka: Orchestrator) -> None:
    """Each round sees what the last one returned, a large result included."""
    payload = {
        "seconds": 0,
        "result": {"n": "${loop.iteration}", "rows": "x" * 100_000, "was": "${loop.result.n}"},
    }
    result = await talka.execute_workflow(
        workflow(Task("poll", "sleep", payload=payload, loop=Loop("result.n == 2", delay_seconds=0.05)))
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert result.tasks["poll"].attempts == 3
    assert (result.tasks["poll"].result["n"], result.tasks["poll"].result["was"]) == (2, 1)


@pytest.mark.parametrize(("cycle", "total"), [(False, 5), (True, 2)])
async def test_an_agent_adds_tasks_to_its_own_graph(talka: Orchestrator, cycle: bool, total: int) -> None:
    """What it adds runs before what waits for it; what would be a cycle is refused, and the rest goes on."""
    result = await talka.execute_workflow(
        workflow(
            Task("plan", "planner", payload={"steps": 3, "cycle": cycle}),
            sleep("report", dependencies=("plan",)),
        )
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert len(result.tasks) == total
    if not cycle:
        assert result.tasks["plan.2"].result == "did plan.2"
        ended, began = result.tasks["plan.2"].finished_at, result.tasks["report"].started_at
        assert ended is not None
        assert began is not None
        assert ended <= began
