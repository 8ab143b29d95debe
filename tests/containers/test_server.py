"""A NATS server in a container, configured as it is shipped: it is frozen, killed and started again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy
from tests.containers.stack import free_ports

import talka
from talka import Task, WorkflowBuilder
from talka_chaos.processes import SERVICES, Cluster

ROOT = Path(__file__).parents[2]
IMAGE = "nats:2.12-alpine"
FROZEN_S = 8.0
"""Longer than any lease and than a worker's silence may be."""
TASKS = 40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.containers,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("containers"),
]


@pytest.fixture
def container(engine: None) -> Iterator[DockerContainer]:
    """A server in a container of its own, at a port that stays when it is started again."""
    with TemporaryDirectory() as data, ExitStack() as stack:
        container = (
            DockerContainer(IMAGE)
            .with_command("-c /etc/talka/nats.conf")
            .with_volume_mapping(str(ROOT / "deploy/nats/single.conf"), "/etc/talka/nats.conf", "ro")
            .with_volume_mapping(data, "/data", "rw")
            .with_bind_ports(4222, free_ports(1)[0])
            .waiting_for(LogMessageWaitStrategy("Server is ready"))
        )
        yield stack.enter_context(container)


@pytest_asyncio.fixture
async def server(container: DockerContainer, tmp_path: Path) -> AsyncIterator[str]:
    """The address of the server, with all services and two workers beside it."""
    cluster = Cluster(tmp_path)
    cluster.url = f"nats://127.0.0.1:{container.get_exposed_port(4222)}"
    names = [cluster.configure(name).name for name in SERVICES]
    names += [cluster.add_worker(name).name for name in ("w1", "w2")]
    try:
        await cluster.start(*names)
        yield cluster.url
        assert cluster.tracebacks() == []
    finally:
        cluster.discard()


async def test_a_server_that_is_frozen_or_killed_loses_nothing(
    container: DockerContainer, server: str
) -> None:
    """Everything runs once: while the server does not answer at all, and after it was killed."""
    builder = WorkflowBuilder("frozen").set_parallelism(4)
    for number in range(TASKS):
        payload = {"argv": ["sh", "-c", f"sleep 0.3; echo {number}"]}
        builder.add_task(Task(id=f"t{number}", agent_type="command", payload=payload))
    engine = container.get_wrapped_container()
    async with await talka.connect(server) as orchestrator:
        name = await orchestrator.submit_workflow(builder.build())
        await _until_done(server, name, 4)
        await asyncio.to_thread(engine.pause)
        await asyncio.sleep(FROZEN_S)
        await asyncio.to_thread(engine.unpause)
        await _until_done(server, name, 12)
        await asyncio.to_thread(engine.kill)
        await asyncio.to_thread(engine.start)
        result = await asyncio.wait_for(orchestrator.wait(name), 120)
    assert result.is_success
    assert [task.result["stdout"] for task in result.tasks.values()] == [f"{n}\n" for n in range(TASKS)]
    said = [
        await asyncio.to_thread(_talka, server, *words)
        for words in (("replay", name, "--verify"), ("audit",))
    ]
    assert all(said)
    events = await asyncio.to_thread(_talka, server, "events", name, "--type", "TaskSucceeded", "--json")
    ended = [json.loads(line)["task_id"] for line in events.splitlines()]
    assert sorted(ended) == sorted(result.tasks)


def _talka(server: str, *words: str) -> str:
    """Run a command against the platform, and return what it prints."""
    argv = [sys.executable, "-m", "talka", *words, "--server", server]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


async def _until_done(server: str, name: str, tasks: int) -> None:
    """Return when so many tasks have ended."""
    async with await talka.connect(server) as orchestrator, asyncio.timeout(120):
        async for status in orchestrator.watch(name):
            if status.done >= tasks:
                return
