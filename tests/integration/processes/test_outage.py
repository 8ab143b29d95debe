"""The broker goes away and comes back, a worker freezes: no work is killed, and none is recorded twice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, WorkflowResult, connect
from talka_chaos.processes import NATS, SERVICES, Cluster
from talka_chaos.records import pool_events, pool_is_empty, record_of, until_done, until_started
from talka_protocols.events import WorkerJoined, WorkerLost
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow

log = logging.getLogger(__name__)

LONG_S = 8.0
RUN_S = 60
LOST_S = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("outages"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_cluster: Cluster) -> AsyncGenerator[Cluster]:
    """Every process of the platform, with two workers."""
    for worker_id in ("w1", "w2"):
        shared_cluster.add_worker(worker_id, "--slots", "16")
    await shared_cluster.start()
    yield shared_cluster
    assert shared_cluster.tracebacks() == []


def long_task_beside_a_chain() -> Workflow:
    """Return a task of 8 s, and 200 short ones each after the other."""
    builder = WorkflowBuilder("outage")
    builder.add_task(Task("long", "sleep", payload={"seconds": LONG_S}))
    for number in range(200):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.02}))
        if number:
            builder.add_dependency(f"t{number - 1}", f"t{number}")
    return builder.build()


async def losses(orchestrator: Orchestrator) -> list[WorkerLost]:
    """Return who was ever declared lost."""
    return [event for event in await pool_events(orchestrator) if isinstance(event, WorkerLost)]


async def outlive(running: Cluster, outage_s: float, *, kill: bool) -> WorkflowResult:
    """Run the workflow over an outage of the broker, and check that it cost nothing."""
    workflow = long_task_beside_a_chain()
    async with await connect(running.url) as orchestrator:
        lost_before = await losses(orchestrator)
        execution_id = await orchestrator.submit_workflow(workflow)
        await until_started(orchestrator, execution_id, "long")
        await until_done(orchestrator, execution_id, 10)
        before = await record_of(orchestrator, execution_id)
        if kill:
            running[NATS].kill()
            await asyncio.sleep(outage_s)
            await running.start(NATS)
        else:
            running[NATS].freeze()
            await asyncio.sleep(outage_s)
            running[NATS].thaw()
        back_at = time.monotonic()
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        log.info("%.2f s from the end of the outage to the end of the run", time.monotonic() - back_at)
        after = await record_of(orchestrator, execution_id)
        assert 0 < before.done < len(workflow.tasks)
        assert after.began_as(before)
        assert after.faults(frozenset(task.id for task in workflow.tasks)) == []
        assert await losses(orchestrator) == lost_before, "nobody is lost because the broker was away"
        assert await pool_is_empty(orchestrator, LOST_S) == ""
        return result


@pytest.mark.parametrize(("outage_s", "kill"), [(5.0, False), (6.0, True)], ids=["frozen", "killed"])
async def test_broker_outage_kills_no_work(running: Cluster, outage_s: float, kill: bool) -> None:
    """While the broker is away longer than any lease, what runs goes on, and it is not started again."""
    result = await outlive(running, outage_s, kill=kill)
    assert result.status is ExecutionState.SUCCEEDED
    assert {task.attempts for task in result.tasks.values()} == {1}
    assert all(running[name].is_running for name in (*SERVICES, "w1", "w2"))


async def test_frozen_worker_is_replaced_and_rejoins(running: Cluster) -> None:
    """A worker silent for its whole lease loses its attempts, reports in vain, and joins anew."""
    builder = WorkflowBuilder("frozen")
    for number in range(8):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 2.0}))
    builder.add_task(Task("tail", "sleep", payload={"seconds": 4.0}))
    for number in range(8):
        builder.add_dependency(f"t{number}", "tail")
    workflow = builder.build()
    async with await connect(running.url) as orchestrator:
        joined_before = len([e for e in await pool_events(orchestrator) if isinstance(e, WorkerJoined)])
        execution_id = await orchestrator.submit_workflow(workflow)
        await asyncio.gather(*(until_started(orchestrator, execution_id, f"t{n}") for n in range(8)))
        state = await orchestrator.histories.execution(execution_id)
        frozen = sorted(task_id for task_id, task in state.tasks.items() if task.worker_id == "w1")
        running["w1"].freeze()
        frozen_at = time.monotonic()
        # The tail starts when everything of the frozen worker has run elsewhere.
        assert await asyncio.wait_for(until_started(orchestrator, execution_id, "tail"), RUN_S) == "w2"
        log.info("everything has run elsewhere %.2f s after the freeze", time.monotonic() - frozen_at)
        running["w1"].thaw()
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        after = await record_of(orchestrator, execution_id)
        joins = [e for e in await pool_events(orchestrator) if isinstance(e, WorkerJoined)][joined_before:]
        inventory = await orchestrator.get_available_resources()
        assert await pool_is_empty(orchestrator, LOST_S) == ""
    assert frozen, "the test is about tasks on w1"
    assert result.status is ExecutionState.SUCCEEDED
    assert after.faults(frozenset(task.id for task in workflow.tasks)) == []
    again = {task_id: (task.attempts, task.worker) for task_id, task in result.tasks.items()}
    assert {again[task_id] for task_id in frozen} == {(2, "w2")}
    assert {attempts for task_id, (attempts, _) in again.items() if task_id not in frozen} == {1}
    assert [join.worker_id for join in joins] == ["w1"]
    assert joins[0].incarnation > 1
    assert [worker.worker_id for worker in inventory.workers] == ["w1", "w2"]


async def test_two_workers_of_one_id(running: Cluster) -> None:
    """Of two processes with one worker id one gives up and says why; the other works on."""
    twin = running.add_worker("w1", "--slots", "16", name="twin")
    twin.start()
    first = running["w1"]
    deadline = time.monotonic() + LOST_S
    while twin.is_running and first.is_running:
        assert time.monotonic() < deadline, "both still run"
        await asyncio.sleep(0.05)
    loser = first if twin.is_running else twin
    assert await loser.exited() != 0
    assert "another process uses its --worker-id" in loser.said()
    builder = WorkflowBuilder("after")
    for number in range(40):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.02}))
    async with await connect(running.url) as orchestrator:
        result = await asyncio.wait_for(orchestrator.execute_workflow(builder.build()), RUN_S)
    assert result.status is ExecutionState.SUCCEEDED
