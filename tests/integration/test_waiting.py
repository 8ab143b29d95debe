"""What waits for time, for people and for the outside, on the real server and over its restarts."""

from __future__ import annotations

import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_core.scheduler import ExecutionRecord
from talka_core.status import result_of
from talka_protocols.errors import CallerError, RequestRefusedError, UnknownExecutionError
from talka_protocols.results import Awaited
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import Workflow

pytestmark = pytest.mark.asyncio

INSURE = {"question": "Insure it?", "choices": ["yes", "no"], "timeout_seconds": 0.2, "default": "no"}


def workflow(*tasks: Task) -> Workflow:
    """Build a workflow."""
    builder = WorkflowBuilder("waits")
    for task in tasks:
        builder.add_task(task)
    return builder.build()


def platform(directory: Path) -> Any:
    """Open the embedded platform of a directory."""
    return local(data_dir=directory, durability="process", capacity={"cpu_cores": 2.0})


async def until_waiting(talka: Orchestrator, execution_id: str, *task_ids: str) -> dict[str, Awaited]:
    """Return what these tasks wait for, as soon as all of them do."""
    async with aclosing(talka.histories.follow(execution_id)) as states:
        async for state in states:
            if _waiting(state) >= set(task_ids):
                tasks = result_of(state).tasks
                found = {task_id: tasks[task_id].waiting for task_id in task_ids}
                return {task_id: awaited for task_id, awaited in found.items() if awaited is not None}
    raise AssertionError(f"{task_ids} never waited together")


def _waiting(state: ExecutionRecord) -> set[str]:
    return {task_id for task_id, record in state.tasks.items() if record.status is TaskStatus.WAITING}


async def test_wait_outlives_the_platform(tmp_path: Path) -> None:
    """A wait that is due while nothing runs, and one that is due later, both end when they should."""
    tasks = (
        Task("short", "wait", payload={"seconds": 0.2}),
        Task("long", "wait", payload={"seconds": 3.0}),
        Task("years", "wait", payload={"until": "2999-01-01T00:00:00Z"}),
        Task("after", "sleep", payload={"seconds": 0}, dependencies=("short", "long")),
    )
    began_s = time.time()
    async with platform(tmp_path) as talka:
        execution_id = await talka.submit_workflow(workflow(*tasks))
        awaited = await until_waiting(talka, execution_id, "short", "long", "years")
        due = awaited["long"].until
        assert due is not None
        assert due >= began_s + 3.0
        assert awaited["years"].kind == "wait"
        assert (await talka.get_execution_status(execution_id)).running == ()
    async with platform(tmp_path) as talka:
        async with aclosing(talka.histories.follow(execution_id)) as states:
            async for state in states:
                if state.tasks and state.tasks["after"].status is TaskStatus.SUCCEEDED:
                    break
        tasks_now = result_of(await talka.histories.execution(execution_id)).tasks
        finished = tasks_now["long"].finished_at
        assert finished is not None
        assert due - 0.01 <= finished <= due + 2.0
        assert tasks_now["years"].status is TaskStatus.WAITING
        assert await talka.cancel_execution(execution_id)
        assert (await talka.wait(execution_id)).status is ExecutionState.CANCELLED


async def test_signals_and_answers_outlive_the_platform(tmp_path: Path) -> None:
    """What was asked, answered and sent before a restart holds after it, each exactly once."""
    tasks = (
        Task("paid", "signal", payload={"name": "paid"}),
        Task("shipped", "signal", payload={"name": "shipped-${paid.order}"}),
        Task("ask", "approval", payload={"question": "Ship order ${paid.order}?", "assignees": ["Ada"]}),
        Task("late", "approval", payload=INSURE),
    )
    async with platform(tmp_path) as talka:
        execution_id = await talka.submit_workflow(workflow(*tasks))
        await until_waiting(talka, execution_id, "paid", "late")
        assert await talka.signal(execution_id, "shipped-17", {"by": "boat"}, signal_id="boat-1")
        assert await talka.signal(execution_id, "paid", {"order": 17}, signal_id="bank-1")
        asked = (await until_waiting(talka, execution_id, "ask"))["ask"].data
        assert (asked["question"], asked["assignees"]) == ("Ship order 17?", ["Ada"])
    async with platform(tmp_path) as talka:
        assert not await talka.signal(execution_id, "paid", {"order": 18}, signal_id="bank-1")
        with pytest.raises(RequestRefusedError, match="one of approve, reject") as refused:
            await talka.approve(execution_id, "ask", "perhaps")
        assert refused.value.code == "unknown_choice"
        await talka.approve(execution_id, "ask", by="Ada", comment="paid in full")
        result = await talka.wait(execution_id)
        assert result.status is ExecutionState.SUCCEEDED
        assert result.tasks["shipped"].result == {"by": "boat"}
        assert result.tasks["ask"].result["by"] == "Ada"
        assert result.tasks["late"].result["choice"] == "no"
        for request in (talka.approve(execution_id, "ask"), talka.signal(execution_id, "paid")):
            with pytest.raises(RequestRefusedError, match="over"):
                await request
        with pytest.raises(UnknownExecutionError):
            await talka.signal("nobody", "paid")
        with pytest.raises(CallerError, match="bytes"):
            await talka.signal(execution_id, "paid", "x" * 100_000)
