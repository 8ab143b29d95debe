"""Checkpoints and steps on the embedded platform: attempts that fail, time out or are large go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from talka import Orchestrator, Task, WorkflowBuilder, local
from talka_chaos.records import record_of
from talka_protocols.errors import RequestRefusedError
from talka_protocols.events import TaskCheckpointed, TaskRetrying
from talka_protocols.policies import RetryPolicy
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow
from talka_services.cli.records import Records
from talka_services.client.verifying import verify_execution
from talka_services.executors.registry import ExecutorSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODULE = "progress_work"
SOURCE = """
import asyncio
import time

def note(path, line):
    with open(path, "a") as file:
        file.write(line + "\\n")
    return line.upper()

async def fails_twice(context, path):
    done = await context.step("first", note, path, "first")
    pages = context.checkpointed or []
    await context.checkpoint([*pages, context.attempt])
    if context.attempt < 3:
        raise ValueError("not yet")
    return [done, context.checkpointed]

async def hangs_once(context, path):
    await context.checkpoint(context.attempt)
    if context.attempt == 1:
        await asyncio.sleep(600)
    return context.checkpointed

async def beats(context, path):
    for _ in range(12):
        await asyncio.sleep(0.25)
        await context.heartbeat()
    return context.attempt

def beats_plainly(context, path):
    for _ in range(12):
        time.sleep(0.25)
        context.heartbeat()
    return context.attempt

def large(context, path):
    if context.checkpointed is None:
        context.checkpoint("x" * 1_000_000)
        context.step("big", lambda: "y" * 100_000)
        raise ValueError("not yet")
    return [len(context.checkpointed), len(context.step("big", note, path, "never"))]

async def write(context, path):
    await context.write_artifact("book", b"\\x00" * 100_000)
    await context.write_artifact("copied", __file__)
    return len(await context.read_artifact("book"))

def read(context, path):
    return [len(context.read_artifact("book")), context.read_artifact("copied")[:6].decode()]

def missing(context, path):
    context.read_artifact("nothing")

def tells(context, path):
    note(path, f"{context.attempt} {context.fence} {context.idempotency_key}")
    if context.attempt < 3:
        raise ValueError("not yet")

async def many(context, path):
    await asyncio.gather(*(context.checkpoint(number) for number in range(500)))
    return context.attempt
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the module that the tasks call, and return its directory."""
    place = tmp_path_factory.mktemp("progress")
    (place / f"{MODULE}.py").write_text(SOURCE)
    return place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talka(place: Path) -> AsyncGenerator[Orchestrator]:
    """Return a client of a platform that snapshots often; every history is verified at the end."""
    data = place / "data"
    settings = ExecutorSettings(allow_modules=("*",), allow_commands=("*",), work_dir=str(place))
    async with local(
        data_dir=data, executors=settings, durability="process", snapshot_every=10
    ) as orchestrator:
        yield orchestrator
        ports = orchestrator.node.ports
        records = Records(ports.log, ports.blobs, ports.snapshots, ports.shards, "default")
        for execution_id in await orchestrator.histories.names("execution"):
            verdict = await verify_execution(records, execution_id)
            assert verdict.violations == (), execution_id


def calling(function: str, path: Path, **more: Any) -> Workflow:
    """Return a workflow of one task."""
    payload = {"call": f"{MODULE}:{function}", "arguments": {"path": str(path)}}
    return WorkflowBuilder(function).add_task(Task("a", "python", payload=payload, **more)).build()


async def test_failed_attempts_go_on(talka: Orchestrator, tmp_path: Path) -> None:
    """Each attempt adds to the checkpoint of the one before, and the step's effect happens once."""
    effects = tmp_path / "effects"
    result = await talka.execute_workflow(calling("fails_twice", effects, retries=2))
    assert result.status is ExecutionState.SUCCEEDED, result.tasks["a"].error
    assert result.tasks["a"].result == ["FIRST", [1, 2, 3]]
    assert effects.read_text() == "first\n"


async def test_every_attempt_has_the_key_of_the_task_and_a_fence_of_its_own(
    talka: Orchestrator, tmp_path: Path
) -> None:
    """Functions and commands alike: the key stays, so effects are recognised, and the fence grows."""
    told, said, soon = tmp_path / "told", tmp_path / "said", RetryPolicy(base_seconds=0.01)
    script = f'echo "$TALKA_ATTEMPT $TALKA_FENCE $TALKA_IDEMPOTENCY_KEY" >> {said}; test "$TALKA_ATTEMPT" = 3'
    function = calling("tells", told, retries=2, retry=soon)
    command = Task("c", "command", payload={"shell": script}, retries=2, retry=soon)
    result = await talka.execute_workflow(replace(function, tasks=(*function.tasks, command)))
    assert result.status is ExecutionState.SUCCEEDED, result.tasks
    for path, task_id in ((told, "a"), (said, "c")):
        attempts, fences, keys = zip(*(line.split() for line in path.read_text().splitlines()), strict=True)
        assert attempts == ("1", "2", "3")
        assert list(map(int, fences)) == sorted({*map(int, fences)})
        assert {*keys} == {f"{result.execution_id}/{task_id}"}


async def test_restart_from_an_older_checkpoint(talka: Orchestrator, tmp_path: Path) -> None:
    """The task goes on from the page that was chosen, not from its newest one, and not from the beginning."""
    effects = tmp_path / "effects"
    result = await talka.execute_workflow(calling("fails_twice", effects, retries=2))
    record = await record_of(talka, result.execution_id)
    versions = [version for version, event in record.events if isinstance(event, TaskCheckpointed)]
    about = (talka, result.execution_id)
    await restarted_from(*about, versions[0])
    again = await talka.wait(result.execution_id)
    assert again.tasks["a"].result == ["FIRST", [1, 4]]
    assert effects.read_text() == "first\n"
    with pytest.raises(RequestRefusedError, match="no checkpoint by event 1"):
        await restarted_from(*about, 1)
    with pytest.raises(RequestRefusedError, match="no task was named"):
        await talka.restart(result.execution_id, checkpoint=versions[0])


async def restarted_from(talka: Orchestrator, execution_id: str, event: int) -> None:
    """Restart the task from what it had saved by an event."""
    await talka.restart(execution_id, from_task="a", checkpoint=event)


async def test_time_out_keeps_the_checkpoint(talka: Orchestrator, tmp_path: Path) -> None:
    """An attempt that ran too long left its checkpoint to the next."""
    result = await talka.execute_workflow(calling("hangs_once", tmp_path / "x", retries=1, timeout=3.0))
    assert (result.status, result.tasks["a"].result) == (ExecutionState.SUCCEEDED, 2)


async def test_silence_ends_an_attempt(talka: Orchestrator, tmp_path: Path) -> None:
    """An attempt that hangs is stopped with a reason of its own, and the next goes on."""
    workflow = calling("hangs_once", tmp_path / "x", retries=1, heartbeat_timeout=2.0)
    result = await talka.execute_workflow(workflow)
    assert (result.status, result.tasks["a"].result) == (ExecutionState.SUCCEEDED, 2)
    record = await record_of(talka, result.execution_id)
    retried = [event.error for _, event in record.events if isinstance(event, TaskRetrying)]
    assert [error.code for error in retried] == ["heartbeat_timeout"]


@pytest.mark.parametrize("function", ["beats", "beats_plainly"])
async def test_beats_keep_an_attempt_alive(talka: Orchestrator, tmp_path: Path, function: str) -> None:
    """A task that runs longer than it may be silent, and beats, succeeds in its first attempt."""
    result = await talka.execute_workflow(calling(function, tmp_path / "x", heartbeat_timeout=2.0))
    assert (result.status, result.tasks["a"].result) == (ExecutionState.SUCCEEDED, 1), result.tasks["a"].error


async def test_large_values_travel_by_claim_check(talka: Orchestrator, tmp_path: Path) -> None:
    """A megabyte comes back whole, and the log holds only its claim check."""
    effects = tmp_path / "effects"
    result = await talka.execute_workflow(calling("large", effects, retries=1))
    assert result.tasks["a"].result == [1_000_000, 100_000], result.tasks["a"].error
    assert not effects.exists()
    record = await record_of(talka, result.execution_id)
    assert all(len(body) < 100_000 for _, body in record.bodies)


async def test_many_at_once_are_few_events(talka: Orchestrator, tmp_path: Path) -> None:
    """Of 500 checkpoints that are saved at the same time only a few are recorded, the newest among them."""
    result = await talka.execute_workflow(calling("many", tmp_path / "x"))
    assert result.status is ExecutionState.SUCCEEDED, result.tasks["a"].error
    record = await record_of(talka, result.execution_id)
    saved = [
        int(bytes(event.saved.data)) for _, event in record.events if isinstance(event, TaskCheckpointed)
    ]
    assert saved[-1] == 499
    assert len(saved) < 50


async def test_artifacts_are_read_by_later_tasks(talka: Orchestrator, tmp_path: Path) -> None:
    """Bytes and files come back whole; a reader that nothing orders behind the writer is told about."""
    builder = WorkflowBuilder("artifacts")
    for task_id, function in (("w", "write"), ("r", "read"), ("late", "read"), ("none", "missing")):
        payload = {"call": f"{MODULE}:{function}", "arguments": {"path": ""}}
        priority = 1 if task_id == "late" else 50
        builder.add_task(Task(task_id, "python", payload=payload, priority=priority))
    builder.add_dependency("w", "r").add_dependency("r", "none").set_parallelism(1)
    result = await talka.execute_workflow(builder.build())
    tasks = result.tasks
    assert (tasks["w"].result, tasks["r"].result) == (100_000, [100_000, "\nimpor"]), tasks["r"].error
    assert tasks["none"].error is not None
    assert "'nothing'" in tasks["none"].error.message
    assert tasks["late"].error is None
    assert [alert for alert in result.alerts if "depends_on: [w] into the task 'late'" in alert]
    assert not [alert for alert in result.alerts if "'r'" in alert]


async def test_observed_programs_race(talka: Orchestrator, tmp_path: Path) -> None:
    """Two programs that write one file in no order are found out, and the edge is named."""
    builder = WorkflowBuilder("observed").set_parallelism(1)
    for task_id in ("one", "two"):
        payload = {"shell": f"echo {task_id} > out.txt", "cwd": str(tmp_path), "observe": True}
        builder.add_task(Task(task_id, "command", payload=payload))
    result = await talka.execute_workflow(builder.build())
    assert result.status is ExecutionState.SUCCEEDED
    assert len(result.alerts) == 1
    assert "out.txt" in result.alerts[0]
    assert "depends_on: [one] into the task 'two'" in result.alerts[0]
