"""What tasks saved in a world and began from, held against what the logs say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.messages import Mark
from talka_protocols.ports import Attempt, Progress
from talka_protocols.subjects import LogName


class Saves:
    """K1 an attempt begins from the newest checkpoint recorded before it; K2 none is lost or late."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, str, int, int]] = []
        self._confirmed: list[tuple[str, str, int]] = []

    def begin(self, attempt: Attempt) -> int:
        """Return how far the attempts before this one came, and remember that it began from there."""
        done = int(msgspec.json.decode(_progress(attempt).checkpoint) or 0)
        self._begun.append((attempt.execution_id, attempt.task.id, attempt.attempt, done))
        return done

    async def save(self, attempt: Attempt, done: int) -> None:
        """Save how far an attempt is, and remember that it was told that this is recorded."""
        await _progress(attempt).save(Mark.CHECKPOINT, "", Raw(str(done).encode()))
        self._confirmed.append((attempt.execution_id, attempt.task.id, done))

    def findings(self, logs: Mapping[LogName, list[Commit[Any]]]) -> Iterator[str]:
        """Yield what the logs do not bear out."""
        given: dict[tuple[str, str, int], int] = {}
        recorded: set[tuple[str, str, int]] = set()
        for log, commits in logs.items():
            newest: dict[str, int] = {}
            attempts: dict[str, int] = {}
            for event in (event for commit in commits for _, _, event in commit.events()):
                match event:
                    case e.TaskScheduled():
                        attempts[event.task_id] = event.attempt
                        given[log.key, event.task_id, event.attempt] = newest.get(event.task_id, 0)
                    case e.TaskIterated():
                        newest.pop(event.task_id, None)
                    case e.TaskCheckpointed():
                        newest[event.task_id] = number = int(bytes(event.saved.data))
                        recorded.add((log.key, event.task_id, number))
                        if event.attempt != attempts[event.task_id]:
                            yield f"K2 {log}: attempt {event.attempt} of {event.task_id} saved after its end"
                    case _:
                        pass
        for execution_id, task_id, attempt, start in self._begun:
            expected = given.get((execution_id, task_id, attempt))
            if start != expected:
                yield f"K1 attempt {attempt} of {execution_id}/{task_id} began at {start}, not at {expected}"
        for execution_id, task_id, number in self._confirmed:
            if (execution_id, task_id, number) not in recorded:
                yield f"K2 checkpoint {number} of {execution_id}/{task_id} was confirmed and is gone"


def _progress(attempt: Attempt) -> Progress:
    assert attempt.progress is not None, "the launcher gives every attempt a way to save"
    return attempt.progress
