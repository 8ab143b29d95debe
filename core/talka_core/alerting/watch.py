"""The watch: reads the commits of a namespace in order, and says at any instant what is wrong.

What it keeps is bounded by what is live. It decides nothing about alerts: the
book does, which knows what has been raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from talka_core.alerting.conditions import Lag, Limits, failing, lagging, stuck, threatened
from talka_core.alerting.outcomes import Outcomes
from talka_core.auditing import Auditor, Violation
from talka_core.history import FOLDS, advance
from talka_core.resource import PoolRecord
from talka_core.roster import RosterRecord
from talka_core.scheduler import ExecutionRecord
from talka_protocols import events as e
from talka_protocols.alerts import AlertKind, Condition
from talka_protocols.commit import Commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import Event
from talka_protocols.states import FINAL_EXECUTION_STATES
from talka_protocols.subjects import EXECUTION, POOL, SHARD, LogName

WATCHED = frozenset({EXECUTION, POOL, SHARD})
"""The kinds of logs that it reads."""
_GRANTS = (e.AllocationGranted, e.GangGranted)
_FAILED = (e.TaskFailed, e.TaskTimedOut)


class _Live(Struct):
    state: ExecutionRecord
    seen_at: int
    agent_types: dict[str, str]


class Watch:
    """Watches one namespace.

    ``unknown`` are executions that it met in the middle of their history,
    because they go on after they had ended: `know` tells it where they stand.
    """

    def __init__(self, limits: Limits) -> None:
        self.unknown: set[str] = set()
        self._limits = limits
        self._auditor = Auditor()
        self._live: dict[str, _Live] = {}
        self._broken: set[str] = set()
        self._granted_at: dict[str, int] = {}
        self._outcomes = Outcomes(round(1000 * limits.error_window_s))
        self._facts: list[Condition] = []

    def begin(self, log: LogName, position: int, state: PoolRecord | RosterRecord) -> None:
        """Let a log begin with a state behind a position; what was before was pruned."""
        self._auditor.begin(log, position, state)

    def take(self, log: LogName, position: int, commit: Commit[Event]) -> None:
        """Take the next commit of the stream."""
        self._facts += map(_leak, self._auditor.take(log, position, commit))
        if log.kind == EXECUTION:
            self._execution(log.key, commit)
        elif log.kind == POOL and any(isinstance(event, _GRANTS) for _, _, event in commit.events()):
            self._granted_at[log.key] = commit.at

    def know(self, state: ExecutionRecord, seen_at: int) -> None:
        """Take over where an execution stands."""
        self.unknown.discard(state.execution_id)
        if state.status not in FINAL_EXECUTION_STATES:
            self._live[state.execution_id] = _Live(state, seen_at, _agent_types(state))

    def conditions(self, now: int, lags: Iterable[Lag] = ()) -> list[Condition]:
        """Return all that is wrong at an instant, with the violations that were found since `recorded`."""
        return [*self._facts, *self._present(now, lags)]

    def recorded(self, conditions: Iterable[Condition]) -> None:
        """Forget violations that the log of alerts has."""
        known = {each.subject for each in conditions}
        self._facts = [each for each in self._facts if each.subject not in known]

    def _present(self, now: int, lags: Iterable[Lag]) -> Iterator[Condition]:
        for live in self._live.values():
            for found in (
                stuck(live.state, live.seen_at, self._granted_at, now, self._limits),
                threatened(live.state, now),
            ):
                if found is not None:
                    yield found
        for lag in lags:
            if (found := lagging(lag, self._limits)) is not None:
                yield found
        for agent_type, ended, failed in self._outcomes.lately(now):
            if (found := failing(agent_type, ended, failed, self._limits)) is not None:
                yield found

    def _execution(self, execution_id: str, commit: Commit[Any]) -> None:
        live = self._live.get(execution_id)
        if live is None:
            if execution_id in self._broken or execution_id in self.unknown:
                return
            if commit.version != 1:
                self.unknown.add(execution_id)
                return
            state: ExecutionRecord = FOLDS[EXECUTION].initial(execution_id)
            live = self._live[execution_id] = _Live(state, commit.at, {})
        for version, _cause, event in commit.events():
            if version <= live.state.version:
                continue
            try:
                advance(FOLDS[EXECUTION], live.state, version, event, commit.at)
            except BrokenHistoryError:
                # Whoever owns it has set it aside, and says why; nothing can be said of its progress.
                self._broken.add(execution_id)
                del self._live[execution_id]
                return
            self._event(execution_id, live, event, commit.at)
        live.seen_at = max(live.seen_at, commit.at)
        if live.state.status in FINAL_EXECUTION_STATES:
            del self._live[execution_id]

    def _event(self, execution_id: str, live: _Live, event: Any, at: int) -> None:
        match event:
            case e.ExecutionAccepted() | e.TasksAdded():
                live.agent_types = _agent_types(live.state)
            case e.TaskSucceeded() | e.TaskFailed() | e.TaskTimedOut():
                kind = live.agent_types.get(event.task_id)
                if kind is not None:
                    self._outcomes.count(kind, at, is_failure=isinstance(event, _FAILED))
            case e.DependencyViolationDetected():
                self._facts.append(_violation(execution_id, event))
            case _:
                pass


def _agent_types(state: ExecutionRecord) -> dict[str, str]:
    known = {task.id: task.agent_type for task in state.workflow.tasks} if state.workflow else {}
    return known | {task.id: task.agent_type for added in state.added for task in added.tasks}


def _leak(found: Violation) -> Condition:
    where = found.where
    execution_id = where.log.removeprefix("execution.") if where.log.startswith("execution.") else ""
    subject = f"log/{where.log}/{where.version}/{found.kind}"
    return Condition(AlertKind.LEAK, subject, f"{where.log}: {found.message}", found.hint, execution_id)


def _violation(execution_id: str, event: e.DependencyViolationDetected) -> Condition:
    return Condition(
        AlertKind.DEPENDENCY_VIOLATION,
        f"execution/{execution_id}/artifact/{event.artifact}/{event.task_id}/{event.other_task}",
        f"Tasks {event.task_id!r} and {event.other_task!r} of execution {execution_id} touch "
        f"the artifact {event.artifact!r} ({event.kind}), and no dependency orders them.",
        f"Let {event.proposed.to_task!r} depend on {event.proposed.from_task!r}.",
        execution_id,
    )
