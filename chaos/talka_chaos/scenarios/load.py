"""The load: executions that arrive one after the other, and a client's own ledger of what it was promised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypeVar

from talka_core.builder import WorkflowBuilder
from talka_protocols.errors import PlatformError, UnknownExecutionError
from talka_protocols.results import WorkflowResult
from talka_protocols.workflow import Task, Workflow
from talka_services.client import Orchestrator

T = TypeVar("T")

TASKS = 25
WIDTH = 5
LEAST = 10
AFTER_HEALING = 3
EVERY_S = 0.35
PATIENCE_S = 10.0
AGAIN_S = 0.2
GO, WAITING = "go", f"t{TASKS // 2}"
"""A signal, and the task of each execution that waits for it."""


def graph(name: str, sink: Path, random: Random) -> Workflow:
    """Return tasks in layers, each after one or two of the layer before; one of them waits for a signal."""
    builder = WorkflowBuilder(name)
    for number in range(TASKS):
        if f"t{number}" == WAITING:
            builder.add_task(Task(WAITING, "signal", payload={"name": GO}))
        else:
            arguments = {"sink": str(sink), "seconds": round(random.uniform(0.05, 0.3), 3)}
            payload = {
                "call": "talka_chaos.scenarios.effects:act",
                "isolation": "none",
                "arguments": arguments,
            }
            builder.add_task(Task(f"t{number}", "python", payload=payload))
        above = range(number // WIDTH * WIDTH - WIDTH, number // WIDTH * WIDTH)
        for before in random.sample(above, random.choice((1, 2))) if number >= WIDTH else ():
            builder.add_dependency(f"t{before}", f"t{number}")
    return builder.build()


class Load:
    """Clients that submit, signal and wait until they are answered.

    ``submitted`` and ``signalled`` are what they were promised: written when the answer came, not before.
    ``retries`` counts the calls that failed and were made again. At most ``most`` executions arrive
    before everything is healed, and at most ``live`` are under way, or a busy machine would have ever more
    to catch up with.
    """

    def __init__(self, orchestrator: Orchestrator, sink: Path, random: Random, most: int, live: int) -> None:
        self.sink = sink
        self.most = most
        self.live = live
        self.submitted: dict[str, Workflow] = {}
        self.signalled: set[str] = set()
        self.results: dict[str, WorkflowResult] = {}
        self.retries = 0
        self.healed = asyncio.Event()
        self._orchestrator = orchestrator
        self._random = random

    async def run(self) -> None:
        """Submit until everything is healed and has been used since; return when all have ended."""
        live = asyncio.Semaphore(self.live)
        async with asyncio.TaskGroup() as clients:
            for number in range(self.most):
                await live.acquire()
                if self.healed.is_set() and number >= LEAST:
                    break
                client = clients.create_task(self._drive(number))
                client.add_done_callback(lambda _client: live.release())
                await asyncio.sleep(EVERY_S)
            await self.healed.wait()
            for number in range(self.most, self.most + AFTER_HEALING):
                clients.create_task(self._drive(number))

    async def _drive(self, number: int) -> None:
        orchestrator = self._orchestrator
        workflow = graph(f"load-{number}", self.sink, self._random)
        execution_id = await self._insist(lambda: orchestrator.submit_workflow(workflow, key=workflow.name))
        self.submitted[execution_id] = workflow
        await self._insist(lambda: orchestrator.signal(execution_id, GO, number, signal_id=GO))
        self.signalled.add(execution_id)
        self.results[execution_id] = await self._insist(lambda: orchestrator.wait(execution_id), None)

    async def _insist(self, ask: Callable[[], Awaitable[T]], patience_s: float | None = PATIENCE_S) -> T:
        """Ask until there is an answer; that is what a client has to do while something is broken."""
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    return await ask()
            except (PlatformError, UnknownExecutionError, TimeoutError):
                self.retries += 1
                await asyncio.sleep(AGAIN_S)
