"""The platform in containers: it runs, it is scaled, and whatever is killed loses and doubles nothing."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter

import httpx
import pytest
from tests.containers.stack import SERVICES, Stack

import talka
from talka import Orchestrator, Task, Workflow, WorkflowBuilder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.containers,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("containers"),
]

KILLED = (*SERVICES, "nats")
SIDE_BY_SIDE = 6
ENDS = {"TaskSucceeded", "TaskFailed", "TaskTimedOut", "TaskCancelled", "TaskSkipped"}
PATIENCE_S = 60.0
LOOK_S = 0.1


def test_the_quickstart_runs_on_it(stack: Stack) -> None:
    """The first example, from this machine, through the port that is published; the gateway tells of it."""
    done = json.loads(stack.talka("run", "docs/examples/quickstart.yaml", "--json"))
    assert done["status"] == "succeeded"
    assert {task["status"] for task in done["tasks"].values()} == {"succeeded"}
    with httpx.Client(base_url=stack.gateway, timeout=10) as ask:
        assert ask.get("/readyz").json()["status"] == "ready"
        assert "talka_execution_ended_total" in ask.get("/metrics").text
        assert ask.get(f"/api/v1/executions/{done['execution_id']}").json()["status"] == "succeeded"
        assert ask.get("/readyz", headers={"Host": "elsewhere.example"}).status_code == 403


def test_the_projector_keeps_the_read_model(stack: Stack) -> None:
    """What ran stands in the file on the volume, which only its user can write to."""
    lag = json.loads(stack.compose("exec", "-T", "projector", "talka", "projection", "status", "--json"))
    assert lag["database"] == "/var/lib/talka/readmodel.sqlite"
    assert lag["generation"] == 1


async def test_workers_come_and_go(stack: Stack) -> None:
    """One more container is one more worker in the pool, and leaves it when it is stopped."""
    async with await talka.connect(stack.server) as orchestrator:
        before = await _workers(orchestrator, count=2)
        await asyncio.to_thread(stack.start, "--scale", "worker=3")
        assert before < await _workers(orchestrator, count=3)
        await asyncio.to_thread(stack.start)
        await _workers(orchestrator, count=2)


async def _workers(orchestrator: Orchestrator, count: int) -> set[str]:
    """Return the ids of the pool's workers as soon as it has so many."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            pool = await orchestrator.get_available_resources()
            if len(pool.workers) == count:
                return {worker.worker_id for worker in pool.workers}
            await asyncio.sleep(LOOK_S)


def staged() -> Workflow:
    """Return a workflow with a stage for each kill, which begins when it is told to."""
    builder = WorkflowBuilder("staged")
    for service in KILLED:
        go = f"go-{service}"
        builder.add_task(Task(id=go, agent_type="signal", payload={"name": go}))
        for number in range(SIDE_BY_SIDE):
            task = f"{service}-{number}"
            payload = {"argv": ["sh", "-c", f"sleep {2 if number else 0.2}; echo {task}"]}
            builder.add_task(Task(id=task, agent_type="command", payload=payload, dependencies=(go,)))
    return builder.build()


# While the server is away, whoever forwards its port accepts connections and closes them, and nats-py leaves
# these to the garbage collector, which is to find them here and not in another test.
@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")
async def test_whatever_is_killed_each_task_has_one_outcome(stack: Stack) -> None:
    """Each service is killed while tasks run, the server at last, and is started again."""
    async with await talka.connect(stack.server) as orchestrator:
        name = await orchestrator.submit_workflow(staged())
        for done, service in enumerate(KILLED):
            await orchestrator.signal(name, f"go-{service}")
            await _until_done(orchestrator, name, done * (1 + SIDE_BY_SIDE) + 2)
            await asyncio.to_thread(stack.kill, service)
            await asyncio.to_thread(stack.start)
            await _until_done(orchestrator, name, (done + 1) * (1 + SIDE_BY_SIDE))
        result = await orchestrator.wait(name)
    gc.collect()
    assert result.is_success
    lines = stack.talka("events", name, "--json").splitlines()
    ended = Counter(event["task_id"] for event in map(json.loads, lines) if event["type"] in ENDS)
    assert set(ended) == {task.id for task in staged().tasks}
    assert set(ended.values()) == {1}
    stack.talka("replay", name, "--verify")
    stack.talka("audit")


async def _until_done(orchestrator: Orchestrator, name: str, tasks: int) -> None:
    """Return when so many tasks have ended; what was told to run goes on meanwhile."""
    async with asyncio.timeout(PATIENCE_S):
        async for status in orchestrator.watch(name):
            if status.done >= tasks:
                return


def test_every_service_stops_in_good_order(stack: Stack) -> None:
    """SIGTERM reaches it through its container's first process, and it ends with 0 before it is killed."""
    stack.compose("stop", *SERVICES)
    codes = {
        service: {each["State"]["ExitCode"] for each in stack.containers(service)} for service in SERVICES
    }
    assert codes == {service: {0} for service in SERVICES}
