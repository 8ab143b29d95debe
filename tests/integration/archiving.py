"""What the tests of archives share: a platform in one process, and executions on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from tests.conftest import NatsServer

from talka import Orchestrator, Task, Workflow, WorkflowBuilder
from talka_core.scheduler.archiving import is_over
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import PLAN, Names
from talka_services.archives import Archivist, depot_of, opened, place_of
from talka_services.executors.registry import Executors
from talka_services.service import Node
from talka_services.service.worker import WorkerOptions

LATER_MS = 2**50


@asynccontextmanager
async def platform(server: NatsServer, names: Names) -> AsyncGenerator[Orchestrator]:
    """Serve a client beside all services and a worker; snapshots are taken often."""
    async with await Node.open(server.url, namespace=names.namespace, shards=2, snapshot_every=10) as node:
        node.own()
        await node.add_worker(WorkerOptions(worker_id="w1"), Executors())
        yield Orchestrator(node)


def archivist(
    talka: Orchestrator, place: Path | str, on_step: Callable[[str], None] = lambda _step: None
) -> Archivist:
    """Return one that archives to a directory, or to a URL."""
    return Archivist(talka.node.connection, talka.node.ports, depot_of(str(place)), on_step)


async def over(talka: Orchestrator, execution_id: str) -> None:
    """Return when an execution has ended and its pool has everything back: nothing of it is owed any more."""
    await talka.wait(execution_id)
    name = talka.histories.name(execution_id)
    async with aclosing(talka.histories.follow_commits(name)) as commits:
        async for _ in commits:
            if is_over(await talka.histories.execution(execution_id)):
                return


async def check_archived(talka: Orchestrator, execution_id: str, tasks: int, refused: int = 0) -> None:
    """Hold an archived execution to all that is promised of it."""
    status = await talka.get_execution_status(execution_id)
    assert (status.status, status.done, status.total) == (ExecutionState.SUCCEEDED, tasks, tasks)
    assert status.archived
    ports, name = talka.node.ports, talka.histories.name(execution_id)
    assert len(await ports.log.read(name)) == 1 + refused
    assert execution_id not in await talka.histories.names(PLAN)
    assert await ports.snapshots.load(name) is None
    archived = await place_of(ports.log, name)
    assert archived is not None
    async with opened(archived.place, archived.sha256) as archive:
        state = await archive.histories.execution(execution_id)
        assert len(state.tasks) == tasks
        assert state.version == archived.events


def waits(name: str, seconds: float = 0.0, count: int = 2) -> Workflow:
    """Return a workflow of so many tasks that sleep one after the other."""
    builder = WorkflowBuilder(name)
    for number in range(count):
        builder.add_task(Task(f"t{number}", "sleep", payload={"seconds": seconds}))
        if number:
            builder.add_dependency(f"t{number - 1}", f"t{number}")
    return builder.build()


__all__ = ["LATER_MS", "archivist", "check_archived", "over", "platform", "waits"]
