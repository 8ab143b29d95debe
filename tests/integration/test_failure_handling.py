"""Failure handling on the embedded platform: retries by rule, pauses, endings that go on, fallbacks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_protocols.policies import RetryPolicy
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.cli.verification import verify_execution

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


QUICK = {"base_seconds": 0.05, "jitter": 0.0}


async def test_rules_about_errors_know_exit_codes_and_exceptions(talka: Orchestrator) -> None:
    """What a task's error is decides whether it is tried again, whatever ran it."""
    only_75 = RetryPolicy(only=("exit_75",), **QUICK)
    never_value = RetryPolicy(never=("ValueError",), **QUICK)
    only_json = RetryPolicy(only=("json.*",), **QUICK)
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
