"""Runs attempts through their executors and tells the worker's actor how they end."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from talka_core.references import UnresolvedReferenceError, extract, substitute
from talka_protocols.errors import TalkaError, TaskTimeoutError
from talka_protocols.events import TaskFailure
from talka_protocols.messages import AttemptBegan, AttemptEnded, AttemptFinished, Message, Outcome, StartTask
from talka_protocols.ports import Attempt, Blobs
from talka_protocols.workflow import INLINE_BYTES_MAX, ClaimCheck, Task
from talka_services.executors.registry import Executors
from talka_services.runner.ports import Clock

FLUSH_S = 0.005
"""A task that ends sooner reports its beginning together with its end."""
EXTRACT_BYTES_MAX = 16 * 1024
DETAIL_CHARS_MAX = 8_000

Key = tuple[str, str, int]


class Ending(Struct):
    """What an attempt came to, before it is reported."""

    outcome: Outcome
    result: Raw = Raw(b"null")
    claim: ClaimCheck | None = None
    extracts: dict[str, Raw] = {}
    error: TaskFailure | None = None


class Launcher:
    """One asyncio task for each running attempt."""

    def __init__(
        self,
        worker_id: str,
        executors: Executors,
        blobs: Blobs,
        clock: Clock,
        tell: Callable[[Message], None],
    ) -> None:
        self._worker_id = worker_id
        self._executors = executors
        self._blobs = blobs
        self._clock = clock
        self._tell = tell
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._fresh: dict[Key, int] = {}
        self._flush: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """Return how many attempts run."""
        return len(self._running)

    def launch(self, start: StartTask) -> None:
        """Begin an attempt; one that runs already is left alone."""
        key = (start.execution_id, start.task.id, start.attempt)
        if key not in self._running:
            task = asyncio.create_task(self._run(key, start), name="/".join(map(str, key)))
            task.add_done_callback(partial(self._never_began, key))
            self._running[key] = task

    def _never_began(self, key: Key, task: asyncio.Task[None]) -> None:
        """Report an attempt that was stopped before its first step, so that ``_run`` never saw it."""
        if task.cancelled() and self._running.pop(key, None) is not None:
            now_ms = self._clock.now_ms()
            report = AttemptFinished(*key, self._worker_id, 0, now_ms, Outcome.CANCELLED)
            self._tell(AttemptEnded(self._worker_id, report))

    def stop(self, execution_id: str, task_id: str, attempt: int) -> None:
        """Have an attempt stopped; it reports when nothing of it runs any more."""
        task = self._running.get((execution_id, task_id, attempt))
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop everything that still runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._flush is not None:
            self._flush.cancel()
        await self._executors.close()

    async def _run(self, key: Key, start: StartTask) -> None:
        began_at = self._clock.now_ms()
        self._announce(key, began_at)
        try:
            ending = await self._attempt(start)
        except asyncio.CancelledError:
            ending = Ending(Outcome.CANCELLED)
        finally:
            self._running.pop(key, None)
            self._fresh.pop(key, None)
        report = AttemptFinished(
            *key,
            self._worker_id,
            began_at,
            max(began_at, self._clock.now_ms()),
            ending.outcome,
            ending.result,
            ending.claim,
            ending.extracts,
            ending.error,
        )
        self._tell(AttemptEnded(self._worker_id, report))

    def _announce(self, key: Key, began_at: int) -> None:
        self._fresh[key] = began_at
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self._tell_fresh)

    def _tell_fresh(self) -> None:
        self._flush = None
        for key, began_at in self._fresh.items():
            self._tell(AttemptBegan(self._worker_id, *key, began_at))
        self._fresh.clear()

    async def _attempt(self, start: StartTask) -> Ending:
        limit = asyncio.timeout(start.task.timeout)
        try:
            async with limit:
                task = await self._resolved(start)
                attempt = Attempt(start.execution_id, task, start.attempt, start.fence, self._worker_id)
                result = await self._executors.for_agent_type(task.agent_type).execute(attempt)
            return await self._succeeded(start, result)
        except TimeoutError as error:
            if not limit.expired():
                return _failed(error)
            late = TaskTimeoutError(
                f"Task {start.task.id!r} ran longer than its {start.task.timeout:g} s and was stopped.",
                hint="Raise timeout_seconds, or make the task shorter.",
            )
            return Ending(Outcome.TIMED_OUT, error=TaskFailure(late.code, str(late)))
        except Exception as error:  # noqa: BLE001  (whatever a task raises is its recorded outcome)
            return _failed(error)

    async def _resolved(self, start: StartTask) -> Task:
        """Return the task with every reference in its payload replaced."""
        values: dict[str, Any] = {text: msgspec.json.decode(raw) for text, raw in start.inputs.items()}
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

        payload = substitute(start.task.payload, value_of)
        return start.task if payload is start.task.payload else replace(start.task, payload=payload)

    async def _succeeded(self, start: StartTask, result: Any) -> Ending:
        try:
            encoded = msgspec.json.encode(result)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            sentence = f"The result cannot be recorded as JSON: {error}."
            return Ending(Outcome.FAILED, error=TaskFailure("result_not_encodable", sentence))
        if len(encoded) <= INLINE_BYTES_MAX:
            return Ending(Outcome.SUCCEEDED, Raw(encoded))
        claim = await self._blobs.put(encoded)
        extracts = _extracts(start, msgspec.json.decode(encoded))
        return Ending(Outcome.SUCCEEDED, claim=claim, extracts=extracts)


def _extracts(start: StartTask, result: Any) -> dict[str, Raw]:
    """Return the small parts of a large result that others refer to."""
    found: dict[str, Raw] = {}
    for text, path in start.extract.items():
        try:
            part = msgspec.json.encode(extract(result, path))
        except UnresolvedReferenceError:
            continue
        if len(part) <= EXTRACT_BYTES_MAX:
            found[text] = Raw(part)
    return found


def _failed(error: Exception) -> Ending:
    if isinstance(error, TalkaError):
        detail = getattr(error, "detail", "")
        failure = TaskFailure(error.code, str(error), str(detail)[-DETAIL_CHARS_MAX:])
    else:
        lines = traceback.format_exception(error)
        sentence = f"{type(error).__name__}: {error}"
        failure = TaskFailure("exception", sentence, "".join(lines)[-DETAIL_CHARS_MAX:])
    return Ending(Outcome.FAILED, error=failure)
