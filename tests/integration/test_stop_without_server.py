"""A process stops in time although its server is away."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from talka_services.executors.registry import Executors
from talka_services.service import Node, WorkerOptions

CLOSED_S = 20.0


class Killable(Protocol):
    """The fixture's server."""

    url: str

    def kill(self) -> None:
        """Kill it."""
        ...


async def test_node_closes_while_the_server_is_away(own_server: Killable) -> None:
    """A node with all services and a worker closes within the drain time and some seconds."""
    node = await Node.open(own_server.url, namespace="away", default_shards=2)
    node.own()
    worker = await node.add_worker(WorkerOptions(worker_id="w1", drain_s=0.2), Executors())
    # The worker is in its pool as soon as its heartbeats begin; before, it has nothing to say goodbye to.
    deadline = time.monotonic() + CLOSED_S
    while not worker.is_admitted:
        assert time.monotonic() < deadline, "the pool never admitted the worker"
        await asyncio.sleep(0.02)
    await asyncio.to_thread(own_server.kill)
    await asyncio.wait_for(node.close(), CLOSED_S)
