"""Goal: whatever a task does or returns, its ending can be reported, stored and read again."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from talka_protocols.errors import BrokenHistoryError, ServerUnavailableError
from talka_protocols.messages import (
    AttemptEnded,
    AttemptFinished,
    Letter,
    Message,
    Outcome,
    StartTask,
    decode_envelope,
    encode_letter,
    sealed_letters,
)
from talka_protocols.ports import Attempt
from talka_protocols.workflow import ClaimCheck, Task
from talka_services.executors.registry import Executors
from talka_services.memory import MemoryBlobs
from talka_services.runner.ports import SystemClock
from talka_services.service import launcher as module
from talka_services.service import progress
from talka_services.service.launcher import Launcher


class Scripted:
    """An executor that returns or raises what it was told to, and counts its calls."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.payloads: list[dict[str, Any]] = []

    async def execute(self, attempt: Attempt) -> Any:
        """Do as told."""
        self.payloads.append(attempt.task.payload)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def close(self) -> None:
        """Hold nothing."""


async def ending(
    outcome: Any, *, blobs: MemoryBlobs | None = None, start: StartTask | None = None
) -> tuple[AttemptFinished, Scripted]:
    """Run one attempt of a scripted task and return its report."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    executors, scripted = Executors(), Scripted(outcome)
    executors.register("scripted", scripted)
    launcher = Launcher("w1", executors, blobs or MemoryBlobs(), SystemClock(), told.put_nowait)
    launcher.launch(start or StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "scripted")))
    while True:
        message = await asyncio.wait_for(told.get(), 10)
        if isinstance(message, AttemptEnded):
            await launcher.close()
            return message.report, scripted


async def test_error_text_with_half_characters_can_be_reported() -> None:
    """A file name that is no valid text must not make the report impossible to send."""
    report, _ = await ending(ValueError("cannot open \udcff\udc80"))
    assert report.outcome is Outcome.FAILED
    body = sealed_letters("worker.w1", 1, [encode_letter(Letter("id", report))])
    assert decode_envelope(body).parcels[0].letters[0].message == report


async def test_error_text_is_bounded() -> None:
    """An exception that carries megabytes is cut, so that its report fits into a message."""
    report, _ = await ending(ValueError("x" * 5_000_000))
    assert report.error is not None
    assert len(report.error.message) <= module.MESSAGE_CHARS_MAX
    assert len(report.error.detail) <= module.DETAIL_CHARS_MAX


async def test_result_nested_too_deep_is_a_recorded_failure() -> None:
    """What could be written but not read again is refused by its own reason."""
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    report, _ = await ending(deep)
    assert report.outcome is Outcome.FAILED
    assert report.error is not None
    assert report.error.code == "result_too_deep"
    wide, _ = await ending([[1]] * 500)
    assert wide.outcome is Outcome.SUCCEEDED


async def test_attempt_that_has_ended_is_not_launched_again() -> None:
    """A resume that comes before the end was taken note of must not run the attempt twice."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    executors, scripted = Executors(), Scripted("done")
    executors.register("scripted", scripted)
    launcher = Launcher("w1", executors, MemoryBlobs(), SystemClock(), told.put_nowait)
    start = StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "scripted"))
    launcher.launch(start)
    assert isinstance(await told.get(), AttemptEnded)
    launcher.launch(start)
    assert launcher.running == 0
    assert len(scripted.payloads) == 1
    await launcher.close()


class AwayBlobs(MemoryBlobs):
    """An object store that is away for the first calls."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def put(self, data: bytes) -> ClaimCheck:
        """Fail as often as told, then store."""
        if self.failures:
            self.failures -= 1
            raise ServerUnavailableError("away")
        return await super().put(data)


async def test_large_result_outlives_an_outage_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task has succeeded, so its result is offered again until it is stored."""
    monkeypatch.setattr(progress, "STORE_AGAIN_S", 0.001)
    report, _ = await ending("y" * 100_000, blobs=AwayBlobs(3))
    assert report.outcome is Outcome.SUCCEEDED
    assert report.claim is not None


async def test_missing_input_is_the_platforms_fault() -> None:
    """A task whose inputs cannot be loaded is given back, not failed."""
    gone = ClaimCheck("gone", 1, "gone")
    start = StartTask("w1", "e", 1, 1, "e/a/1", Task("a", "scripted", payload={"x": "${b}"}), bundle=gone)
    with pytest.raises(BrokenHistoryError):
        await MemoryBlobs().get(gone)
    report, scripted = await ending("never", start=start)
    assert report.outcome is Outcome.LOST
    assert scripted.payloads == []


async def test_inputs_come_out_of_a_bundle() -> None:
    """Inputs that were too large to travel together are taken from the stored object."""
    blobs = MemoryBlobs()
    bundle = await blobs.put(msgspec.json.encode({"b": [1, 2], "c.x": "text"}))
    task = Task("a", "scripted", payload={"all": "${b}", "text": "<${c.x}>"})
    report, scripted = await ending(
        "ok", blobs=blobs, start=StartTask("w1", "e", 1, 1, "e/a/1", task, bundle=bundle)
    )
    assert report.outcome is Outcome.SUCCEEDED
    assert scripted.payloads == [{"all": [1, 2], "text": "<text>"}]
