"""Goal: every attempt that is launched is reported, however early it is stopped."""

from __future__ import annotations

import asyncio

from talka_protocols.messages import AttemptEnded, Message, Outcome, StartTask
from talka_protocols.workflow import Task
from talka_services.executors.registry import Executors
from talka_services.memory import MemoryBlobs
from talka_services.runner.ports import SystemClock
from talka_services.service.launcher import Launcher


async def test_attempt_stopped_before_its_first_step_is_reported() -> None:
    """An attempt whose start and stop arrive in one batch ends as cancelled, and frees its place."""
    told: list[Message] = []
    launcher = Launcher("w1", Executors(), MemoryBlobs(), SystemClock(), told.append)
    launcher.launch(StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "sleep", payload={"seconds": 9})))
    launcher.stop("e", "a", 1)
    await asyncio.sleep(0.01)
    reports = [message.report for message in told if isinstance(message, AttemptEnded)]
    assert [(report.task_id, report.outcome) for report in reports] == [("a", Outcome.CANCELLED)]
    assert launcher.running == 0
    await launcher.close()
