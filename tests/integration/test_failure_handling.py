"""Failure handling on the embedded platform: retries by rule, pauses, endings that go on, fallbacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_protocols.errors import RequestRefusedError
from talka_protocols.policies import Action, OnFailure, RetryPolicy
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow, WorkflowConfig
from talka_services.cli.records import Records
from talka_services.client.verifying import verify_execution

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Orchestrator]:
    """Return a client of a platform with one worker; what it ran is verified in the end."""
    directory: Path = tmp_path_factory.mktemp("talka")
    async with local(
        data_dir=directory,
        capacity={"cpu_cores": 2.0, "memory_mb": 1000.0},
        durability="process",
        snapshot_every=20,
    ) as orchestrator:
        yield orchestrator
        ports = orchestrator.node.ports
        records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
        for execution_id in await orchestrator.histories.names("execution"):
            verdict = await verify_execution(records, execution_id)
            assert verdict.violations == (), execution_id


def workflow(*tasks: Task, edges: tuple[tuple[str, str], ...] = ()) -> Workflow:
    """Build a workflow."""
    builder = WorkflowBuilder("test")
    for task in tasks:
        builder.add_task(task)
    for edge in edges:
        builder.add_dependency(*edge)
    return builder.build()


def shell(task_id: str, script: str, **more: Any) -> Task:
    """Return a task that runs a shell script."""
    return Task(task_id, "command", payload={"argv": ["sh", "-c", script]}, **more)


def sleep(task_id: str, seconds: float = 0.0, **more: Any) -> Task:
    """Return a task that sleeps."""
    return Task(task_id, "sleep", payload={"seconds": seconds}, **more)


async def test_rules_about_errors_know_exit_codes_and_exceptions(talka: Orchestrator) -> None:
    """What a task's error is decides whether it is tried again, whatever ran it."""
    only_75 = RetryPolicy(base_seconds=0.05, only=("exit_75",))
    never_value = RetryPolicy(base_seconds=0.05, never=("ValueError",))
    only_json = RetryPolicy(base_seconds=0.05, only=("json.*",))
    call = {"call": "json:loads", "arguments": {"s": "{"}}
    result = await talka.execute_workflow(
        workflow(
            shell("flaky", 'test "$TALKA_ATTEMPT" -ge 2 || exit 75', retries=3, retry=only_75),
            shell("wrong", "exit 1", retries=3, retry=only_75),
            Task("never", "python", payload=call, retries=3, retry=never_value),
            Task("only", "python", payload=call, retries=1, retry=only_json),
        )
    )
    attempts = {task_id: task.attempts for task_id, task in result.tasks.items()}
    assert attempts == {"flaky": 2, "wrong": 1, "never": 1, "only": 2}
    assert result.tasks["flaky"].status is TaskStatus.SUCCEEDED
    assert result.status is ExecutionState.FAILED


async def test_an_execution_is_paused_and_resumed(talka: Orchestrator) -> None:
    """While it is paused nothing new starts; a second pause is no fault, a second resume is refused."""
    execution_id = await talka.submit_workflow(workflow(sleep("a", 2.0), sleep("b"), edges=(("a", "b"),)))
    async for status in talka.watch(execution_id):
        if status.running:
            break
    await talka.pause(execution_id, reason="lunch")
    await talka.pause(execution_id, reason="a long lunch")
    status = await talka.get_execution_status(execution_id)
    while status.done == 0:
        status = await talka.get_execution_status(execution_id)
    assert (status.status, status.reason) == (ExecutionState.PAUSED, "a long lunch")
    assert status.counts[TaskStatus.READY] == 1
    await talka.resume(execution_id)
    result = await talka.wait(execution_id)
    assert result.status is ExecutionState.SUCCEEDED
    with pytest.raises(RequestRefusedError) as caught:
        await talka.resume(execution_id)
    assert caught.value.code == "not_paused"


async def test_a_paused_task_is_left_out_until_it_is_resumed(talka: Orchestrator) -> None:
    """The others go on and the execution waits for it."""
    execution_id = await talka.submit_workflow(workflow(sleep("a", 2.0), sleep("b"), edges=(("a", "b"),)))
    await talka.histories.until_begun(execution_id)
    await talka.pause(execution_id, "b")
    status = await talka.get_execution_status(execution_id)
    while status.done == 0:
        status = await talka.get_execution_status(execution_id)
    assert (status.status, status.paused) == (ExecutionState.RUNNING, ("b",))
    await talka.resume(execution_id, "b")
    assert (await talka.wait(execution_id)).is_success


async def test_waiting_after_a_resume_waits_for_the_new_end(talka: Orchestrator) -> None:
    """An execution that ran out of time goes on where it stopped; its old ending is nobody's result."""
    built = replace(workflow(shell("a", "echo once"), sleep("b", 1.0)), config=WorkflowConfig(timeout=0.6))
    result = await talka.execute_workflow(built)
    assert result.status is ExecutionState.TIMED_OUT
    await talka.resume(result.execution_id, seconds=30)
    again = await talka.wait(result.execution_id)
    assert again.status is ExecutionState.SUCCEEDED
    assert again.tasks["a"] == result.tasks["a"]
    assert again.tasks["b"].attempts == 2
    seen = [status.status async for status in talka.watch(result.execution_id)]
    assert seen == [ExecutionState.SUCCEEDED]


async def test_a_fallback_stands_in_for_what_failed(talka: Orchestrator) -> None:
    """Its result is the task's, and what it refers to was there before."""
    plan_b = Action("command", {"argv": ["echo", "${old.stdout}"]})
    result = await talka.execute_workflow(
        workflow(
            shell("old", "echo rain"),
            shell("new", "exit 69", fallback=plan_b),
            Task("plan", "command", payload={"argv": ["echo", "plan for ${new.stdout}"]}),
        )
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert result.tasks["plan"].result["stdout"].strip() == "plan for rain"
    assert result.tasks["new"].attempts == 2


async def test_a_failure_ends_everything_where_that_was_asked_for(talka: Orchestrator) -> None:
    """What runs is stopped at once."""
    built = workflow(sleep("long", 60), shell("bad", "sleep 0.3; exit 1"))
    fast = replace(built, config=WorkflowConfig(on_failure=OnFailure.FAIL_FAST))
    async with asyncio.timeout(30):
        result = await talka.execute_workflow(fast)
    assert (result.status, result.tasks["long"].status) == (ExecutionState.FAILED, TaskStatus.CANCELLED)
    assert "'bad'" in result.reason


async def test_a_cancelled_execution_may_be_cancelled_by_force(talka: Orchestrator) -> None:
    """A program that ignores its end is asked, and then killed; the reason stays the first one."""
    stubborn = shell("stubborn", "trap '' TERM; echo begun; sleep 60 & wait; sleep 60")
    execution_id = await talka.submit_workflow(workflow(stubborn))
    async for status in talka.watch(execution_id):
        if status.running:
            break
    assert await talka.cancel_execution(execution_id, "please")
    assert await talka.cancel_execution(execution_id, "now", is_forced=True)
    result = await talka.wait(execution_id)
    assert (result.status, result.reason) == (ExecutionState.CANCELLED, "please")


async def test_one_task_is_cancelled_and_the_others_go_on(talka: Orchestrator) -> None:
    """What runs is stopped, by force where it does not listen, and so is a sub-workflow; the rest goes on."""
    deaf = 'trap "" TERM; while :; do sleep 0.05; done'
    child = workflow(sleep("inner", 60.0))
    execution_id = await talka.submit_workflow(
        workflow(
            shell("deaf", deaf, on_failure=OnFailure.CONTINUE),
            Task("sub", "workflow", workflow=child),
            Task("wait", "wait", payload={"seconds": 60.0}),
            sleep("behind"),
            sleep("beside"),
            sleep("skipped"),
            edges=(("deaf", "behind"), ("wait", "skipped")),
        )
    )
    async with asyncio.timeout(20.0):
        async for status in talka.watch(execution_id):
            if "deaf" in status.running and {"sub", "wait"} <= set(status.waiting):
                break
    await talka.cancel_task(execution_id, "wait", reason="enough")
    await talka.cancel_task(execution_id, "sub")
    await talka.cancel_task(execution_id, "deaf", is_forced=True)
    result = await asyncio.wait_for(talka.wait(execution_id), 20.0)
    assert {task_id: task.status.value for task_id, task in result.tasks.items()} == {
        "deaf": "cancelled",
        "sub": "cancelled",
        "wait": "cancelled",
        "behind": "succeeded",
        "beside": "succeeded",
        "skipped": "skipped",
    }
    error = result.tasks["wait"].error
    assert error is not None
    assert (error.code, error.message) == ("cancelled", "Somebody cancelled this task alone: enough")
    with pytest.raises(RequestRefusedError) as caught:
        await talka.cancel_task(execution_id, "deaf")
    assert caught.value.code == "not_running"
