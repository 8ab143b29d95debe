"""Goal: what ends together is reported together, and what ends alone is reported at once."""

from __future__ import annotations

import asyncio

import pytest

from talka_protocols.messages import AttemptEnded, Message, StartTask
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task
from talka_services.executors.registry import Executors
from talka_services.memory import MemoryBlobs
from talka_services.runner.ports import SystemClock
from talka_services.service import launcher as module
from talka_services.service.launcher import Launcher


class Gates:
    """An executor whose tasks end when the test says so."""

    def __init__(self) -> None:
        self.opened: dict[str, asyncio.Event] = {}

    async def execute(self, attempt: Attempt) -> None:
        """Wait for the test."""
        await self.opened.setdefault(attempt.task.id, asyncio.Event()).wait()

    async def close(self) -> None:
        """Hold nothing."""


class Stand:
    """A launcher with gates, and what it told, as task ids."""

    def __init__(self, *task_ids: str) -> None:
        executors = Executors()
        self.gates = Gates()
        self.told: list[str] = []
        executors.register("gate", self.gates)
        self.launcher = Launcher("w1", executors, MemoryBlobs(), SystemClock(), self._tell)
        for task_id in task_ids:
            self.launcher.launch(StartTask("w1", "e", 1, 1, f"e/{task_id}/1", Task(task_id, "gate")))

    def _tell(self, message: Message) -> None:
        if isinstance(message, AttemptEnded):
            self.told.append(message.report.task_id)

    async def end(self, task_id: str) -> None:
        """Let a task end, and return when its attempt is over."""
        running = self.launcher.running
        self.gates.opened[task_id].set()
        while self.launcher.running == running:  # noqa: ASYNC110  (nobody is told before the last one ends)
            await asyncio.sleep(0)


async def test_ends_wait_for_the_last_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as others run an end is kept back for a moment; the last one takes all along at once."""
    monkeypatch.setattr(module, "GATHER_S", 30.0)
    stand = Stand("a", "b")
    await asyncio.sleep(0.01)
    await stand.end("a")
    assert stand.told == []
    await stand.end("b")
    assert stand.told == ["a", "b"]
    await stand.launcher.close()


async def test_end_is_told_soon_while_others_go_on() -> None:
    """A long task beside it delays nobody's report by more than the moment."""
    stand = Stand("a", "b")
    await asyncio.sleep(0.01)
    await stand.end("a")
    async with asyncio.timeout(5):
        while not stand.told:  # noqa: ASYNC110  (the launcher tells the test by a plain call)
            await asyncio.sleep(0.001)
    assert stand.told == ["a"]
    assert stand.launcher.running == 1
    await stand.launcher.close()
