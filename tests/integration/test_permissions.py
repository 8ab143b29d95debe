"""Every service under a user of its own: it can do its work, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.integration.permitted import PermittedServer

from talka_core.builder import WorkflowBuilder
from talka_protocols.messages import Recipient
from talka_protocols.permissions import PLANNING
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Task
from talka_services.client import Orchestrator, connect
from talka_services.executors.registry import Executors, ExecutorSettings
from talka_services.service import Node
from talka_services.service.worker import WorkerOptions

LARGE = "head -c 100000 /dev/zero | tr '\\0' x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PermittedServer]:
    """A server with two tenants, whose users differ by what they may do."""
    server = PermittedServer(tmp_path_factory.mktemp("permitted"), ("one", "two"))
    server.start()
    yield server
    server.stop()


@asynccontextmanager
async def platform(server: PermittedServer, namespace: str = "one") -> AsyncGenerator[Orchestrator]:
    """Run each service as its own user, and be a client."""
    async with AsyncExitStack() as stack:

        async def opened(user: str) -> Node:
            node = await Node.open(server.url, namespace=namespace, access=server.access(namespace, user))
            return await stack.enter_async_context(node)

        (await opened("planner")).own(PLANNING)
        (await opened("scheduler")).own((Recipient.SCHEDULER,))
        (await opened("resource")).own((Recipient.RESOURCE,))
        executors = Executors(ExecutorSettings(allow_commands=("*",)))
        worker = await opened("worker-w1")
        await worker.add_worker(WorkerOptions(worker_id="w1", capacity={"cpu_cores": 4.0}), executors)
        access = server.access(namespace, "client")
        yield await stack.enter_async_context(await connect(server.url, namespace=namespace, access=access))


def shell(task_id: str, script: str, *needs: str) -> Task:
    """Return a task that runs a shell."""
    argv = ["/bin/sh", "-c", script]
    return Task(id=task_id, name=task_id, agent_type="command", payload={"argv": argv}, dependencies=needs)


async def test_the_whole_platform_works_with_the_least_rights(server: PermittedServer) -> None:
    """Over TLS, to the end of a workflow with large results, and nothing was refused to anybody."""
    async with asyncio.timeout(60), platform(server) as client:
        workflow = (
            WorkflowBuilder("least")
            .add_task(shell("large", LARGE))
            .add_task(shell("then", "echo ok", "large"))
        )
        result = await client.execute_workflow(workflow.build())
        assert result.status is ExecutionState.SUCCEEDED, result
    assert server.violations() == []
