"""Judges by the events alone how attempts followed each other, and what an execution comes to in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from math import floor
from typing import Any

from talka_chaos.attempts import OTHER
from talka_chaos.graphs import AGENT_TYPE
from talka_core.scheduler.clock import EARLY_MS
from talka_protocols import events as e
from talka_protocols.commit import Commit
from talka_protocols.policies import OnFailure, RetryPolicy
from talka_protocols.subjects import LogName
from talka_protocols.workflow import Task, Workflow

SLACK_S = 0.25
"""What a time-out may come later by than the work ends."""


def following_findings(log: LogName, commits: Sequence[Commit[Any]], skew_ms: int = 0) -> Iterator[str]:
    """Yield what is wrong with the attempts of an execution.

    ``skew_ms`` is by how much its clock may have jumped: timers run on another one, so
    that what was to wait by a clock that was ahead goes on before its time by the log.

    R1 an error that the rule excludes is not tried again, and none more often
    than allowed; R2 the pause is as long as the rule says, and nothing begins
    in it; R3 what takes longer than its time-out never succeeds; R4 nothing
    goes on before the instant for which it waits; R5 an execution begins once,
    with what was submitted first; R6 it is partial if some failed, and no more than may.
    """
    course = _Course(EARLY_MS + skew_ms)
    for commit in commits:
        for version, _, event in commit.events():
            for sentence in course.take(event, commit.at):
                yield f"{sentence}: event {version} of {log} at {commit.at}, {event}"


class _Course:
    def __init__(self, early_ms: int) -> None:
        self._early_ms = early_ms
        self._workflow: Workflow | None = None
        self._tasks: dict[str, Task] = {}
        self._retries: Counter[str] = Counter()
        self._due: dict[str, int] = {}
        self._going: tuple[str, ...] = ()

    def take(self, event: Any, at: int) -> Iterator[str]:
        match event:
            case e.ExecutionAccepted():
                yield from self._begin(event)
            case e.TasksAdded():
                self._tasks |= {task.id: task for task in event.tasks}
            case e.TaskRetrying():
                yield from self._again(event, at)
            case e.TaskScheduled() if at + self._early_ms < self._due.get(event.task_id, 0):
                yield f"R2 it begins although it is due at {self._due[event.task_id]}"
            case e.TaskSucceeded():
                yield from self._succeeded(event, at)
            case e.TaskIterated() | e.TaskFellBack() | e.TaskFailed() | e.TaskTimedOut():
                # What has failed for good begins anew, such as a compensation that is asked for again.
                self._forget(event.task_id)
            case e.TaskReleased() | e.ExecutionResumed():
                self._due.clear()
            case e.RollbackStarted():
                self._going = event.tasks
                self._due.clear()
            case e.ExecutionRolledBack():
                self._forget(*self._going)
            case e.ExecutionRestarted():
                self._forget(*event.tasks)
            case _:
                pass

    def _forget(self, *tasks: str) -> None:
        for task_id in tasks:
            self._retries.pop(task_id, None)
            self._due.pop(task_id, None)

    def _begin(self, event: e.ExecutionAccepted) -> Iterator[str]:
        if self._workflow is not None:
            yield "R5 it was accepted before"
        if event.workflow is not None:
            self._workflow = event.workflow
            self._tasks = {task.id: task for task in event.workflow.tasks}
            if event.workflow.name == OTHER:
                yield "R5 something else was submitted under this id before"

    def _again(self, event: e.TaskRetrying, at: int) -> Iterator[str]:
        task = self._tasks.get(event.task_id)
        if task is None:
            return
        self._retries[task.id] += 1
        number, rule = self._retries[task.id], task.retry
        self._due[task.id] = event.due_at
        names = (event.error.code, *event.error.kinds)
        if _is_among(rule.never, names) or (rule.only and not _is_among(rule.only, names)):
            yield f"R1 {rule} excludes it"
        if task.fallback is None and (found := pause_findings(rule, number, event.due_at - at)):
            yield found
        if number > task.retries and task.fallback is None:
            yield f"R1 this is retry {number} of {task.retries}"

    def _succeeded(self, event: e.TaskSucceeded, at: int) -> Iterator[str]:
        self._forget(event.task_id)
        task = self._tasks.get(event.task_id)
        if task is None:
            return
        if (
            task.agent_type == "wait"
            and (until := task.payload.get("until"))
            and at + self._early_ms < until * 1000
        ):
            yield f"R4 it was to wait until {until}"
        is_plain = task.agent_type == AGENT_TYPE and task.map is None and task.fallback is None
        longest_s = (task.timeout or 0.0) + SLACK_S
        is_whole = is_plain and task.timeout is not None and not task.payload.get("saves")
        if is_whole and (task.estimated_seconds or 0.0) > longest_s:
            yield f"R3 it takes {task.estimated_seconds} s, and may take {task.timeout}"


def _is_among(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def pause_findings(rule: RetryPolicy, number: int, pause_ms: int) -> str:
    """Say how a pause after so many failures differs from the rule; empty if it does not."""
    whole = 1000 * min(rule.max_seconds, rule.base_seconds * rule.factor ** (number - 1))
    least = whole * (1 - rule.jitter)
    return "" if least - 1 <= pause_ms <= whole + 1 else f"R2 the pause is {pause_ms} ms of {whole}"


def ending_findings(log: LogName, state: Any) -> Iterator[str]:
    """R6 yield what is wrong with the state in which an execution has ended."""
    workflow = state.workflow
    if workflow is None or state.is_stopping or state.rollback is not None:
        return
    config, tasks = workflow.config, state.index.tasks
    failed = [task_id for task_id in state.failed if task_id not in state.index.maps]
    allowed = max(
        config.tolerated_failures, floor((config.tolerated_failure_share or 0.0) * len(state.tasks))
    )
    rules = {tasks[task_id].on_failure or config.on_failure for task_id in failed}
    if state.status == "partial" and len(failed) > allowed and rules != {OnFailure.CONTINUE}:
        yield f"R6 {log}: it is partial with {failed} failed, and {allowed} may fail"
    if state.status == "partial" and not state.failed:
        yield f"R6 {log}: it is partial, and nothing failed"
    if state.status == "succeeded" and state.failed:
        yield f"R6 {log}: it succeeded with {list(state.failed)} failed"
    is_fast = OnFailure.FAIL_FAST in (config.on_failure, *(task.on_failure for task in workflow.tasks))
    if state.status == "failed" and 0 < len(failed) <= allowed and not (is_fast or state.broken):
        yield f"R6 {log}: it failed with {failed} failed, and {allowed} may fail"
