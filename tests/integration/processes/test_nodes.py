"""Three NATS nodes: any one may die, two may be away, and nothing recorded is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from talka import Orchestrator, Task, WorkflowBuilder, connect
from talka_chaos.processes import NODES, SERVICES, Cluster
from talka_chaos.records import Record, pool_is_empty, record_of, until_done
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow
from talka_services.jetstream.api import PREFIX

log = logging.getLogger(__name__)

TASKS = 400
RUN_S = 90
EMPTY_S = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("nodes"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(node_cluster: Cluster) -> AsyncGenerator[Cluster]:
    """Three servers, the services and two workers, each a process."""
    for worker_id in ("w1", "w2"):
        node_cluster.add_worker(worker_id, "--slots", "16")
    await node_cluster.start()
    yield node_cluster
    assert node_cluster.tracebacks() == []


def waits() -> Workflow:
    """Return many short sleeps, each after one of those before it."""
    builder = WorkflowBuilder("nodes")
    for number in range(TASKS):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": 0.05}))
        if number >= 32:
            builder.add_dependency(f"t{number - 32}", f"t{number}")
    return builder.build()


async def leader_of_the_log(orchestrator: Orchestrator) -> str:
    """Return the node that leads the stream of the logs."""
    connection = orchestrator.node.connection
    answer = await connection.request(f"{PREFIX}.STREAM.INFO.{connection.names.stream('log')}")
    leader: str = json.loads(answer.data)["cluster"]["leader"]
    return leader


async def begun(orchestrator: Orchestrator) -> tuple[str, Record]:
    """Return an execution in its middle, and what is recorded of it."""
    execution_id = await orchestrator.submit_workflow(waits())
    await until_done(orchestrator, execution_id, TASKS // 8)
    return execution_id, await record_of(orchestrator, execution_id)


async def ended_well(orchestrator: Orchestrator, execution_id: str, before: Record) -> None:
    """Check that an execution ends as if nothing had been."""
    result = await asyncio.wait_for(orchestrator.wait(execution_id), RUN_S)
    after = await record_of(orchestrator, execution_id)
    assert 0 < before.done < TASKS, "it must happen in the middle"
    assert result.status is ExecutionState.SUCCEEDED
    assert after.began_as(before), "what was recorded is lost"
    assert after.faults(frozenset(f"t{number}" for number in range(TASKS))) == []
    assert {task.attempts for task in result.tasks.values()} == {1}
    assert await pool_is_empty(orchestrator, EMPTY_S) == ""


async def test_the_leader_dies(running: Cluster) -> None:
    """The two others elect another leader of every stream, and the run goes on while the node is away."""
    async with await connect(running.url) as orchestrator:
        execution_id, before = await begun(orchestrator)
        leader = await leader_of_the_log(orchestrator)
        running[leader].kill()
        killed_at = time.monotonic()
        await until_done(orchestrator, execution_id, before.done + 64)
        log.info("working again %.1f s after %s died", time.monotonic() - killed_at, leader)
        await ended_well(orchestrator, execution_id, before)
        assert await leader_of_the_log(orchestrator) != leader
        await running.start(leader)
    assert all(running[name].is_running for name in (*SERVICES, "w1", "w2"))


async def test_two_nodes_are_away(running: Cluster) -> None:
    """One node alone records nothing; when the others are back it goes on where it was."""
    async with await connect(running.url) as orchestrator:
        execution_id, before = await begun(orchestrator)
        away = [name for name in NODES if name != await leader_of_the_log(orchestrator)]
        for name in away:
            running[name].kill()
        await asyncio.sleep(5)
        await running.start(*away)
        await ended_well(orchestrator, execution_id, before)
