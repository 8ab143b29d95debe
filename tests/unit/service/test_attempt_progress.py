"""Goal: a running task saves within bounds, and each call returns when what it saved is recorded."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Raw

from talka_protocols.errors import StaleAttemptError, TaskFailedError
from talka_protocols.events import Saved
from talka_protocols.messages import (
    STALE_CODE,
    ConfirmProgress,
    Mark,
    Message,
    ProgressMade,
    RecordProgress,
    Refusal,
    StartTask,
)
from talka_protocols.workflow import Task
from talka_services.memory import MemoryBlobs
from talka_services.service import progress as module
from talka_services.service.progress import AttemptProgress

START = StartTask("w", "e", 1, 1, "e/a/1", Task("a", "any"))


class Desk:
    """One attempt's progress, and what it asked to have recorded."""

    def __init__(self, start: StartTask = START) -> None:
        self.blobs = MemoryBlobs()
        self.asked: list[RecordProgress] = []
        self.progress = AttemptProgress(start, 5, self.blobs, self._tell)

    def _tell(self, message: Message) -> None:
        assert isinstance(message, ProgressMade)
        self.asked.append(message.progress)

    def confirm(self, number: int, refusal: Refusal | None = None) -> None:
        """Answer one request."""
        self.progress.confirm(ConfirmProgress("w", "e", "a", 1, number, refusal))

    async def save(self, body: bytes, mark: Mark = Mark.CHECKPOINT, name: str = "") -> asyncio.Task[Raw]:
        """Begin to save something."""
        task = asyncio.create_task(self.progress.save(mark, name, Raw(body)))
        for _ in range(3):
            await asyncio.sleep(0)
        return task


async def test_call_returns_when_it_is_recorded() -> None:
    """Nothing returns before the confirmation, and a second one changes nothing."""
    desk = Desk()
    saving = await desk.save(b"1")
    assert not saving.done()
    desk.confirm(1)
    await saving
    desk.confirm(1)
    assert bytes(desk.progress.checkpoint) == b"1"
    assert (desk.asked[0].sequence, desk.asked[0].started_at, desk.asked[0].attempt) == (1, 5, 1)


async def test_only_the_newest_of_many_checkpoints_is_recorded() -> None:
    """Those that wait behind one that is under way return with the newest of them."""
    desk = Desk()
    savings = [await desk.save(str(number).encode()) for number in range(10)]
    desk.confirm(1)
    await savings[0]
    await asyncio.sleep(0)
    desk.confirm(2)
    await asyncio.gather(*savings)
    assert [bytes(request.saved.data) for request in desk.asked] == [b"0", b"9"]


async def test_refusal_of_a_stale_attempt_is_raised() -> None:
    """The task is told by an exception that it is not wanted any more."""
    desk = Desk()
    saving = await desk.save(b"1", Mark.STEP, "one")
    desk.confirm(1, Refusal(STALE_CODE, "Another attempt runs."))
    with pytest.raises(StaleAttemptError, match="Another attempt runs"):
        await saving
    assert desk.progress.steps == {}


async def test_large_checkpoint_is_stored_before_it_is_named() -> None:
    """What is large travels as a claim check of an object that is there already, and comes back whole."""
    desk = Desk()
    body = b'"' + b"x" * module.SAVED_INLINE_BYTES_MAX + b'"'
    saving = await desk.save(body)
    saved = desk.asked[0].saved
    assert saved.claim is not None
    assert await desk.blobs.get(saved.claim) == body
    desk.confirm(1)
    await saving
    start = StartTask(
        "w", "e", 2, 2, "e/a/2", Task("a", "any"), checkpoint=saved, steps={"s": Saved(Raw(b"7"))}
    )
    later = AttemptProgress(start, 9, desk.blobs, lambda _message: None)
    await later.load()
    assert (bytes(later.checkpoint), bytes(later.steps["s"])) == (body, b"7")


@pytest.mark.parametrize("mark", [Mark.CHECKPOINT, Mark.STEP, Mark.WRITE])
async def test_too_large(mark: Mark, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than its bound is refused with both sizes, and nothing is asked for."""
    monkeypatch.setattr(module, "_BYTES_MAX", dict.fromkeys(Mark, 10))
    desk = Desk()
    with pytest.raises(TaskFailedError, match="12 bytes is more than the 10"):
        await desk.progress.save(mark, "s", Raw(b'"0123456789"'))
    assert desk.asked == []


async def test_too_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that makes a step of everything is told to save checkpoints."""
    monkeypatch.setattr(module, "STEPS_MAX", 1)
    desk = Desk()
    saving = await desk.save(b"1", Mark.STEP, "one")
    desk.confirm(1)
    await saving
    with pytest.raises(TaskFailedError, match="one more"):
        await desk.progress.save(Mark.STEP, "two", Raw(b"2"))


async def test_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that saves in a tight loop is refused before it fills the log."""
    monkeypatch.setattr(module, "SAVES_MAX", 3)
    desk = Desk()
    for number in (1, 2, 3):
        saving = await desk.save(b"1")
        desk.confirm(number)
        await saving
    with pytest.raises(TaskFailedError, match="3 times within 10 s"):
        await desk.progress.save(Mark.CHECKPOINT, "", Raw(b"1"))


async def test_settled_waits_for_what_is_under_way() -> None:
    """Who is to run the task again waits until nothing of it is on its way to the log."""
    desk = Desk()
    await desk.progress.settled()
    saving = await desk.save(b"1")
    waiting = asyncio.create_task(desk.progress.settled())
    await asyncio.sleep(0)
    assert not waiting.done()
    desk.confirm(1)
    await asyncio.gather(saving, waiting)
