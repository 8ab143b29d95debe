"""What tasks saved in a world and began from, held against what the logs say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
from msgspec import Raw

from talka_core.scheduler.names import UNDO, undone_by
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.errors import TaskFailedError
from talka_protocols.messages import Mark
from talka_protocols.policies import Then
from talka_protocols.ports import Attempt, Progress
from talka_protocols.subjects import LogName

NULL = Raw(b"null")
STEPS_SHARE = 0.1
READS_SHARE = 0.25


class Saves:
    """What attempts saved and what they began from.

    K1 an attempt begins from the newest checkpoint and all steps recorded before it; K2 nothing that was
    confirmed is lost or late; K3 no step is recorded twice.
    """

    def __init__(self, seed: int) -> None:
        # Streams of their own: no other draw of the seed depends on them.
        self._has_steps = Random(f"steps {seed}").random() < STEPS_SHARE  # noqa: S311
        self._has_reads = Random(f"reads {seed}").random() < READS_SHARE  # noqa: S311
        self._begun: list[tuple[str, str, int, int, frozenset[str]]] = []
        self._confirmed: list[tuple[str, str, int | str]] = []

    def begin(self, attempt: Attempt) -> int:
        """Return how far the attempts before this one came, and remember that it began from there."""
        progress = _progress(attempt)
        done = int(msgspec.json.decode(progress.checkpoint) or 0)
        about = (attempt.execution_id, attempt.task.id, attempt.attempt)
        self._begun.append((*about, done, frozenset(progress.steps)))
        return done

    async def save(self, attempt: Attempt, done: int) -> None:
        """Save how far an attempt is, and remember that it was told that this is recorded."""
        if self._has_steps:
            await self._step(attempt, f"step {done}")
        await _progress(attempt).save(Mark.CHECKPOINT, "", Raw(str(done).encode()))
        self._confirmed.append((attempt.execution_id, attempt.task.id, done))

    async def _step(self, attempt: Attempt, name: str) -> None:
        """Run a step unless an attempt before has, which may have died before its checkpoint."""
        if name not in _progress(attempt).steps:
            await _progress(attempt).save(Mark.STEP, name, NULL)
            self._confirmed.append((attempt.execution_id, attempt.task.id, name))

    async def touch(self, attempt: Attempt) -> None:
        """Write the artifacts that the payload names; some worlds read what others have written first."""
        names, progress = attempt.task.payload.get("writes", ()), _progress(attempt)
        if not self._has_reads:
            progress.artifacts.update(dict.fromkeys(names))
            return
        for name in names:
            with suppress(TaskFailedError):
                # Nobody may have written it yet.
                await progress.save(Mark.READ, name, NULL)
            await progress.save(Mark.WRITE, name, Raw(b'"eA=="'))

    def findings(self, logs: Mapping[LogName, list[Commit[Any]]]) -> Iterator[str]:
        """Yield what the logs do not bear out."""
        records = {log.key: _Recorded() for log in logs}
        for log, commits in logs.items():
            for version, event in ((v, event) for commit in commits for v, _, event in commit.events()):
                yield from (f"{found} in {log}" for found in records[log.key].take(version, event))
        for execution_id, task_id, attempt, *start in self._begun:
            expected = records[execution_id].given.get((task_id, attempt))
            if tuple(start) != expected:
                yield f"K1 attempt {attempt} of {execution_id}/{task_id} began at {start}, not at {expected}"
        for execution_id, task_id, what in self._confirmed:
            if (task_id, what) not in records[execution_id].saved:
                yield f"K2 {what!r} of {execution_id}/{task_id} was confirmed and is gone"


class _Recorded:
    """What one log says of what was saved; ``given`` is what each attempt was to begin from."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, int], tuple[int, frozenset[str]]] = {}
        self.saved: set[tuple[str, int | str]] = set()
        self._newest: dict[str, int] = {}
        self._steps: dict[str, set[str]] = {}
        self._attempts: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._going_back: e.RollbackStarted | None = None

    def take(self, version: int, event: Any) -> Iterator[str]:
        """Take in one event, and yield what is wrong with it."""
        match event:
            case e.TaskScheduled(task_id=task_id):
                self._attempts[task_id] = event.attempt
                steps = frozenset(self._steps.get(task_id, ()))
                self.given[task_id, event.attempt] = self._newest.get(task_id, 0), steps
            case e.TaskIterated() | e.TaskFellBack():
                self._newest.pop(event.task_id, None)
                self._steps.pop(event.task_id, None)
            case e.TaskFailed() | e.TaskTimedOut() | e.TaskCancelled():
                self._failed[event.task_id] = version
            case e.TaskSucceeded():
                is_undo = event.task_id.startswith(UNDO)
                self._failed.pop(undone_by(event.task_id) if is_undo else event.task_id, None)
            case e.ExecutionRestarted():
                self._run_again(event, version)
            case e.RollbackStarted():
                self._going_back = event
            case e.ExecutionRolledBack(then=Then.CONTINUE) if self._going_back is not None:
                self._run_again(self._going_back, event.to)
            case e.TaskCheckpointed():
                self._newest[event.task_id] = number = int(bytes(event.saved.data))
                self.saved.add((event.task_id, number))
                yield from self._late(event)
            case e.TaskStepFinished():
                finished = self._steps.setdefault(event.task_id, set())
                if event.name in finished:
                    yield f"K3 {event.name!r} of {event.task_id} was recorded twice"
                finished.add(event.name)
                self.saved.add((event.task_id, event.name))
                yield from self._late(event)
            case _:
                pass

    def _run_again(self, event: e.ExecutionRestarted | e.RollbackStarted, to: int) -> None:
        """Forget what tasks had saved, unless they failed and stand as they were; go by what was chosen."""
        for task_id in event.tasks:
            if not 0 < self._failed.pop(task_id, 0) <= to:
                self._newest.pop(task_id, None)
                self._steps.pop(task_id, None)
        if (chosen := event.progress) is not None:
            self._newest[chosen.task_id] = int(bytes(chosen.checkpoint.data))
            self._steps[chosen.task_id] = set(chosen.steps)

    def _late(self, event: e.TaskCheckpointed | e.TaskStepFinished) -> Iterator[str]:
        if event.attempt != self._attempts[event.task_id]:
            yield f"K2 attempt {event.attempt} of {event.task_id} saved after its end"


def _progress(attempt: Attempt) -> Progress:
    assert attempt.progress is not None, "the launcher gives every attempt a way to save"
    return attempt.progress
