"""Pool-wide amounts on real processes: never used twice at once, whoever dies or is cut off."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from itertools import pairwise

import psutil
import pytest
import pytest_asyncio
from msgspec import Struct

from talka import (
    Orchestrator,
    ResourceRequirements,
    Task,
    Workflow,
    WorkflowBuilder,
    WorkflowInvalidError,
    connect,
)
from talka_chaos.processes import NATS, Cluster
from talka_chaos.records import pool_events, pool_is_empty, until_started
from talka_core.resource.state import HELD_BACK_MS, LEASE_MS
from talka_protocols.events import AllocationGranted, SharedReturned, TaskAttemptLost, WorkerLost
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import POOL, LogName

log = logging.getLogger(__name__)

RUN_S = 60
EMPTY_S = 15
OUTAGE_S = 2 * LEASE_MS / 1000
NAP = {"seconds": 0}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("pool_wide"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_cluster: Cluster) -> AsyncGenerator[Cluster]:
    """Every process of the platform, with two workers and one licence for both."""
    shared_cluster.configure(
        "resource",
        *("--shared", "licence=1", "--ceiling", "cpu_cores=64"),
        *("--agent-type", "sleep", "--agent-type", "command"),
    )
    for worker_id in ("w1", "w2"):
        shared_cluster.add_worker(worker_id)
    await shared_cluster.start()
    yield shared_cluster
    assert shared_cluster.tracebacks() == []


class Returned(Struct, frozen=True):
    """How a lost licence came back: so long after its worker was lost, or because somebody saw the end."""

    waited_ms: int
    is_witnessed: bool


def licensed(task_id: str, seconds: float) -> Task:
    """Return a task that needs the licence."""
    needs = ResourceRequirements(custom_resources={"licence": 1.0})
    return Task(task_id, "sleep", payload={"seconds": seconds}, resources=needs)


def workflow_of(*tasks: Task) -> Workflow:
    """Return independent tasks as a workflow."""
    builder = WorkflowBuilder("pool-wide")
    for task in tasks:
        builder.add_task(task)
    return builder.build()


async def instants(orchestrator: Orchestrator) -> tuple[dict[str, int], dict[tuple[str, int], int]]:
    """Return when each worker was last lost, and when each attempt of a task was granted (milliseconds)."""
    lost: dict[str, int] = {}
    granted: dict[tuple[str, int], int] = {}
    for _position, commit in await orchestrator.histories.commits(LogName(POOL, "-", "default")):
        for _version, _cause, event in commit.events():
            if isinstance(event, WorkerLost):
                lost[event.worker_id] = commit.at
            elif isinstance(event, AllocationGranted):
                granted[event.holder.task_id, event.holder.attempt] = commit.at
    return lost, granted


async def test_one_licence_is_never_used_twice(running: Cluster) -> None:
    """Tasks on two workers that need the only licence run one after the other."""
    async with await connect(running.url) as orchestrator:
        tasks = [licensed(f"t{number}", 0.1) for number in range(8)]
        result = await asyncio.wait_for(orchestrator.execute_workflow(workflow_of(*tasks)), RUN_S)
        assert result.status is ExecutionState.SUCCEEDED
        spans = sorted((task.started_at or 0.0, task.finished_at or 0.0) for task in result.tasks.values())
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        inventory = await orchestrator.get_available_resources()
        assert inventory.shared["licence"].capacity == 1.0


async def killed_holder(running: Cluster, *, is_machine: bool) -> Returned:
    """Kill the worker that holds the licence, on a machine that dies also its witness; see it come back."""
    async with await connect(running.url) as orchestrator:
        execution_id = await orchestrator.submit_workflow(workflow_of(licensed("killed", 2.0)))
        worker_id = await until_started(orchestrator, execution_id, "killed")
        for process in psutil.Process(running[worker_id].pid).children() if is_machine else ():
            process.kill()
        died_at = time.time_ns() // 1_000_000
        running[worker_id].kill()
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        lost, granted = await instants(orchestrator)
        task = result.tasks["killed"]
        assert (result.status, task.attempts) == (ExecutionState.SUCCEEDED, 2)
        assert task.worker != worker_id
        assert await pool_is_empty(orchestrator, EMPTY_S) == ""
        returns = [event for event in await pool_events(orchestrator) if isinstance(event, SharedReturned)]
    await running.start(worker_id)
    again = granted["killed", 2]
    log.info("the licence is granted again %d ms after the death of %s", again - died_at, worker_id)
    return Returned(again - lost[worker_id], returns[-1].is_ended)


async def test_licence_of_a_dead_process_comes_back_at_once(running: Cluster) -> None:
    """When the process of the worker that holds the licence is killed, nobody waits for a lease."""
    assert (await killed_holder(running, is_machine=False)).is_witnessed


async def test_licence_of_a_dead_machine_comes_back_after_the_lease(running: Cluster) -> None:
    """When nobody is left to tell of the worker's death, the next holder waits for a whole lease."""
    returned = await killed_holder(running, is_machine=True)
    assert not returned.is_witnessed
    assert returned.waited_ms >= HELD_BACK_MS


async def test_outage_stops_only_what_holds_pool_wide_amounts(running: Cluster) -> None:
    """A broker outage longer than the lease stops the licence's holder, and lets everything else run on."""
    plain = Task("plain", "sleep", payload={"seconds": OUTAGE_S + 2.0})
    async with await connect(running.url) as orchestrator:
        execution_id = await orchestrator.submit_workflow(
            workflow_of(plain, licensed("held", OUTAGE_S + 2.0))
        )
        for task_id in ("plain", "held"):
            await until_started(orchestrator, execution_id, task_id)
        running[NATS].kill()
        await asyncio.sleep(OUTAGE_S)
        await running.start(NATS)
        result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
        assert result.status is ExecutionState.SUCCEEDED
        assert {task_id: task.attempts for task_id, task in result.tasks.items()} == {"plain": 1, "held": 2}
        commits = await orchestrator.histories.commits(orchestrator.histories.name(execution_id))
        lost = [
            event
            for _position, commit in commits
            for _version, _cause, event in commit.events()
            if isinstance(event, TaskAttemptLost)
        ]
        assert ["lost contact" in event.reason for event in lost] == [True]
        assert await pool_is_empty(orchestrator, EMPTY_S) == ""


@pytest.mark.parametrize(
    ("task", "code"),
    [
        (
            Task("t", "sleep", payload=NAP, resources=ResourceRequirements(cpu_cores=65.0)),
            "impossible_resources",
        ),
        (
            Task(
                "t", "sleep", payload=NAP, resources=ResourceRequirements(custom_resources={"licence": 2.0})
            ),
            "impossible_resources",
        ),
        (Task("t", "slepp", payload={"seconds": 0}), "unknown_agent_type"),
    ],
)
async def test_declared_ceiling_refuses(running: Cluster, task: Task, code: str) -> None:
    """What the pool was declared never to offer is refused before anything is stored."""
    async with await connect(running.url) as orchestrator:
        with pytest.raises(WorkflowInvalidError) as caught:
            await orchestrator.submit_workflow(workflow_of(task), execution_id="refused")
        assert caught.value.code == code
        assert "refused" not in await orchestrator.histories.names("plan")
