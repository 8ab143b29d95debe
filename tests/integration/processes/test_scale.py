"""Many tasks, many executions, large results and large definitions on real processes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import time
from collections.abc import AsyncGenerator

import msgspec
import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, connect
from talka_chaos.processes import SERVICES, Cluster, resident_mb
from talka_chaos.records import pool_is_empty, record_of
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import shard_of
from talka_protocols.workflow import Workflow

log = logging.getLogger(__name__)

SHARDS = 4
RESULT_BYTES = 5_000_000
RUN_S = 110
EMPTY_S = 30
MODULE = """\
import hashlib

def make(size):
    return {"text": "x" * size, "size": size}

def measure(text):
    return {"length": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("scale"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_cluster: Cluster) -> AsyncGenerator[Cluster]:
    """Every process of the platform, with two workers that can import ``big``."""
    (shared_cluster.directory / "big.py").write_text(MODULE)
    for worker_id in ("w1", "w2"):
        shared_cluster.add_worker(worker_id)
    await shared_cluster.start()
    yield shared_cluster
    assert shared_cluster.tracebacks() == []


def layers(name: str, count: int, width: int, seconds: float = 0.0) -> Workflow:
    """Return layers of short sleeps; each task follows two of the layer before."""
    builder = WorkflowBuilder(name)
    builder.set_limits(max_tasks=count * width)
    for layer in range(count):
        for place in range(width):
            builder.add_task(Task(f"{layer}-{place}", "sleep", payload={"seconds": seconds}))
            if layer:
                builder.add_dependency(f"{layer - 1}-{place}", f"{layer}-{place}")
                builder.add_dependency(f"{layer - 1}-{(place + 1) % width}", f"{layer}-{place}")
    return builder.build()


async def run_and_check(
    orchestrator: Orchestrator, workflow: Workflow, execution_id: str | None = None
) -> str:
    """Run a workflow to its end, and check everything that was recorded."""
    execution_id = await orchestrator.submit_workflow(workflow, execution_id=execution_id)
    result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
    assert result.status is ExecutionState.SUCCEEDED
    assert {task.attempts for task in result.tasks.values()} == {1}
    record = await record_of(orchestrator, execution_id)
    assert record.faults(frozenset(task.id for task in workflow.tasks)) == []
    return execution_id


async def replay(cluster: Cluster, execution_id: str) -> tuple[int, str]:
    """Have the command line verify a history, and return its exit code and words."""
    command = (
        sys.executable,
        "-m",
        "talka",
        "replay",
        execution_id,
        "--verify",
        "--json",
        "--server",
        cluster.url,
    )
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), RUN_S)
    return process.returncode or 0, output.decode()


async def test_five_mb_result_passes_between_tasks(running: Cluster) -> None:
    """A result of 5 MB travels as a claim check: to the task that needs it, and to the client."""
    builder = WorkflowBuilder("large result")
    builder.add_task(
        Task("make", "python", payload={"call": "big:make", "arguments": {"size": RESULT_BYTES}})
    )
    measure = {"call": "big:measure", "arguments": {"text": "${make.text}"}}
    builder.add_task(Task("measure", "python", payload=measure))
    builder.add_task(Task("small", "sleep", payload={"seconds": 0, "result": {"size": "${make.size}"}}))
    async with await connect(running.url) as orchestrator:
        result = await asyncio.wait_for(orchestrator.execute_workflow(builder.build()), RUN_S)
        record = await record_of(orchestrator, result.execution_id)
    text = "x" * RESULT_BYTES
    assert {task_id: (task.status, task.error) for task_id, task in result.tasks.items() if task.error} == {}
    assert result.tasks["make"].result == {"text": text, "size": RESULT_BYTES}
    expected = {"length": RESULT_BYTES, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert result.tasks["measure"].result == expected
    assert result.tasks["small"].result == {"size": RESULT_BYTES}
    assert sum(len(body) for _position, body in record.bodies) < 100_000, "the log holds only the claim"


async def test_definition_over_the_payload_limit(running: Cluster) -> None:
    """A definition larger than any message is stored by its digest, runs, and replays."""
    builder = WorkflowBuilder("large definition")
    for number in range(30):
        payload = {"seconds": 0, "result": f"{number}" + "y" * 400_000}
        builder.add_task(Task(f"t{number}", "sleep", payload=payload))
        if number > 3:
            builder.add_dependency(f"t{number - 3}", f"t{number}")
    workflow = builder.build()
    async with await connect(running.url) as orchestrator:
        assert len(msgspec.json.encode(workflow)) > 8_000_000, "over max_payload"
        execution_id = await run_and_check(orchestrator, workflow)
        result = await orchestrator.wait(execution_id)
    assert result.tasks["t29"].result == "29" + "y" * 400_000
    code, words = await replay(running, execution_id)
    assert code == 0, words


async def test_five_executions_over_all_shards(running: Cluster) -> None:
    """Executions of every shard run side by side and each ends as if it were alone."""
    ids: dict[str, str] = {}
    number = 0
    while len(ids) < SHARDS:
        execution_id = f"parallel-{number}"
        ids.setdefault(shard_of(execution_id, SHARDS), execution_id)
        number += 1
    chosen = [*ids.values(), f"parallel-{number}"]
    async with await connect(running.url) as orchestrator:
        began = time.monotonic()
        await asyncio.gather(
            *(run_and_check(orchestrator, layers("shard", 10, 40, 0.01), chosen_id) for chosen_id in chosen)
        )
        log.info("5 x 400 tasks: %.2f s", time.monotonic() - began)
        assert await pool_is_empty(orchestrator, EMPTY_S) == ""
    codes = [await replay(running, execution_id) for execution_id in chosen]
    assert [words for code, words in codes if code] == []


async def test_fifty_small_workflows_at_once(running: Cluster) -> None:
    """Fifty workflows submitted at the same moment all end."""
    async with await connect(running.url) as orchestrator:
        began = time.monotonic()
        await asyncio.gather(
            *(run_and_check(orchestrator, layers(f"small {number}", 3, 4, 0.01)) for number in range(50))
        )
        log.info("50 x 12 tasks: %.2f s", time.monotonic() - began)
        assert await pool_is_empty(orchestrator, EMPTY_S) == ""


async def test_ten_thousand_tasks(running: Cluster) -> None:
    """An execution of ten times the default limit ends, and nobody's memory grows without bound."""
    before = {name: resident_mb(running[name].pid) for name in (*SERVICES, "w1", "w2")}
    async with await connect(running.url) as orchestrator:
        began = time.monotonic()
        execution_id = await run_and_check(orchestrator, layers("ten thousand", 20, 500))
        log.info("10,000 tasks: %.2f s with the checks", time.monotonic() - began)
        assert await pool_is_empty(orchestrator, EMPTY_S) == ""
    code, words = await replay(running, execution_id)
    assert code == 0, words
    after = {name: resident_mb(running[name].pid) for name in before}
    log.info("resident MiB before %s, after %s", before, after)
    assert max(after.values()) < 400
