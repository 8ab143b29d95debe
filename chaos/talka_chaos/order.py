"""Judges by an execution's events alone that every task started when it was allowed to.

D1 what its join asks for had happened; D2 its condition held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from talka_core.conditions import TASKS, ConditionError, holds, parse
from talka_protocols import events as e
from talka_protocols.policies import Join, OnFailure
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Dependency, Task

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
                self._add(event.workflow.dependencies)
            case e.TasksAdded():
                self._tasks |= {task.id: task for task in event.tasks}
                self._add(event.dependencies)
            case e.TaskScheduled() | e.TaskWaiting():
                yield from self._scheduled(event.task_id)
            case _ if type(event) in _ENDS:
                self._ended(event)
            case _:
                pass

    def _add(self, edges: Iterable[Dependency]) -> None:
        for edge in edges:
            self._needs.setdefault(edge.to_task, set()).add(edge.from_task)

    def _is_satisfied(self, task_id: str) -> bool:
        status = self._statuses.get(task_id)
        is_passed = self._tasks[task_id].on_failure is OnFailure.CONTINUE
        return status == "succeeded" or (status in ("failed", "timed_out") and is_passed)

    def _ended(self, event: Any) -> None:
        self._statuses[event.task_id] = _ENDS[type(event)]
        if isinstance(event, e.TaskFailed | e.TaskTimedOut):
            self._errors[event.task_id] = event.error.code
        if isinstance(event, e.TaskSucceeded):
            self._results[event.task_id] = msgspec.json.decode(event.result)

    def _scheduled(self, task_id: str) -> Iterator[str]:
        needed = self._needs.get(task_id, set())
        done = set(filter(self._is_satisfied, needed))
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
