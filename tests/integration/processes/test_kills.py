"""Kills every kind of process in the middle of runs of 1,000 tasks; each run ends as if nothing had been."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, connect
from talka_chaos.processes import NATS, SERVICES, Cluster, resident_mb
from talka_chaos.records import pool_is_empty, record_of, until_done
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow

log = logging.getLogger(__name__)

TASKS = 1_000
SLOTS = 16
RUN_S = 60
EMPTY_S = 20
VICTIMS = ("planner", "scheduler", "resource", "w1", NATS)
PAIRS = (("scheduler", NATS), ("w1", "resource"), ("planner", "scheduler"), ("resource", NATS))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("kills"),
]


def random_graph(draw: random.Random) -> Workflow:
    """Return 1,000 short sleeps, each after at most two of the 200 before it."""
    builder = WorkflowBuilder("kills")
    for number in range(TASKS):
        seconds = draw.uniform(0.02, 0.06)
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": seconds}))
        for before in {
            draw.randrange(max(0, number - 200), number) for _ in range(draw.randint(0, 2)) if number
        }:
            builder.add_dependency(f"t{before}", f"t{number}")
    builder.set_parallelism(draw.choice((20, 28, TASKS)))
    return builder.build()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_cluster: Cluster) -> AsyncGenerator[Cluster]:
    """Every process of the platform, with two workers."""
    for worker_id in ("w1", "w2"):
        shared_cluster.add_worker(worker_id, "--slots", str(SLOTS))
    await shared_cluster.start()
    yield shared_cluster
    assert shared_cluster.tracebacks() == []


async def kill_and_check(
    cluster: Cluster, orchestrator: Orchestrator, seed: str, victims: tuple[str, ...]
) -> None:
    """Kill the victims at a moment drawn from the seed, start them again, and check the whole history."""
    draw = random.Random(seed)
    workflow = random_graph(draw)
    execution_id = await orchestrator.submit_workflow(workflow)
    await until_done(orchestrator, execution_id, draw.randrange(1, 800))
    before = await record_of(orchestrator, execution_id)
    for victim in victims:
        cluster[victim].kill()
    killed_at = time.monotonic()
    assert 0 < before.done < TASKS, "the kill must come in the middle"
    await asyncio.sleep(draw.uniform(0, 0.5))
    recovering = asyncio.create_task(until_done(orchestrator, execution_id, before.done + SLOTS * 4))
    recovering.add_done_callback(lambda _task: recovered.append(time.monotonic() - killed_at))
    recovered: list[float] = []
    await cluster.start(*victims)
    result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
    await recovering
    after = await record_of(orchestrator, execution_id)

    attempts = sum(task.attempts for task in result.tasks.values())
    log.info(
        "%s: killed at %d done, working again after %.2f s, %d attempts more",
        seed,
        before.done,
        recovered[0],
        attempts - TASKS,
    )
    assert result.status is ExecutionState.SUCCEEDED
    assert after.began_as(before), "what was recorded is lost"
    assert after.faults(frozenset(task.id for task in workflow.tasks)) == []
    if "w1" not in victims:
        assert attempts == TASKS, "no worker died, so nothing had to run again"
    else:
        assert attempts <= TASKS + SLOTS, "only what ran on the dead worker may run again"
    assert await pool_is_empty(orchestrator, EMPTY_S) == ""


@pytest.mark.parametrize("seed", range(20))
async def test_any_process_may_die(running: Cluster, seed: int) -> None:
    """A killed process, started again, loses nothing: one outcome a task, and what was recorded stays."""
    victim = VICTIMS[seed % len(VICTIMS)]
    async with await connect(running.url) as orchestrator:
        await kill_and_check(running, orchestrator, f"{victim}-{seed}", (victim,))


@pytest.mark.parametrize("victims", PAIRS, ids="+".join)
async def test_two_processes_may_die_at_once(running: Cluster, victims: tuple[str, ...]) -> None:
    """Two processes killed at the same moment lose nothing either."""
    async with await connect(running.url) as orchestrator:
        await kill_and_check(running, orchestrator, "+".join(victims), victims)


async def test_memory_does_not_grow(running: Cluster) -> None:
    """After all these runs no process holds memory for executions that are over."""
    sizes = {name: resident_mb(running[name].pid) for name in (*SERVICES, "w1", "w2")}
    log.info("resident MiB: %s", sizes)
    assert max(sizes.values()) < 200
