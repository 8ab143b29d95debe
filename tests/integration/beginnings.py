"""What the tests of schedules and triggers share: a platform whose planner comes and goes, and its logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from tests.conftest import NatsServer

from talka import Orchestrator
from talka_protocols.messages import Recipient
from talka_protocols.subjects import LogName, Names
from talka_services.executors.registry import Executors
from talka_services.service import Node
from talka_services.service.node import PLANNING
from talka_services.service.worker import WorkerOptions

PATIENCE_S = 20.0


async def open_planner(server: NatsServer, names: Names) -> Node:
    """Start the one service that hosts planners, schedules and triggers."""
    node = await Node.open(server.url, namespace=names.namespace, shards=2)
    node.own(PLANNING)
    return node


@asynccontextmanager
async def without_planner(server: NatsServer, names: Names) -> AsyncGenerator[Orchestrator]:
    """Serve a client beside a scheduler, a pool and a worker."""
    async with await Node.open(server.url, namespace=names.namespace, shards=2) as node:
        node.own((Recipient.SCHEDULER, Recipient.RESOURCE))
        await node.add_worker(WorkerOptions(worker_id="w1"), Executors())
        yield Orchestrator(node)


async def first_events(orchestrator: Orchestrator, log: LogName, kind: type[Any], count: int) -> list[Any]:
    """Return the first events of a kind of a log as soon as there are so many."""
    found: list[Any] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        aclosing(orchestrator.histories.follow_commits(log)) as commits,
    ):
        async for _position, commit in commits:
            found += [event for _, _, event in commit.events() if isinstance(event, kind)]
            if len(found) >= count:
                return found
    raise AssertionError("a log is followed without end")
