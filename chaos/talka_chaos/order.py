"""Judges by an execution's events alone that every task started when it was allowed to.

D1 what its join asks for had happened; D2 its condition held; T1 its result is that of its own attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from talka_core.conditions import TASKS, ConditionError, holds, parse
from talka_protocols import events as e
from talka_protocols.policies import Join
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Task

_ENDS: dict[type, str] = {
    e.TaskSucceeded: "succeeded",
    e.TaskFailed: "failed",
    e.TaskTimedOut: "timed_out",
    e.TaskCancelled: "cancelled",
    e.TaskSkipped: "skipped",
}


class Course:
    """What an execution's events have said so far."""

    def __init__(self, log: LogName) -> None:
        self._log = log
        self._tasks: dict[str, Task] = {}
        self._needs: dict[str, set[str]] = {}
        self._statuses: dict[str, str] = {}
        self._results: dict[str, Any] = {}
        self._errors: dict[str, str] = {}

    def take(self, event: Any) -> Iterator[str]:
        """Take the next event and yield what is wrong with it."""
        match event:
            case e.ExecutionAccepted() if event.workflow is not None:
                self._tasks = {task.id: task for task in event.workflow.tasks}
                for edge in event.workflow.dependencies:
                    self._needs.setdefault(edge.to_task, set()).add(edge.from_task)
            case e.TaskScheduled():
                yield from self._scheduled(event.task_id)
            case _ if type(event) in _ENDS:
                yield from self._ended(event)
            case _:
                pass

    def _ended(self, event: Any) -> Iterator[str]:
        self._statuses[event.task_id] = _ENDS[type(event)]
        if isinstance(event, e.TaskFailed | e.TaskTimedOut):
            self._errors[event.task_id] = event.error.code
        if isinstance(event, e.TaskSucceeded):
            self._results[event.task_id] = msgspec.json.decode(event.result)
            if self._results[event.task_id] != event.attempt:
                yield f"T1 {self._log}: attempt {event.attempt} of {event.task_id} has the result of another"

    def _scheduled(self, task_id: str) -> Iterator[str]:
        needed = self._needs.get(task_id, set())
        done = {need for need in needed if self._statuses.get(need) == "succeeded"}
        task = self._tasks[task_id]
        match task.join:
            case Join.ALL:
                is_met = done == needed
            case Join.DONE:
                is_met = needed <= self._statuses.keys()
            case Join.ANY | Join.FIRST:
                is_met = bool(done)
            case number:
                is_met = len(done) >= int(number)
        if not is_met:
            yield f"D1 {self._log}: task {task_id} started when of {sorted(needed)} {sorted(done)} were done"
        if task.when and not self._holds(task.when):
            yield f"D2 {self._log}: task {task_id} was scheduled although {task.when!r} does not hold"

    def _holds(self, expression: str) -> bool:
        condition = parse(expression, self._tasks)
        values: dict[str, Any] = {name: self._results.get(name) for name in condition.variables}
        values[TASKS] = {
            mention.task_id: {
                "status": self._statuses.get(mention.task_id, ""),
                "result": self._results.get(mention.task_id),
                "error": self._errors.get(mention.task_id, ""),
            }
            for mention in condition.mentions
        }
        try:
            return holds(expression, values)
        except ConditionError:
            return False
