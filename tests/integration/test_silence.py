"""Tasks that must show that they live: what programs print counts, and a stopped server is no silence."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.states import ExecutionState, TaskStatus
from talka_services.embedded import EmbeddedServer
from talka_services.executors.registry import ExecutorSettings

MODULE = "silence_work"
SOURCE = """
import asyncio

async def saves(context):
    for number in range(20):
        await asyncio.sleep(0.25)
        await context.checkpoint(number)
    return context.attempt
"""
LIMIT_S, OUTAGE_S = 2.0, 4.0


def _shell(task_id: str, line: str) -> Task:
    return Task(task_id, "command", payload={"shell": line}, heartbeat_timeout=LIMIT_S)


async def _until_running(orchestrator: Orchestrator, execution_id: str, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            # It is unknown until the planner has handed it over.
            with suppress(UnknownExecutionError):
                status = await orchestrator.get_execution_status(execution_id)
                if status.counts.get(TaskStatus.RUNNING, 0) >= count:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_neither_output_nor_an_outage_is_silence(tmp_path: Path) -> None:
    """What prints or saves goes on in its first attempt while the server is stopped; silence ends."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    settings = ExecutorSettings(allow_modules=("*",), allow_commands=("*",), work_dir=str(tmp_path))
    saves = Task("saves", "python", payload={"call": f"{MODULE}:saves"}, heartbeat_timeout=LIMIT_S)
    prints = _shell("prints", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.5; done")
    builder = WorkflowBuilder("silence").add_task(prints).add_task(saves)
    async with (
        EmbeddedServer(tmp_path / "data", "process") as server,
        local(data_dir=tmp_path / "data", executors=settings, durability="process") as orchestrator,
    ):
        execution_id = await orchestrator.submit_workflow(builder.build())
        await _until_running(orchestrator, execution_id, 2)
        os.kill(server.facts.pid, signal.SIGSTOP)
        await asyncio.sleep(OUTAGE_S)
        os.kill(server.facts.pid, signal.SIGCONT)
        result = await orchestrator.wait(execution_id)
        assert result.status is ExecutionState.SUCCEEDED, result.tasks
        assert {task_id: task.attempts for task_id, task in result.tasks.items()} == {"prints": 1, "saves": 1}

        silent = WorkflowBuilder("silent").add_task(_shell("silent", "echo begun; sleep 600")).build()
        ended = await orchestrator.execute_workflow(silent)
        error = ended.tasks["silent"].error
        assert (ended.tasks["silent"].status, error and error.code) == (
            TaskStatus.TIMED_OUT,
            "heartbeat_timeout",
        )
