"""What a task's function may know about the attempt it runs in, and what it may save.

Whatever is saved is in the execution's log when the call returns: a crash after
it loses nothing, and the next attempt starts from it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec

import msgspec
from msgspec import Raw, Struct

from talka_core.traceparent import traceparent
from talka_protocols.errors import TaskFailedError
from talka_protocols.messages import Mark
from talka_protocols.ports import Attempt
from talka_protocols.tasklogs import Channel
from talka_services.executors.results import encoded

P = ParamSpec("P")
_NAME_CHARS_MAX = 200
_NOTHING = Raw(b"null")


class Facts(Struct, frozen=True, array_like=True):
    """What an attempt knows of itself, and what the attempts before it have saved."""

    execution_id: str
    task_id: str
    attempt: int
    fence: int
    worker_id: str
    idempotency_key: str
    checkpoint: Any = None
    steps: dict[str, Any] = {}


def facts_of(attempt: Attempt) -> Facts:
    """Return what the attempt's function may know; what was saved is as it stands now."""
    progress = attempt.progress
    return Facts(
        attempt.execution_id,
        attempt.task.id,
        attempt.attempt,
        attempt.fence,
        attempt.worker_id,
        attempt.idempotency_key,
        progress.checkpoint if progress else None,
        progress.steps if progress else {},
    )


Note = Callable[[str], None]
"""Takes a line of the attempt's own log."""


def _note_nothing(_line: str) -> None:
    """An attempt that was made by hand has no log."""


class _Context:
    """What both kinds of context have."""

    def __init__(self, facts: Facts, note: Note) -> None:
        self._facts = facts
        self._note = note
        self._checkpointed = facts.checkpoint
        self._named: set[str] = set()

    @property
    def execution_id(self) -> str:
        """The execution that the task belongs to."""
        return self._facts.execution_id

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._facts.task_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._facts.attempt

    @property
    def fence(self) -> int:
        """A number that grows with every attempt, so that an outside system can refuse an older one."""
        return self._facts.fence

    @property
    def worker_id(self) -> str:
        """The worker that runs the attempt."""
        return self._facts.worker_id

    @property
    def idempotency_key(self) -> str:
        """The name of the task's effect, equal for all attempts until it is undone or restarted."""
        return self._facts.idempotency_key

    @property
    def traceparent(self) -> str:
        """The attempt's span as W3C "Trace Context" names it: the parent of those that the task makes."""
        return traceparent(self.execution_id, self.task_id, self.attempt)

    def log(self, message: str, **fields: Any) -> None:
        """Add an entry to the attempt's log: a sentence, and facts that JSON can hold.

        Raises:
            TaskFailedError: a fact is no JSON.
        """
        body = encoded({"message": message, **fields}, "The log entry is")
        self._note(bytes(body).decode() + "\n")

    @property
    def checkpointed(self) -> Any:
        """What was saved last, by this attempt or by an earlier one; None if nothing was."""
        return self._checkpointed

    def _begin_step(self, name: str) -> bool:
        """Tell whether an earlier attempt has finished the step.

        Raises:
            TaskFailedError: the attempt has used the name before, or it is no name.
        """
        if not name or len(name) > _NAME_CHARS_MAX:
            raise TaskFailedError(
                f"A step's name has 1 to {_NAME_CHARS_MAX} characters, and this one has {len(name)}.",
                hint="Name what the step does, such as 'upload' or 'page 3'.",
            )
        if name in self._named:
            raise TaskFailedError(
                f"The step {name!r} is used twice in one attempt.",
                hint="Give each step a name of its own; in a loop put the number into it.",
            )
        self._named.add(name)
        return name in self._facts.steps


class TaskContext(_Context):
    """Given to an ``async`` function that has a parameter named ``context``."""

    def __init__(
        self, facts: Facts, save: Callable[[Mark, str, Raw], Awaitable[Raw]], note: Note = _note_nothing
    ) -> None:
        super().__init__(facts, note)
        self._save = save

    async def heartbeat(self) -> None:
        """Show that the task is alive, as every call that saves something does; nothing is recorded."""
        await self._save(Mark.BEAT, "", _NOTHING)

    async def checkpoint(self, data: Any) -> None:
        """Save the task's progress; the next attempt finds it in ``checkpointed``.

        Raises:
            StaleAttemptError: another attempt has taken this one's place.
            TaskFailedError: it is too large or no JSON, or the task saves too often.
        """
        body = encoded(data, "The checkpoint is")
        await self._save(Mark.CHECKPOINT, "", body)
        self._checkpointed = msgspec.json.decode(body)

    async def step(self, name: str, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run a step, plain or ``async``, unless an earlier attempt has finished it; return its result.

        The result is what JSON makes of it, the same in every attempt.

        Raises:
            StaleAttemptError: another attempt has taken this one's place.
            TaskFailedError: the name is used twice, or the result is too large or no JSON.
            Exception: whatever the function raised; then the step is not finished.
        """
        if self._begin_step(name):
            return self._facts.steps[name]
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            result = await result
        body = encoded(result, f"The step {name!r} returned")
        await self._save(Mark.STEP, name, body)
        return msgspec.json.decode(body)

    async def write_artifact(self, name: str, content: bytes | str | PathLike[str]) -> None:
        """Keep bytes or a file, by its path, under a name; others see it when the task has succeeded.

        Raises:
            TaskFailedError: they are too large, or too many.
        """
        await self._save(Mark.WRITE, name, _content(name, content))

    async def read_artifact(self, name: str) -> bytes:
        """Return what a task that has succeeded, or this attempt, wrote under a name.

        Raises:
            TaskFailedError: none did.
        """
        return msgspec.json.decode(await self._save(Mark.READ, name, _NOTHING), type=bytes)


class PlainTaskContext(_Context):
    """Given to a plain function that has a parameter named ``context``; its calls wait."""

    def __init__(
        self, facts: Facts, save: Callable[[Mark, str, Raw], Raw], note: Note = _note_nothing
    ) -> None:
        super().__init__(facts, note)
        self._save = save

    def heartbeat(self) -> None:
        """Show that the task is alive, as ``TaskContext.heartbeat`` does."""
        self._save(Mark.BEAT, "", _NOTHING)

    def checkpoint(self, data: Any) -> None:
        """Save the task's progress, as ``TaskContext.checkpoint`` does."""
        body = encoded(data, "The checkpoint is")
        self._save(Mark.CHECKPOINT, "", body)
        self._checkpointed = msgspec.json.decode(body)

    def step(self, name: str, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run a plain step unless an earlier attempt has finished it, as ``TaskContext.step`` does."""
        if self._begin_step(name):
            return self._facts.steps[name]
        body = encoded(function(*args, **kwargs), f"The step {name!r} returned")
        self._save(Mark.STEP, name, body)
        return msgspec.json.decode(body)

    def write_artifact(self, name: str, content: bytes | str | PathLike[str]) -> None:
        """Keep bytes or a file, as ``TaskContext.write_artifact`` does."""
        self._save(Mark.WRITE, name, _content(name, content))

    def read_artifact(self, name: str) -> bytes:
        """Return what was written under a name, as ``TaskContext.read_artifact`` does."""
        return msgspec.json.decode(self._save(Mark.READ, name, _NOTHING), type=bytes)


def context_of(attempt: Attempt) -> TaskContext:
    """Return the context of an attempt that runs in the worker's own loop."""
    return TaskContext(_read(attempt), _saver(attempt), _noter(attempt))


def plain_context_of(attempt: Attempt, loop: asyncio.AbstractEventLoop) -> PlainTaskContext:
    """Return the context of an attempt that runs in a thread beside the worker's loop."""
    save = _saver(attempt)

    def save_and_wait(mark: Mark, name: str, data: Raw) -> Raw:
        return asyncio.run_coroutine_threadsafe(save(mark, name, data), loop).result()

    note = _noter(attempt)

    def note_there(text: str) -> None:
        loop.call_soon_threadsafe(note, text)

    return PlainTaskContext(_read(attempt), save_and_wait, note_there)


def _content(name: str, content: bytes | str | PathLike[str]) -> Raw:
    if not name or len(name) > _NAME_CHARS_MAX:
        raise TaskFailedError(
            f"An artifact's name has 1 to {_NAME_CHARS_MAX} characters, and this one has {len(name)}."
        )
    body = content if isinstance(content, bytes) else Path(content).read_bytes()
    return encoded(body, f"The artifact {name!r} is")


def _read(attempt: Attempt) -> Facts:
    return msgspec.json.decode(msgspec.json.encode(facts_of(attempt)), type=Facts)


def _saver(attempt: Attempt) -> Callable[[Mark, str, Raw], Coroutine[Any, Any, Raw]]:
    return attempt.progress.save if attempt.progress else _save_nothing


def _noter(attempt: Attempt) -> Note:
    logbook = attempt.logbook
    if logbook is None:
        return _note_nothing
    return lambda text: logbook.write(Channel.LOG, text.encode())


async def _save_nothing(_mark: Mark, _name: str, _data: Raw) -> Raw:
    raise TaskFailedError("An attempt that was made by hand has nowhere to save its progress.")
