"""What every integration test's teardown notices: histories that were tampered with, and those that hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from talka import Task, WorkflowBuilder, local
from talka_chaos.verifier import Verifier
from talka_core.history import FOLDS, packed
from talka_protocols.commit import Commit, Decision, encode_commit
from talka_protocols.events import Event, TaskReady
from talka_protocols.ports import Snapshot
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.workflow import Workflow
from talka_services.embedded import EmbeddedServer
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.service import Node


def workflow(seconds: float = 0.0) -> Workflow:
    """Return a workflow of one task."""
    return WorkflowBuilder("verified").add_task(Task("a", "sleep", payload={"seconds": seconds})).build()


@asynccontextmanager
async def ended(directory: Path) -> AsyncGenerator[tuple[Node, LogName]]:
    """Run an execution to its end, close its platform, and look at what it has left."""
    async with local(data_dir=directory, durability="process") as talka:
        result = await talka.execute_workflow(workflow())
        name = talka.histories.name(result.execution_id)
    async with EmbeddedServer(directory) as server, await Node.open(server.url) as node:
        yield node, name


async def test_histories_that_hold_are_verified_while_they_grow(tmp_path: Path) -> None:
    """Each execution is verified once for each state it is found in, over or not."""
    verifier = Verifier()
    async with local(data_dir=tmp_path, durability="process") as talka:
        running = await talka.submit_workflow(workflow(60.0))
        async for status in talka.watch(running):
            if status.running:
                break
        await talka.execute_workflow(workflow())
        assert await verifier.data_directory(tmp_path) == []
        assert verifier.checked == 2
        await talka.cancel_execution(running)
        await talka.wait(running)
        assert await verifier.data_directory(tmp_path) == []
        assert verifier.checked == 3
    assert await verifier.store(tmp_path) == []


@pytest.mark.tampers
async def test_forged_snapshot_is_noticed(tmp_path: Path) -> None:
    """A snapshot that its log does not fold to fails the test that left it."""
    async with ended(tmp_path) as (node, name):
        ports = node.ports
        entry = await newest(name, ports.log, None, Definitions(ports.blobs))
        body = packed(FOLDS[EXECUTION], replace(entry.state, reason="forged"))
        await ports.snapshots.save(name, Snapshot(entry.position, entry.state.version, body, entry.last_at))
        (sentence,) = await Verifier().server(node.connection.address)
        assert "differs from the state folded there" in sentence


@pytest.mark.tampers
async def test_forged_commit_is_noticed(tmp_path: Path) -> None:
    """A commit that does not follow from the one before fails the test that left it."""
    async with ended(tmp_path) as (node, name):
        forged: Commit[Event] = Commit(999, 0, 0, (Decision("test", (TaskReady("a"),)),))
        last = (await node.ports.log.read(name))[-1].position
        await node.ports.log.append(name, last, encode_commit(forged), "forged")
        found = await Verifier().server(node.connection.address)
        assert any("should begin at event" in sentence for sentence in found)
