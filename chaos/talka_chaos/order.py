"""Judges by an execution's events alone that every task started when it was allowed to.

D1 what its join asks for had happened; D2 its condition held;
M1 no more items of a map at once than allowed; M2 a map's result is its items' results in order,
and no more of them failed than is tolerated;
E1 what a task adds is there when it ends;
I1 a loop ends when its condition holds, and never runs more rounds than allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from talka_core.conditions import TASKS, ConditionError, holds, parse
from talka_protocols import events as e
from talka_protocols.policies import Join, OnFailure, Then
from talka_protocols.states import TaskStatus
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
        self._on_failure = OnFailure.SKIP
        self._needs: dict[str, set[str]] = {}
        self._statuses: dict[str, str] = {}
        self._results: dict[str, Any] = {}
        self._errors: dict[str, str] = {}
        self._items: dict[str, list[str]] = {}
        self._asked: dict[str, set[str]] = {}
        self._rounds: Counter[str] = Counter()
        self._unwanted: set[str] = set()
        self._is_started = False
        self._going: tuple[str, ...] = ()
        self._resumed: tuple[str, ...] = ()

    def take(self, event: Any) -> Iterator[str]:
        """Take the next event and yield what is wrong with it."""
        match event:
            case e.ExecutionAccepted() if event.workflow is not None:
                self._tasks = {task.id: task for task in event.workflow.tasks}
                self._on_failure = event.workflow.config.on_failure
                self._add(event.workflow.dependencies)
            case e.TasksAdded():
                self._tasks |= {task.id: task for task in event.tasks}
                self._add(event.dependencies)
                if event.by:
                    self._items.setdefault(event.by, []).extend(task.id for task in event.tasks)
                    yield from self._added(event.by)
            case e.ExtensionRequested():
                self._asked[event.task_id] = {task.id for task in event.extension.tasks}
            case e.ExtensionRefused():
                self._asked.pop(event.task_id, None)
            case e.TaskIterated():
                self._rounds[event.task_id] += 1
                yield from self._iterated(event)
            case e.TaskScheduled() | e.TaskWaiting():
                yield from self._scheduled(event.task_id)
            case e.TaskUnwanted():
                self._unwanted.add(event.task_id)
            case e.ExecutionStarted():
                self._is_started = True
            case e.TaskAdopted():
                self._adopted(event)
            case e.RollbackStarted():
                self._going, self._resumed = event.tasks, event.resumed
            case e.ExecutionRolledBack() if event.then is Then.CONTINUE:
                self._forget(self._going, self._resumed)
            case e.ExecutionRestarted():
                self._forget(event.tasks, event.resumed)
            case _ if type(event) in _ENDS:
                yield from self._ended(event)
            case _:
                pass

    def _forget(self, tasks: Iterable[str], resumed: Iterable[str]) -> None:
        """Let tasks that run again stand where they began; maps that are resumed keep their other items."""
        again = frozenset(tasks)
        kept = {id_: [item for item in self._items.get(id_, []) if item not in again] for id_ in resumed}
        for task_id in again:
            for known in (self._statuses, self._results, self._errors, self._items, self._rounds):
                known.pop(task_id, None)
            self._unwanted.discard(task_id)
        self._items |= kept

    def _adopted(self, event: e.TaskAdopted) -> None:
        self._statuses[event.task_id] = event.status.value
        if event.error is not None:
            self._errors[event.task_id] = event.error.code
        if event.status is TaskStatus.SUCCEEDED:
            self._results[event.task_id] = msgspec.json.decode(event.result)

    def _add(self, edges: Iterable[Dependency]) -> None:
        for edge in edges:
            self._needs.setdefault(edge.to_task, set()).add(edge.from_task)

    def _is_satisfied(self, task_id: str) -> bool:
        status = self._statuses.get(task_id)
        is_passed = (self._tasks[task_id].on_failure or self._on_failure) is OnFailure.CONTINUE
        # One that somebody cancelled alone has its error; what others made needless has none.
        is_failure = status in ("failed", "timed_out") or (status == "cancelled" and task_id in self._errors)
        return status == "succeeded" or (is_failure and is_passed)

    def _ended(self, event: Any) -> Iterator[str]:
        self._statuses[event.task_id] = _ENDS[type(event)]
        if isinstance(event, e.TaskFailed | e.TaskTimedOut):
            self._errors[event.task_id] = event.error.code
        if isinstance(event, e.TaskCancelled) and event.task_id in self._unwanted and not event.because:
            self._errors[event.task_id] = "cancelled"
        if isinstance(event, e.TaskSucceeded):
            self._results[event.task_id] = msgspec.json.decode(event.result)
            yield from self._returned(event)

    def _returned(self, event: e.TaskSucceeded) -> Iterator[str]:
        task, result = self._tasks[event.task_id], self._results[event.task_id]
        if missing := self._asked.get(task.id, set()) - self._tasks.keys():
            yield f"E1 {self._log}: {task.id} ended before {sorted(missing)} were added as it asked"
        if task.map is not None:
            known = sorted(self._items.get(task.id, []), key=_index_of)
            items = [self._results.get(item) for item in known]
            if items.count(None) > task.map.tolerated_failures:
                yield f"M2 {self._log}: the map {task.id} succeeded with {items}"
            over: Any = task.map.over
            if isinstance(over, str):
                over = self._results.get(over.removeprefix("${").removesuffix("}")) or []
            if result != items or len(items) != len(over):
                yield f"M2 {self._log}: the map {task.id} returned {result}, and its items {items}"
        elif task.loop is not None:
            values = {"result": result, "iteration": self._rounds[task.id] + 1}
            if not holds(task.loop.until, values):
                yield f"I1 {self._log}: the loop {task.id} ended with {values}"

    def _added(self, map_id: str) -> Iterator[str]:
        rule = self._tasks[map_id].map
        if not self._is_started:
            # A fork has them from the beginning, and takes them over next.
            return
        live = [item for item in self._items[map_id] if item not in self._statuses]
        if rule is not None and rule.max_parallel is not None and len(live) > rule.max_parallel:
            yield f"M1 {self._log}: {live} are under way at once, and {rule.max_parallel} may be"

    def _iterated(self, event: e.TaskIterated) -> Iterator[str]:
        loop = self._tasks[event.task_id].loop
        if loop is None or self._rounds[event.task_id] >= loop.max_iterations:
            yield f"I1 {self._log}: round {event.iteration} of {event.task_id} is followed by another"

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


def _index_of(item: str) -> int:
    return int(item.rpartition("[")[2].removesuffix("]"))
