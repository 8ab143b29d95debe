"""Waiting for, watching and cancelling executions that have not begun, or never will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from talka import Orchestrator, Task, WorkflowBuilder
from talka_protocols.errors import UnknownExecutionError
from talka_protocols.states import ExecutionState
from talka_protocols.workflow import Workflow
from talka_services.client import following as module
from talka_services.jetstream.connection import Connection
from talka_services.service.node import Node


def workflow() -> Workflow:
    """Return a workflow of one task, which nobody here runs."""
    return WorkflowBuilder("test").add_task(Task("a", "sleep", payload={"seconds": 60})).build()


@pytest.fixture
async def node(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A process without services on a server, where unknown ids are waited for only briefly."""
    monkeypatch.setattr(module, "UNKNOWN_S", 0.3)
    async with await Node.open(connection.address, namespace=connection.names.namespace) as node:
        yield node


async def test_an_id_that_never_appears_is_unknown(node: Node) -> None:
    """Nobody waits for ever for what nobody submitted."""
    client = Orchestrator(node)
    async with asyncio.timeout(20):
        with pytest.raises(UnknownExecutionError):
            await client.wait("nobody")
        with pytest.raises(UnknownExecutionError):
            await anext(client.watch("nobody"))
        with pytest.raises(UnknownExecutionError):
            await client.cancel_execution("nobody")


async def test_ones_own_submission_is_waited_for_until_a_planner_runs(node: Node) -> None:
    """The request is on file, so waiting, watching and cancelling go on until the services come."""
    client = Orchestrator(node)
    execution_id = await client.submit_workflow(workflow())
    waiting = asyncio.create_task(client.wait(execution_id))
    watching = asyncio.ensure_future(anext(client.watch(execution_id)))
    cancelling = asyncio.create_task(client.cancel_execution(execution_id, "too late"))
    done, _ = await asyncio.wait([waiting, watching, cancelling], timeout=1.0)
    assert not done
    node.own()
    async with asyncio.timeout(30):
        assert await cancelling
        assert (await waiting).status is ExecutionState.CANCELLED
        assert (await watching).execution_id == execution_id


async def test_what_was_just_submitted_can_be_cancelled(node: Node) -> None:
    """Between the submission and the execution's first event there is no moment to miss."""
    node.own()
    client = Orchestrator(node)
    async with asyncio.timeout(30):
        execution_id = await client.submit_workflow(workflow())
        assert await client.cancel_execution(execution_id)
        assert (await client.wait(execution_id)).status is ExecutionState.CANCELLED
