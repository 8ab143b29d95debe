"""Runs attempts through their executors and tells the worker's actor how they end."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from talka_core.references import UnresolvedReferenceError, extract, substitute
from talka_core.secrets import Redactor
from talka_protocols.errors import (
    HeartbeatTimeoutError,
    PlatformError,
    TalkaError,
    TaskError,
    TaskTimeoutError,
)
from talka_protocols.events import TaskFailure
from talka_protocols.messages import (
    AttemptBegan,
    AttemptEnded,
    AttemptFinished,
    ConfirmProgress,
    Message,
    Outcome,
    StartTask,
)
from talka_protocols.ports import Attempt, Blobs, Logbook
from talka_protocols.workflow import INLINE_BYTES_MAX, ClaimCheck, Extension, Task
from talka_services.executors.failures import kinds_of
from talka_services.executors.registry import Executors
from talka_services.executors.results import split
from talka_services.runner.ports import Clock
from talka_services.service.logbooks import Logbooks
from talka_services.service.progress import AttemptProgress, stored
from talka_services.service.secrets import RedactedLogbook, Revealed, Secrets
from talka_services.telemetry import get_logger

FLUSH_S = 0.005
"""A task that ends sooner reports its beginning together with its end."""
GATHER_S = 0.0005
"""How long an end waits for others while attempts run: tasks that began together end together."""
EXTRACT_BYTES_MAX = 16 * 1024
EXTRACTS_BYTES_MAX = 128 * 1024
RESULT_DEPTH_MAX = 64
MESSAGE_CHARS_MAX = 4_000
ENDED_KEPT = 50_000
DETAIL_CHARS_MAX = 8_000

Key = tuple[str, str, int]
log = get_logger(__name__)


class Ending(Struct):
    """What an attempt came to, before it is reported."""

    outcome: Outcome
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}
    error: TaskFailure | None = None
    extension: Extension | None = None


class Launcher:
    """One asyncio task for each running attempt."""

    def __init__(
        self,
        worker_id: str,
        executors: Executors,
        blobs: Blobs,
        clock: Clock,
        tell: Callable[[Message], None],
        logbooks: Logbooks | None = None,
        secrets_dir: str | None = None,
    ) -> None:
        self._worker_id = worker_id
        self._executors = executors
        self._blobs = blobs
        self._clock = clock
        self._tell = tell
        self._logbooks = logbooks
        self._secrets = Secrets(secrets_dir)
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._progress: dict[Key, AttemptProgress] = {}
        self._shared: set[Key] = set()
        self._is_cut_off = False
        self._fresh: dict[Key, int] = {}
        self._ended: dict[Key, None] = {}
        self._stopping: dict[Key, int] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._reports: list[AttemptFinished] = []
        self._gathering: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """Return how many attempts run."""
        return len(self._running)

    def launch(self, start: StartTask) -> None:
        """Begin an attempt; one that runs, or has ended and is being reported, is left alone."""
        key = (start.execution_id, start.task.id, start.attempt)
        if key not in self._running and key not in self._ended:
            task = asyncio.create_task(self._run(key, start), name="/".join(map(str, key)))
            task.add_done_callback(partial(self._never_began, key))
            self._running[key] = task
            if start.is_shared:
                self._shared.add(key)
                task.add_done_callback(lambda _task: self._shared.discard(key))
                if self._is_cut_off:
                    task.cancel()

    def cut_off(self) -> None:
        """Stop whatever holds pool-wide amounts, and let nothing of the kind begin until `reconnect`."""
        self._is_cut_off = True
        for key in self._shared:
            self.stop(*key)

    def reconnect(self) -> None:
        """Let attempts that hold pool-wide amounts begin again."""
        self._is_cut_off = False

    def _never_began(self, key: Key, task: asyncio.Task[None]) -> None:
        """Report an attempt that was stopped before its first step, so that ``_run`` never saw it."""
        self._stopping.pop(key, None)
        if task.cancelled() and self._running.pop(key, None) is not None:
            now_ms = self._clock.now_ms()
            self._report(AttemptFinished(*key, self._worker_id, 0, now_ms, Outcome.CANCELLED))

    def _report(self, report: AttemptFinished) -> None:
        """Tell how an attempt ended, and remember that it did: no attempt ever runs twice here."""
        self._ended[report.execution_id, report.task_id, report.attempt] = None
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]
        self._reports.append(report)
        if not self._running:
            self._tell_ended()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER_S, self._tell_ended)

    def _tell_ended(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        reports, self._reports = self._reports, []
        for report in reports:
            self._tell(AttemptEnded(self._worker_id, report))

    def stop(self, execution_id: str, task_id: str, attempt: int, *, is_forced: bool = False) -> None:
        """Have an attempt stopped, or killed at once; it reports when nothing of it runs any more.

        Executors take a second cancellation for the wish to kill, so no repeated stop may look like one.
        """
        key = (execution_id, task_id, attempt)
        task = self._running.get(key)
        if task is not None:
            wanted, done = 2 if is_forced else 1, self._stopping.get(key, 0)
            for _ in range(done, wanted):
                task.cancel()
            self._stopping[key] = max(wanted, done)

    def confirm(self, confirmation: ConfirmProgress) -> None:
        """Tell a running task that what it saved is recorded, or refused."""
        key = (confirmation.execution_id, confirmation.task_id, confirmation.attempt)
        if (progress := self._progress.get(key)) is not None:
            progress.confirm(confirmation)

    async def close(self) -> None:
        """Stop everything that still runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for timer in (self._flush, self._gathering):
            if timer is not None:
                timer.cancel()
        await self._executors.close()

    async def _run(self, key: Key, start: StartTask) -> None:
        began_at = self._clock.now_ms()
        self._announce(key, began_at)
        progress = self._progress[key] = AttemptProgress(start, began_at, self._blobs, self._tell)
        try:
            ending = await self._attempt(start, progress)
        except asyncio.CancelledError:
            ending = Ending(Outcome.CANCELLED)
        finally:
            self._running.pop(key, None)
            self._progress.pop(key, None)
            self._fresh.pop(key, None)
            self._stopping.pop(key, None)
        ended_at = max(began_at, self._clock.now_ms())
        report = AttemptFinished(
            *key,
            self._worker_id,
            began_at,
            ended_at,
            ending.outcome,
            ending.result,
            ending.claim,
            ending.extracts,
            ending.error,
            ending.extension,
            progress.artifacts if ending.outcome is Outcome.SUCCEEDED else {},
            progress.meter.usage(ended_at - began_at),
        )
        self._report(report)
        log.info(
            "attempt.ended",
            execution_id=key[0],
            task_id=key[1],
            attempt=key[2],
            outcome=ending.outcome.value,
            run_ms=ended_at - began_at,
        )

    def _announce(self, key: Key, began_at: int) -> None:
        self._fresh[key] = began_at
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self._tell_fresh)

    def _tell_fresh(self) -> None:
        self._flush = None
        for key, began_at in self._fresh.items():
            self._tell(AttemptBegan(self._worker_id, *key, began_at))
        self._fresh.clear()

    async def _attempt(self, start: StartTask, progress: AttemptProgress) -> Ending:
        # Most tasks have no limit, and to keep watch for nothing is much of what a short one costs.
        limit = None if start.task.timeout is None else asyncio.timeout(start.task.timeout)
        revealed = Revealed(self._secrets)
        try:
            async with limit or nullcontext():
                task = await self._resolved(start, revealed)
                progress.redactor = revealed.redactor
                await progress.load()
                result = await self._execute(start, task, progress, revealed)
            return await self._succeeded(start, result, revealed.redactor)
        except TimeoutError as error:
            is_over = limit is not None and limit.expired()
            if is_over or progress.heartbeat.is_missed:
                late = _late(start.task, is_silent=not is_over)
                return Ending(Outcome.TIMED_OUT, error=TaskFailure(late.code, str(late)))
            return _failed(error, revealed.redactor)
        except Exception as error:  # noqa: BLE001  (whatever a task raises is its recorded outcome)
            return _failed(error, revealed.redactor)

    async def _execute(
        self, start: StartTask, task: Task, progress: AttemptProgress, revealed: Revealed
    ) -> Any:
        """Run the attempt; what it prints goes to its logbook, without its secrets."""
        books = self._logbooks
        with ExitStack() as closing:
            logbook: Logbook | None = None
            if books is not None:
                opened = logbook = books.opened(start.execution_id, start.task.id, start.attempt)
                closing.callback(opened.close)
                if revealed.values:
                    logbook = RedactedLogbook(opened, revealed.redactor)
                    closing.callback(logbook.close)
            attempt = Attempt(
                start.execution_id,
                task,
                start.attempt,
                start.fence,
                self._worker_id,
                progress,
                start.effect_key,
                progress.meter,
                logbook,
                revealed.values,
            )
            async with progress.heartbeat.watch():
                return await self._executors.for_agent_type(task.agent_type).execute(attempt)

    async def _resolved(self, start: StartTask, revealed: Revealed) -> Task:
        """Return the task with every reference in its payload replaced."""
        values: dict[str, Any] = {text: msgspec.json.decode(raw) for text, raw in start.inputs.items()}
        if start.bundle is not None:
            values |= msgspec.json.decode(await self._blobs.get(start.bundle))
        stored: dict[str, Any] = {}
        for text, excerpt in start.excerpts.items():
            digest = excerpt.claim.sha256
            if digest not in stored:
                stored[digest] = msgspec.json.decode(await self._blobs.get(excerpt.claim))
            values[text] = extract(stored[digest], excerpt.path)

        def value_of(text: str) -> Any:
            if text not in values:
                raise UnresolvedReferenceError(
                    f"The reference ${{{text}}} of task {start.task.id!r} names nothing that was returned.",
                    hint="Compare it with the result of the task it refers to.",
                )
            return values[text]

        payload = substitute(start.task.payload, revealed.resolving(value_of, values))
        return start.task if payload is start.task.payload else replace(start.task, payload=payload)

    async def _succeeded(self, start: StartTask, returned: Any, redactor: Redactor) -> Ending:
        result, extension = split(returned)
        try:
            encoded = redactor.json(msgspec.json.encode(result))
            if extension is not None and not redactor.is_idle:
                extension = msgspec.json.decode(redactor.json(msgspec.json.encode(extension)), type=Extension)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            sentence = f"The result cannot be recorded as JSON: {error}."
            return Ending(Outcome.FAILED, error=TaskFailure("result_not_encodable", sentence))
        if _is_deep(encoded):
            sentence = f"The result is nested deeper than {RESULT_DEPTH_MAX} levels."
            return Ending(Outcome.FAILED, error=TaskFailure("result_too_deep", sentence))
        if len(encoded) <= INLINE_BYTES_MAX:
            return Ending(Outcome.SUCCEEDED, Raw(encoded), extension=extension)
        claim = await stored(self._blobs, encoded)
        extracts = _extracts(start, msgspec.json.decode(encoded))
        return Ending(Outcome.SUCCEEDED, claim=claim, extracts=extracts, extension=extension)


def _late(task: Task, *, is_silent: bool) -> TaskError:
    if is_silent:
        return HeartbeatTimeoutError(
            f"Task {task.id!r} gave no sign of life for {task.heartbeat_timeout:g} s and was stopped.",
            hint="Call context.heartbeat() or save more often, or raise heartbeat_timeout_seconds.",
        )
    return TaskTimeoutError(
        f"Task {task.id!r} ran longer than its {task.timeout:g} s and was stopped.",
        hint="Raise timeout_seconds, or make the task shorter.",
    )


def _is_deep(encoded: bytes) -> bool:
    """Tell whether a result is nested deeper than what is read again for sure."""
    if encoded.count(b"[") + encoded.count(b"{") <= RESULT_DEPTH_MAX:
        return False
    level: list[object] = [msgspec.json.decode(encoded)]
    for _ in range(RESULT_DEPTH_MAX):
        level = [item for value in level for item in _inside(value)]
    return bool(level)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _extracts(start: StartTask, result: Any) -> dict[str, Raw]:
    """Return the small parts of a large result that others refer to."""
    found: dict[str, Raw] = {}
    total = 0
    for text, path in start.extract.items():
        try:
            part = msgspec.json.encode(extract(result, path))
        except UnresolvedReferenceError:
            continue
        if len(part) <= EXTRACT_BYTES_MAX and total + len(part) <= EXTRACTS_BYTES_MAX:
            found[text] = Raw(part)
            total += len(part)
    return found


def _failed(error: Exception, redactor: Redactor) -> Ending:
    if isinstance(error, PlatformError):
        # The task is not to blame when, say, its inputs cannot be loaded: it runs again.
        sentence = _clean(redactor.text(str(error)), MESSAGE_CHARS_MAX)
        return Ending(Outcome.LOST, error=TaskFailure(error.code, sentence))
    if isinstance(error, TalkaError):
        code, sentence, detail = error.code, str(error), str(getattr(error, "detail", ""))
        kinds: tuple[str, ...] = getattr(error, "kinds", ())
    else:
        code, sentence, kinds = "exception", f"{type(error).__name__}: {error}", kinds_of(error)
        detail = "".join(traceback.format_exception(error))
    failure = TaskFailure(
        code,
        _clean(redactor.text(sentence), MESSAGE_CHARS_MAX),
        _clean(redactor.text(detail)[-DETAIL_CHARS_MAX:]),
        tuple(_clean(redactor.text(kind)) for kind in kinds),
    )
    return Ending(Outcome.FAILED, error=failure)


def _clean(text: str, most: int = DETAIL_CHARS_MAX) -> str:
    """Return text that can be stored: bounded, and without half characters such as odd file names hold."""
    return text[:most].encode("utf-8", "replace").decode()
