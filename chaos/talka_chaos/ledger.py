"""Every log of a world, folded as it grows and held to the invariants after every commit."""

from __future__ import annotations

from typing import Any

from talka_chaos.invariants import check_execution, check_held, check_pool
from talka_core.history import FOLDS, apply
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.subjects import EXECUTION, POOL, LogName


class LogBook:
    """The states that the stored commits fold to, and what was wrong with them."""

    def __init__(self) -> None:
        self.states: dict[LogName, Any] = {}
        self.commits: dict[LogName, list[Commit[Any]]] = {}
        self.violations: list[str] = []
        self._positions: dict[LogName, int] = {}

    def of_kind(self, kind: str) -> dict[str, Any]:
        """Return the states of one kind of log by key."""
        return {name.key: state for name, state in self.states.items() if name.kind == kind}

    def take(self, log: LogName, position: int, body: bytes, now_s: float) -> bool:
        """Fold one stored commit; return False for one that was known already."""
        if self._positions.get(log, 0) >= position:
            return False
        self._positions[log] = position
        commit = decode_commit(log, body)
        self.commits.setdefault(log, []).append(commit)
        if log.kind not in FOLDS:
            return True
        fold = FOLDS[log.kind]
        state = self.states.setdefault(log, fold.initial(log.key))
        try:
            apply(fold, state, [commit])
            self._check(log, state)
        except AssertionError as error:
            self.violations.append(f"{now_s:.3f} s, {log}: {error}")
        return True

    def _check(self, log: LogName, state: Any) -> None:
        if log.kind == EXECUTION:
            check_execution(state)
            for pool in self.of_kind(POOL).values():
                check_held(state, pool)
        if log.kind == POOL:
            check_pool(state, is_whole=False)
            for execution in self.of_kind(EXECUTION).values():
                check_held(execution, state)
