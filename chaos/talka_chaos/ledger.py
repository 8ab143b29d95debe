"""Every log of a world, folded as it grows and held to the invariants after every commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from talka_chaos.features import shown_in
from talka_chaos.invariants import check_execution, check_fences, check_held, check_pool, check_roster
from talka_chaos.runs import OVER, Runs
from talka_chaos.virtual_loop import at_once
from talka_core.auditing import Auditor, Violation
from talka_core.history import FOLDS, apply
from talka_core.planner import PLANNER
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.starter import STARTER
from talka_core.trigger import TRIGGER_BEHAVIOUR
from talka_protocols.commit import Commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.messages import Recipient
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, PLAN, POOL, SCHEDULE, SHARD, TRIGGER, LogName
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import decoded

_IS_OVER: dict[str, Callable[[Any], bool]] = {
    PLAN: PLANNER.is_over,
    EXECUTION: SCHEDULER.is_over,
    SCHEDULE: STARTER.is_over,
    TRIGGER: TRIGGER_BEHAVIOUR.is_over,
}
OWNERS = {
    PLAN: Recipient.PLANNER,
    EXECUTION: Recipient.SCHEDULER,
    SCHEDULE: Recipient.STARTER,
    TRIGGER: Recipient.TRIGGER,
}
"""Who owns the logs of a shard, by their kind; its roster is named after it."""


class LogBook:
    """The states that the stored commits fold to, and what was wrong with them."""

    def __init__(self, runs: Runs, definitions: Definitions) -> None:
        self.definitions = definitions
        self._runs = runs
        self.states: dict[LogName, Any] = {}
        self.commits: dict[LogName, list[Commit[Any]]] = {}
        self.begun_s: dict[LogName, float] = {}
        self.violations: list[str] = []
        self.auditor = Auditor()
        self._positions: dict[LogName, int] = {}
        self._fences: dict[str, int] = {}

    def of_kind(self, kind: str) -> dict[str, Any]:
        """Return the states of one kind of log by key."""
        return {name.key: state for name, state in self.states.items() if name.kind == kind}

    def logs_of_kind(self, kind: str) -> dict[str, list[Commit[Any]]]:
        """Return the commits of one kind of log by key."""
        return {name.key: commits for name, commits in self.commits.items() if name.kind == kind}

    def kinds(self) -> frozenset[str]:
        """Return the kinds of all events that are on record, and the features that these show."""
        commits = [commit for commits in self.commits.values() for commit in commits]
        kinds = frozenset(type(event).__name__ for commit in commits for _, _, event in commit.events())
        return kinds | frozenset(shown_in(commits))

    def take(self, log: LogName, position: int, body: bytes, now_s: float) -> bool:
        """Fold one stored commit; return False for one that was known already."""
        if self._positions.get(log, 0) >= position:
            return False
        self._positions[log] = position
        commit = at_once(decoded(StoredCommit(log, position, body, ""), self.definitions))
        self.begun_s.setdefault(log, now_s)
        self.commits.setdefault(log, []).append(commit)
        self._complain(self.auditor.take(log, position, commit))
        if log.kind not in FOLDS:
            return True
        fold = FOLDS[log.kind]
        state = self.states.setdefault(log, fold.initial(log.key))
        if log.kind == EXECUTION:
            self.violations += [f"{now_s:.3f} s, {log}: {found}" for found in self._overdue(state, commit)]
        try:
            apply(fold, state, [commit])
            self._check(log, state)
            self._check_roster(log, commit)
        except (AssertionError, BrokenHistoryError) as error:
            self.violations.append(f"{now_s:.3f} s, {log}: {error}")
        return True

    def finish(self) -> None:
        """Audit what was never given back: a world at rest has nothing left that anybody holds."""
        self._complain(self.auditor.finish(is_at_rest=True))

    def _complain(self, found: list[Violation]) -> None:
        for each in found:
            self.violations.append(f"A2 {each.kind} at {each.where}: {each.message}")

    def _check(self, log: LogName, state: Any) -> None:
        if log.kind == EXECUTION:
            check_execution(state)
            for pool in self.of_kind(POOL).values():
                check_held(state, pool)
        if log.kind == POOL:
            check_pool(state, is_whole=False)
            check_fences(state, self._fences)
            for execution in self.of_kind(EXECUTION).values():
                check_held(execution, state)

    def _overdue(self, state: ExecutionRecord, commit: Commit[Any]) -> Iterator[str]:
        """W4 what a commit ends runs no more, unless the pool has given its worker up."""
        grants: dict[str, Any] = {}
        for pool in self.of_kind(POOL).values():
            grants |= pool.grants
        for _, _, event in commit.events():
            record = state.tasks.get(getattr(event, "task_id", ""))
            grant = grants.get(record.allocation_id) if record is not None else None
            is_over = isinstance(event, OVER) and grant is not None and not grant.is_revoked
            if is_over and self._runs.is_running(state.execution_id, event.task_id, event.attempt):
                yield f"W4 attempt {event.attempt} of {event.task_id} still runs after {event}"

    def _check_roster(self, log: LogName, commit: Commit[Any]) -> None:
        # Who begins a log records that in the roster at the same time, and they land in any order.
        # In a log that is over also afterwards a takeover would find nothing to do.
        owner = OWNERS.get(log.kind)
        if log.kind in _IS_OVER and _IS_OVER[log.kind](self.states[log]):
            return
        if owner is not None and commit.epoch != self.commits[log][0].epoch:
            check_roster(self.states.get(LogName(SHARD, log.shard, f"{owner.value}-{log.shard}")), log.key)
