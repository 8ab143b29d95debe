"""Sub-workflows on the real server: results, failures, cancelling, restarts, and large definitions."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from talka import Orchestrator, Task, WorkflowBuilder, WorkflowInvalidError, local
from talka_protocols.errors import RequestRefusedError
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.client.verifying import verify_execution

pytestmark = pytest.mark.asyncio


def built(name: str, *tasks: Task, **inputs: Any) -> Workflow:
    """Build a workflow."""
    builder = WorkflowBuilder(name).set_inputs(inputs)
    for task in tasks:
        builder.add_task(task)
    return builder.build()


def sub(task_id: str, child: Workflow, **options: Any) -> Task:
    """Return a task that runs a sub-workflow."""
    return Task(task_id, "workflow", workflow=child, **options)


def platform(directory: Path) -> Any:
    """Open the embedded platform of a directory."""
    return local(data_dir=directory, durability="process", capacity={"cpu_cores": 2.0})


async def verified(talka: Orchestrator) -> None:
    """Hold every history against the rules that it must obey."""
    ports = talka.node.ports
    records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
    for execution_id in await talka.histories.names("execution"):
        assert (await verify_execution(records, execution_id)).violations == (), execution_id


async def child_of(talka: Orchestrator, execution_id: str, task_id: str = "sub") -> str:
    """Return the id of a task's sub-workflow as soon as it waits for one that has begun."""
    async with aclosing(talka.histories.follow(execution_id)) as states:
        async for state in states:
            if state.tasks and state.tasks[task_id].is_child_started:
                await talka.histories.until_begun(state.tasks[task_id].awaited)
                return state.tasks[task_id].awaited
    raise AssertionError(f"{task_id} never waited for a sub-workflow")


async def test_values_go_in_and_results_come_out(tmp_path: Path) -> None:
    """Inputs come from results, an output may be large, and a child's failure is its task's."""
    echo = Task("echo", "sleep", payload={"seconds": 0, "result": {"got": "${input.value}"}})
    large = Task("large", "sleep", payload={"seconds": 0, "result": {"head": 7, "body": "x" * 200_000}})
    bad = Task("bad", "command", payload={"argv": ["false"]})
    async with platform(tmp_path) as talka:
        result = await talka.execute_workflow(
            built(
                "outer",
                Task("first", "sleep", payload={"seconds": 0, "result": {"n": 5}}),
                sub("small", built("c", echo, value=None), payload={"inputs": {"value": "${first.n}"}}),
                sub("big", built("c", large), payload={"output": "large"}),
                Task("head", "sleep", payload={"seconds": 0, "result": "${big.head} ${small.echo.got}"}),
                sub("failing", built("c", bad), retries=1),
            )
        )
        assert result.tasks["head"].result == "7 5"
        assert len(result.tasks["big"].result["body"]) == 200_000
        failing = result.tasks["failing"]
        assert (failing.status, failing.attempts) == (TaskStatus.FAILED, 2)
        assert failing.error is not None
        assert failing.error.code == "child_failed"
        parents = [await talka.get_execution_status(x) for x in await talka.histories.names("execution")]
        ours = [status.parent for status in parents if status.parent is not None]
        assert {(parent.execution_id, parent.task_id) for parent in ours} == {
            (result.execution_id, task_id) for task_id in ("small", "big", "failing")
        }
        with pytest.raises(WorkflowInvalidError, match="takes inputs"):
            await talka.submit_workflow(built("c", echo, value=None))
        await verified(talka)


async def test_restart_in_the_middle_of_a_sub_workflow(tmp_path: Path) -> None:
    """The parent and its child go on where they were, and the child runs once."""
    ask = Task("ask", "approval", payload={"question": "Go on?"})
    async with platform(tmp_path) as talka:
        execution_id = await talka.submit_workflow(built("outer", sub("sub", built("inner", ask))))
        child = await child_of(talka, execution_id)
    async with platform(tmp_path) as talka:
        status = await talka.get_execution_status(execution_id)
        assert (status.status, status.waiting) == (ExecutionState.RUNNING, ("sub",))
        await talka.approve(child, "ask", by="Ada")
        result = await talka.wait(execution_id)
        assert result.tasks["sub"].result["ask"]["by"] == "Ada"
        with pytest.raises(RequestRefusedError):
            await talka.approve(child, "ask")
        await verified(talka)


async def test_cancelling_reaches_the_sub_workflow(tmp_path: Path) -> None:
    """The parent is cancelled when its child is, and a child that somebody cancels fails its task."""
    long = Task("long", "sleep", payload={"seconds": 60})
    async with platform(tmp_path) as talka:
        workflow = built("outer", sub("sub", built("inner", long)))
        first, second = [await talka.submit_workflow(workflow) for _ in range(2)]
        child, other = [await child_of(talka, name) for name in (first, second)]
        assert await talka.cancel_execution(first, "enough")
        assert (await talka.wait(first)).tasks["sub"].status is TaskStatus.CANCELLED
        assert (await talka.get_execution_status(child)).status is ExecutionState.CANCELLED
        assert await talka.cancel_execution(other)
        error = (await talka.wait(second)).tasks["sub"].error
        assert error is not None
        assert other in error.message
        await verified(talka)


async def test_large_sub_workflow_travels_by_digest(tmp_path: Path) -> None:
    """A definition that no message could hold is stored, and runs like any other."""
    tasks = [Task(f"t{i}", "wait", payload={"seconds": 0}, labels={"pad": "x" * 9_000}) for i in range(80)]
    async with platform(tmp_path) as talka:
        result = await talka.execute_workflow(built("outer", sub("sub", built("inner", *tasks))))
        assert len(result.tasks["sub"].result) == 80
