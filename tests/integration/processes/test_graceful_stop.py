"""SIGTERM to each process under load: it ends with code 0, and nothing is lost or run twice."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, connect
from talka_chaos.processes import SERVICES, Cluster
from talka_chaos.records import Record, pool_is_empty, record_of, until_done, until_started
from talka_protocols.events import TaskStarted
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow

log = logging.getLogger(__name__)

TASKS = 600
SLOTS = 16
RUN_S = 60
STOP_S = 10

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("graceful_stop"),
]


def short_tasks(seed: str) -> Workflow:
    """Return 600 short sleeps, each after at most two of the 100 before it."""
    draw = random.Random(seed)
    builder = WorkflowBuilder("stops")
    for number in range(TASKS):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": draw.uniform(0.02, 0.06)}))
        earlier = range(max(0, number - 100), number)
        for before in draw.sample(earlier, min(len(earlier), draw.randint(0, 2))):
            builder.add_dependency(f"t{before}", f"t{number}")
    return builder.build()


def starts(record: Record) -> int:
    """Return how often an attempt began."""
    return sum(isinstance(event, TaskStarted) for _version, event in record.events)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_cluster: Cluster) -> AsyncGenerator[Cluster]:
    """Every process of the platform, with two workers."""
    for worker_id in ("w1", "w2"):
        shared_cluster.add_worker(worker_id, "--slots", str(SLOTS), "--drain", "1.5")
    await shared_cluster.start()
    yield shared_cluster
    assert shared_cluster.tracebacks() == []


async def stop_under_load(cluster: Cluster, orchestrator: Orchestrator, victim: str) -> None:
    """Stop a process in the middle of a run, start it again, and check what was recorded."""
    workflow = short_tasks(victim)
    execution_id = await orchestrator.submit_workflow(workflow)
    await until_done(orchestrator, execution_id, TASKS // 4)
    before = await record_of(orchestrator, execution_id)
    cluster[victim].send(signal.SIGTERM)
    stopped_at = time.monotonic()
    assert await cluster[victim].exited(STOP_S) == 0
    exited_s = time.monotonic() - stopped_at
    await cluster.start(victim)
    await until_done(orchestrator, execution_id, min(TASKS, before.done + 4 * SLOTS))
    recovered_s = time.monotonic() - stopped_at
    result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
    after = await record_of(orchestrator, execution_id)
    attempts = sum(task.attempts for task in result.tasks.values())
    log.info(
        "%s: exited after %.2f s, working after %.2f s, %d attempts, %d starts",
        victim,
        exited_s,
        recovered_s,
        attempts,
        starts(after),
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert 0 < before.done < TASKS
    assert after.began_as(before)
    assert after.faults(frozenset(task.id for task in workflow.tasks)) == []
    assert starts(after) == TASKS, "nothing runs twice"
    # A grant may cross the worker's farewell; it is given back before it ran.
    assert attempts <= TASKS + (2 if victim == "w1" else 0), "next to nothing had to be given back"
    assert await pool_is_empty(orchestrator, STOP_S) == ""


@pytest.mark.parametrize("victim", [*SERVICES, "w1"])
async def test_stop_under_load_costs_nothing(running: Cluster, victim: str) -> None:
    """A process told to stop under load ends with code 0; nothing is lost, and nothing runs twice."""
    async with await connect(running.url) as orchestrator:
        await stop_under_load(running, orchestrator, victim)


async def test_whole_platform_stops_and_goes_on(running: Cluster) -> None:
    """All processes told to stop at once end with code 0; started again, they finish the run."""
    async with await connect(running.url) as orchestrator:
        workflow = short_tasks("all")
        execution_id = await orchestrator.submit_workflow(workflow)
        await until_done(orchestrator, execution_id, TASKS // 4)
        names = (*SERVICES, "w1", "w2")
        for name in names:
            running[name].send(signal.SIGTERM)
        codes = [await running[name].exited(30) for name in names]
        assert codes == [0] * len(names)
        await running.start(*names)
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        after = await record_of(orchestrator, execution_id)
        assert result.status is ExecutionState.SUCCEEDED
        assert after.faults(frozenset(task.id for task in workflow.tasks)) == []
        assert await pool_is_empty(orchestrator, STOP_S) == ""


async def test_long_task_is_handed_back(running: Cluster) -> None:
    """A worker that may not wait for a long task hands it back, and another one runs it."""
    builder = WorkflowBuilder("long")
    builder.add_task(Task("long", "sleep", payload={"seconds": 6.0}))
    async with await connect(running.url) as orchestrator:
        execution_id = await orchestrator.submit_workflow(builder.build())
        worker_id = await until_started(orchestrator, execution_id, "long")
        hasty = running[worker_id]
        hasty.send(signal.SIGTERM)
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        assert await hasty.exited(STOP_S) == 0
        await running.start(worker_id)
    long = result.tasks["long"]
    assert result.status is ExecutionState.SUCCEEDED
    assert (long.attempts, long.worker != worker_id) == (2, True)
