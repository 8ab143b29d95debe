"""Those who only read the log, gateway and projector, die and come back: they must say what it says."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from talka_chaos.processes import Cluster, free_port
from talka_chaos.scenarios.scenario import Staged, command
from talka_protocols.subjects import EXECUTION
from talka_services.client import Orchestrator

GATEWAY, PROJECTOR = "gateway", "projector"
ROUNDS = 3
AWAY_S = 0.5
UP_S = 1.0
CAUGHT_UP_S = 20.0
PAGE = 200


@asynccontextmanager
async def kill_readers(directory: Path) -> AsyncGenerator[Staged]:
    """Kill the gateway and the projector, each time in the middle of their work, and start them again."""
    cluster = Cluster(directory)
    port, database = free_port(), directory / "model.sqlite"
    cluster.configure(GATEWAY, "--port", str(port))
    cluster.configure(PROJECTOR, "--database", str(database))

    async def inject(_orchestrator: Orchestrator) -> None:
        for _ in range(ROUNDS):
            for name in (GATEWAY, PROJECTOR):
                cluster[name].kill()
            await asyncio.sleep(AWAY_S)
            await cluster.start(GATEWAY, PROJECTOR)
            await asyncio.sleep(UP_S)

    async def check(orchestrator: Orchestrator) -> list[str]:
        return await differences(orchestrator, cluster.url, port, database)

    yield Staged(cluster, inject, check)


async def differences(orchestrator: Orchestrator, server: str, port: int, database: Path) -> list[str]:
    """Return a sentence for each execution of which gateway or read model say something else than its log."""
    expected = await _recorded(orchestrator)
    return [
        *_different("the gateway", await _served(port, expected), expected),
        *_different("the read model", await _projected(server, database, expected), expected),
    ]


async def _recorded(orchestrator: Orchestrator) -> dict[str, str]:
    """Return the state of every execution as its log has it."""
    histories = orchestrator.histories
    names = await histories.names(EXECUTION)
    return {name: str((await histories.execution(name)).status) for name in names}


async def _served(port: int, expected: dict[str, str]) -> dict[str, str]:
    """Return the state of every execution as the gateway has it."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as api:
        answers = await asyncio.gather(*(api.get(f"/executions/{name}") for name in expected))
    return {name: answer.json()["status"] for name, answer in zip(expected, answers, strict=True)}


async def _projected(server: str, database: Path, expected: dict[str, str]) -> dict[str, str]:
    """Return the state of every execution as the read model has it, as soon as it is right or late."""
    deadline = time.monotonic() + CAUGHT_UP_S
    words = ("list", "--json", "--limit", str(PAGE), "--server", server, "--database", str(database))
    while True:
        listed = json.loads(await command(sys.executable, "-m", "talka", *words))
        found = {each["execution_id"]: each["status"] for each in listed["executions"]}
        if found == expected or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.5)


def _different(who: str, found: dict[str, str], expected: dict[str, str]) -> list[str]:
    return [
        f"M1 {who} says of {name} {found.get(name)}, and its log says {status}"
        for name, status in expected.items()
        if found.get(name) != status
    ]
