"""The actors of the model, each held to its laws after every single event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replaced
from typing import Any

from talka_chaos.invariants import check_event, check_transition, statuses_of
from talka_chaos.laws import Ledger
from talka_core.behaviour import Behaviour, Effect, step_batch
from talka_core.history import FOLDS, apply, packed, unpacked
from talka_core.planner import PLANNER
from talka_core.resource import RESOURCE
from talka_core.scheduler import SCHEDULER
from talka_core.starter import STARTER
from talka_core.trigger import TRIGGER_BEHAVIOUR
from talka_core.worker import WORKER_BEHAVIOUR
from talka_protocols import messages as m
from talka_protocols.commit import Commit, Decision, decode_commit, encode_commit
from talka_protocols.messages import Recipient
from talka_protocols.subjects import LogName

BEHAVIOURS: dict[Recipient, Behaviour[Any, Any, Any]] = {
    Recipient.PLANNER: PLANNER,
    Recipient.SCHEDULER: SCHEDULER,
    Recipient.STARTER: STARTER,
    Recipient.TRIGGER: TRIGGER_BEHAVIOUR,
    Recipient.RESOURCE: RESOURCE,
    Recipient.WORKER: WORKER_BEHAVIOUR,
}


class Player:
    """One actor of the model: its state, its log and what it owes."""

    def __init__(self, kind: Recipient, key: str, state: Any = None) -> None:
        self.kind = kind
        self.key = key
        self.behaviour = BEHAVIOURS[kind]
        self.state = self.behaviour.initial(key) if state is None else state
        self.ledger = Ledger()
        self.commits: list[bytes] = []
        self.statuses = statuses_of(self.state)
        self.watched = replaced(self.behaviour, react=self._react)

    def _react(self, state: Any, event: Any) -> list[Effect]:
        effects = list(self.behaviour.react(state, event))
        self.ledger.record(event, effects)
        difference = self.ledger.difference(self.behaviour.resume(state))
        assert not difference, f"B1 {self.kind} {self.key} after {event}: {difference}"
        now = statuses_of(state)
        if self.statuses is not None:
            check_event(self.statuses, state, event)
        self.statuses = now
        return effects

    @property
    def name(self) -> LogName:
        """Name the log."""
        return LogName(self.behaviour.log_kind, "-", self.key)

    def take(self, message: Any, now_ms: int, cut: int | None = None) -> list[Effect]:
        """Decide about one message; see ``take_together``."""
        return self.take_together((message,), now_ms, cut)

    def take_together(self, messages: Sequence[Any], now_ms: int, cut: int | None) -> list[Effect]:
        """Decide; with ``cut`` only so many events are stored before a crash, and nothing is performed."""
        before = self.state.version
        earlier = statuses_of(self.state)
        steps = list(step_batch(self.watched, self.state, messages, now_ms))
        events = [event for _, decided, _ in steps for event in decided]
        kept = events if cut is None else events[:cut]
        if kept and self.kind is not Recipient.WORKER:
            commit: Commit[Any] = Commit(before + 1, now_ms, 1, (Decision("model", tuple(kept)),))
            self.commits.append(encode_commit(commit))
        check_transition(earlier, self.state, events)
        if cut is None:
            return [effect for _, _, effects in steps for _, effect in effects]
        return self.recover(now_ms)

    def recover(self, now_ms: int) -> list[Effect]:
        """Fold the log again, do what the record calls for, and return what is owed."""
        self.state, self.ledger = self.behaviour.initial(self.key), Ledger()
        self.statuses = statuses_of(self.state)
        for body in self.commits:
            commit = decode_commit(self.name, body)
            for _, _, event in commit.events():
                self.behaviour.evolve(self.state, event, commit.at)
                self._react(self.state, event)
        effects = self.take(m.Advance(self.key), now_ms)
        return [*effects, *self.behaviour.resume(self.state)]

    def events(self) -> list[Any]:
        """Return everything that its log holds."""
        commits = (decode_commit(self.name, body) for body in self.commits)
        return [event for commit in commits for _, _, event in commit.events()]

    def check_replay(self) -> None:
        """The log folds to the state that decided it, also by way of a snapshot."""
        fold = FOLDS[self.name.kind]
        commits = [decode_commit(self.name, body) for body in self.commits]
        assert [encode_commit(commit) for commit in commits] == self.commits, "decoding loses something"
        whole = packed(fold, apply(fold, fold.initial(self.key), commits))
        assert whole == packed(fold, self.state), f"{self.name}: the log folds to another state"
        middle = len(commits) // 2
        early = unpacked(fold, packed(fold, apply(fold, fold.initial(self.key), commits[:middle])))
        fold.restore(early)
        assert packed(fold, apply(fold, early, commits[middle:])) == whole, f"{self.name}: snapshot differs"
