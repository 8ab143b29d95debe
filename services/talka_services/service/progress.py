"""What one running attempt saves: bounded, stored, and recorded before its task goes on."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import Raw

from talka_core.secrets import Redactor
from talka_protocols.errors import PlatformError, StaleAttemptError, TaskFailedError
from talka_protocols.events import Saved
from talka_protocols.messages import (
    STALE_CODE,
    ConfirmProgress,
    Mark,
    Message,
    ProgressMade,
    RecordProgress,
    StartTask,
)
from talka_protocols.ports import Blobs
from talka_protocols.workflow import ClaimCheck
from talka_services.service.heartbeat import Heartbeat
from talka_services.service.metering import AttemptMeter
from talka_services.telemetry import get_logger

log = get_logger(__name__)

SAVED_INLINE_BYTES_MAX = 8 * 1024
"""What is larger goes to the object store: every event stays in the log for as long as the log does."""
CHECKPOINT_BYTES_MAX = 16 * 1024 * 1024
STEP_BYTES_MAX = 1024 * 1024
STEPS_MAX = 1_000
SAVES_MAX = 1_000
SAVES_WINDOW_S = 10.0
STORE_AGAIN_S = 1.0

ARTIFACT_BYTES_MAX = 32 * 1024 * 1024
"""In base64, so that three quarters of it are content."""
ARTIFACTS_MAX = 1_000
NULL = Raw(b"null")

_BYTES_MAX = {
    Mark.CHECKPOINT: CHECKPOINT_BYTES_MAX,
    Mark.STEP: STEP_BYTES_MAX,
    Mark.WRITE: ARTIFACT_BYTES_MAX,
    Mark.READ: ARTIFACT_BYTES_MAX,
    Mark.BEAT: len(b"null"),
}


class AttemptProgress:
    """One attempt's way to save, and what earlier attempts of its task have saved.

    A checkpoint that a newer one overtakes is not recorded: its call returns with the newer one.
    """

    def __init__(
        self, start: StartTask, started_at: int, blobs: Blobs, tell: Callable[[Message], None]
    ) -> None:
        self.checkpoint = NULL
        self.steps: dict[str, Raw] = {}
        self.artifacts: dict[str, ClaimCheck | None] = {}
        self.meter = AttemptMeter()
        self.heartbeat = Heartbeat(start.task.heartbeat_timeout)
        self.redactor = Redactor(())
        self._start = start
        self._blobs = blobs
        self._tell = tell
        self._request = partial(
            RecordProgress, start.execution_id, start.task.id, start.attempt, start.worker_id, started_at
        )
        self._unconfirmed: dict[int, asyncio.Future[ConfirmProgress]] = {}
        self._sequence = 0
        self._newest = self.checkpoint
        self._taken = 0
        self._covered = 0
        self._one_checkpoint = asyncio.Lock()
        self._times: deque[float] = deque(maxlen=SAVES_MAX)

    async def load(self) -> None:
        """Fetch what earlier attempts saved.

        Raises:
            PlatformError: the object store does not have it now.
        """
        if self._start.checkpoint is not None:
            self.checkpoint = await self._fetched(self._start.checkpoint)
        for name, saved in self._start.steps.items():
            self.steps[name] = await self._fetched(saved)

    async def save(self, mark: Mark, name: str, data: Raw) -> Raw:
        """Return when the execution's log holds it; an artifact's content where one is read.

        Raises:
            StaleAttemptError: another attempt has taken this one's place.
            TaskFailedError: it is too large, the attempt saves too often, or there is no such artifact.
        """
        with self.heartbeat.recording():
            return await self._save(mark, name, data)

    async def _save(self, mark: Mark, name: str, data: Raw) -> Raw:
        self._require_bounded(mark, data)
        data, name = self._redacted(mark, data), self.redactor.text(name)
        match mark:
            case Mark.BEAT:
                pass
            case Mark.CHECKPOINT:
                await self._save_checkpoint(data)
            case Mark.STEP:
                await self._record(mark, name, data)
                self.steps.setdefault(name, data)
            case Mark.WRITE:
                self.artifacts[name] = await stored(self._blobs, bytes(data))
            case Mark.READ:
                claim = self.artifacts.get(name) or (await self._record(mark, name, data)).claim
                assert claim is not None, "what is read without a refusal is kept somewhere"
                return Raw(await self._blobs.get(claim))
        return NULL

    def confirm(self, confirmation: ConfirmProgress) -> None:
        """Let the call return whose request is recorded, or raise if it is refused."""
        waiting = self._unconfirmed.pop(confirmation.sequence, None)
        if waiting is None or waiting.done():
            return
        refusal = confirmation.refusal
        if refusal is None:
            waiting.set_result(confirmation)
        elif refusal.code == STALE_CODE:
            waiting.set_exception(StaleAttemptError(refusal.message, hint="Let the task end."))
        else:
            waiting.set_exception(TaskFailedError(refusal.message))

    async def settled(self) -> None:
        """Return when nothing that was saved waits to be recorded any more."""
        if self._unconfirmed:
            await asyncio.wait(list(self._unconfirmed.values()))

    def beat(self) -> None:
        """Let the time begin anew in which the attempt must show that it is alive."""
        self.heartbeat.beat()

    async def _save_checkpoint(self, data: Raw) -> None:
        self._taken += 1
        mine, self._newest = self._taken, data
        async with self._one_checkpoint:
            if self._covered >= mine:
                return
            covered, newest = self._taken, self._newest
            await self._record(Mark.CHECKPOINT, "", newest)
            self._covered, self.checkpoint = covered, newest

    async def _record(self, mark: Mark, name: str, data: Raw) -> ConfirmProgress:
        self._require_rate()
        saved = await self._stored(bytes(data))
        self._sequence += 1
        waiting = self._unconfirmed[self._sequence] = asyncio.get_running_loop().create_future()
        # An attempt that is stopped meanwhile hears no answer, and a refusal that nobody hears is no fault.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        request = self._request(self._sequence, mark, name, saved)
        self._tell(ProgressMade(self._start.worker_id, request))
        return await asyncio.shield(waiting)

    def _redacted(self, mark: Mark, data: Raw) -> Raw:
        """Return what is saved without the attempt's secrets; an artifact is a text in base64."""
        if self.redactor.is_idle:
            return data.copy()
        encoded = bytes(data)
        if mark is not Mark.WRITE:
            return Raw(self.redactor.json(encoded))
        try:
            content = base64.b64decode(msgspec.json.decode(encoded, type=str), validate=True)
        except (msgspec.ValidationError, ValueError):
            return Raw(self.redactor.json(encoded))
        if not self.redactor.is_in(content):
            return Raw(encoded)
        return Raw(msgspec.json.encode(base64.b64encode(self.redactor.raw(content)).decode()))

    def _require_bounded(self, mark: Mark, data: Raw) -> None:
        size, most = memoryview(data).nbytes, _BYTES_MAX[mark]
        if size > most:
            raise TaskFailedError(
                f"A {mark} of {size} bytes is more than the {most} that one may have.",
                hint="Write large data to a file or an object store and save its name.",
            )
        if mark is Mark.WRITE and len(self.artifacts) >= ARTIFACTS_MAX:
            raise TaskFailedError(
                f"A task may write {ARTIFACTS_MAX} artifacts, and this is one more.",
                hint="Pack them into fewer, or write files and return their names.",
            )
        if mark is Mark.STEP and len(self.steps) >= STEPS_MAX:
            raise TaskFailedError(
                f"A task may have {STEPS_MAX} steps, and this is one more.",
                hint="Make a step do more, or save a checkpoint instead.",
            )

    def _require_rate(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if len(self._times) == SAVES_MAX and now_s - self._times[0] < SAVES_WINDOW_S:
            raise TaskFailedError(
                f"The task saved {SAVES_MAX} times within {SAVES_WINDOW_S:g} s.",
                hint="Save less often: each time is an event that the log keeps.",
            )
        self._times.append(now_s)

    async def _stored(self, data: bytes) -> Saved:
        if len(data) <= SAVED_INLINE_BYTES_MAX:
            return Saved(Raw(data))
        return Saved(claim=await stored(self._blobs, data))

    async def _fetched(self, saved: Saved) -> Raw:
        return saved.data if saved.claim is None else Raw(await self._blobs.get(saved.claim))


async def stored(blobs: Blobs, data: bytes) -> ClaimCheck:
    """Put a value into the object store, however long that is away."""
    while True:
        try:
            return await blobs.put(data)
        except PlatformError as error:
            log.warning("value.not_stored", bytes=len(data), error=str(error))
            await asyncio.sleep(STORE_AGAIN_S)
