"""Folding a log into a state, and comparing a replay with what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from talka_core import alertbook, incarnations
from talka_core.behaviour import Behaviour
from talka_core.incarnations import IncarnationRecord
from talka_core.planner import PLANNER, PlanRecord
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.roster import RosterRecord, evolve_roster
from talka_core.scheduler import SCHEDULER, ExecutionRecord, begin_anew, begins_anew, restore
from talka_core.scheduler.index import WorkflowIndex
from talka_core.starter import STARTER, ScheduleRecord, is_spent
from talka_core.trigger import TRIGGER_BEHAVIOUR, TriggerRecord
from talka_protocols.commit import Commit
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import Event, ExecutionEvent
from talka_protocols.states import EXECUTION_TRANSITIONS, TASK_TRANSITIONS
from talka_protocols.subjects import ALERT, EXECUTION, PLAN, POOL, SCHEDULE, SHARD, TRIGGER, WORKER

Status = TypeVar("Status", bound=StrEnum)


@dataclass(frozen=True)
class Fold:
    """How the logs of one kind become a state, and how that state becomes a snapshot and back.

    ``begins_anew`` tells of an event that it can be folded without those before it, into a state
    that ``begin_anew`` has emptied. ``is_spent``, where there is one, tells of a state that the whole
    log may go: one that is written to afterwards begins at version 1.
    """

    state_type: type[Any]
    initial: Callable[[str], Any]
    evolve: Callable[[Any, Any, int], None]
    pack: Callable[[Any], Any] = lambda state: state
    restore: Callable[[Any], None] = lambda _state: None
    begins_anew: Callable[[Any, int, Any], bool] = lambda _state, _version, _event: False
    begin_anew: Callable[[Any, int], None] = lambda _state, _before: None
    is_spent: Callable[[Any], bool] | None = None


def _of(behaviour: Behaviour[Any, Any, Any], state_type: type[Any]) -> Fold:
    return Fold(state_type, behaviour.initial, behaviour.evolve)


def _until_spent(
    behaviour: Behaviour[Any, Any, Any], state_type: type[Any], is_spent: Callable[[Any], bool]
) -> Fold:
    """Return how the logs fold that go as a whole once nothing of them is needed."""

    def begins_anew(state: Any, version: int, _event: Any) -> bool:
        return version == 1 and state.version > 0 and is_spent(state)

    def begin_anew(state: Any, _before: int) -> None:
        empty = behaviour.initial(state.name)
        for name in state_type.__struct_fields__:
            setattr(state, name, getattr(empty, name))

    return Fold(
        state_type,
        behaviour.initial,
        behaviour.evolve,
        begins_anew=begins_anew,
        begin_anew=begin_anew,
        is_spent=is_spent,
    )


def _pack_execution(state: ExecutionRecord) -> ExecutionRecord:
    kept = None if state.definition is not None else state.workflow
    return replace(state, index=WorkflowIndex(), holders={}, workflow=kept)


FOLDS: dict[str, Fold] = {
    EXECUTION: Fold(
        ExecutionRecord,
        SCHEDULER.initial,
        SCHEDULER.evolve,
        _pack_execution,
        restore,
        begins_anew,
        begin_anew,
    ),
    PLAN: _of(PLANNER, PlanRecord),
    POOL: _of(RESOURCE, PoolRecord),
    SCHEDULE: _until_spent(STARTER, ScheduleRecord, is_spent),
    TRIGGER: _until_spent(TRIGGER_BEHAVIOUR, TriggerRecord, TRIGGER_BEHAVIOUR.is_over),
    SHARD: Fold(RosterRecord, RosterRecord, evolve_roster),
    WORKER: Fold(
        IncarnationRecord,
        IncarnationRecord,
        incarnations.evolve_incarnation,
        begins_anew=incarnations.begins_anew,
        begin_anew=incarnations.begin_anew,
    ),
    ALERT: Fold(
        alertbook.AlertBook,
        lambda _key: alertbook.AlertBook(),
        alertbook.evolve,
        alertbook.pack,
        alertbook.restore,
    ),
}


def apply(fold: Fold, state: Any, commits: Iterable[Commit[Event]], until: int | None = None) -> Any:
    """Fold commits into ``state`` (in place), up to and including version ``until``.

    Raises:
        BrokenHistoryError: versions are not gapless, or an event cannot be folded.
    """
    for commit in commits:
        for version, _cause, event in commit.events():
            if until is not None and version > until:
                return state
            advance(fold, state, version, event, commit.at)
    return state


def advance(fold: Fold, state: Any, version: int, event: Event, at: int) -> None:
    """Fold one event into ``state`` (in place).

    Raises:
        BrokenHistoryError: it is not the next one, or cannot be folded.
    """
    if fold.begins_anew(state, version, event):
        fold.begin_anew(state, version - 1)
    if version != state.version + 1:
        raise BrokenHistoryError(
            f"Event {version} follows event {state.version}: commits are missing or repeated."
        )
    try:
        fold.evolve(state, event, at)
    except Exception as error:
        raise BrokenHistoryError(
            f"Event {version} ({type(event).__name__}) cannot be folded: {error!r}."
        ) from error


def packed(fold: Fold, state: Any) -> bytes:
    """Return a state as snapshot bytes, the same for the same state."""
    return msgspec.json.encode(fold.pack(state), order="deterministic")


def unpacked(fold: Fold, body: bytes) -> Any:
    """Return the state of a snapshot; what it leaves out is derived by ``fold.restore`` afterwards."""
    return msgspec.json.decode(body, type=fold.state_type)


def agrees(fold: Fold, state: Any, body: bytes) -> bool:
    """Tell whether snapshot bytes hold the same as a state, as far as the version that wrote them knew it.

    An earlier one knew fewer fields, which bytes that it has written do not say anything about.

    Raises:
        msgspec.DecodeError: the bytes are no snapshot.
    """
    written, filled = msgspec.json.decode(body), msgspec.json.decode(packed(fold, unpacked(fold, body)))
    return _agree(written, filled, msgspec.json.decode(packed(fold, state)))


def _agree(written: Any, filled: Any, now: Any) -> bool:
    """Compare what was read of ``written`` with ``now``, but for the fields that reading has filled in."""
    if _kind(filled) is _kind(now) is dict:
        known = filled.keys() & written.keys()
        return filled.keys() == now.keys() and all(_agree(written[k], filled[k], now[k]) for k in known)
    if _kind(filled) is _kind(now) is list:
        return len(filled) == len(now) and all(map(_agree, written, filled, now))
    return bool(filled == now)


def _kind(value: object) -> type[object]:
    return type(value)


def violations(state: ExecutionRecord, commits: Iterable[Commit[ExecutionEvent]]) -> Iterator[str]:
    """Yield a sentence for every transition of a history that the tables do not allow.

    ``state`` must be initial; it is folded on the way.
    """
    for commit in commits:
        for version, _cause, event in commit.events():
            task_id: str = getattr(event, "task_id", "")
            task = state.tasks.get(task_id)
            was, before = state.status, task.status if task else None
            SCHEDULER.evolve(state, event, commit.at)
            if was is not None and not _may_follow(EXECUTION_TRANSITIONS, was, state.status):
                yield f"event {version}: the execution went from {was} to {state.status}"
            if task and before and not _may_follow(TASK_TRANSITIONS, before, task.status):
                yield f"event {version}: task {task_id!r} went from {before} to {task.status}"


def _may_follow(table: Mapping[Status, frozenset[Status]], before: Status, after: object) -> bool:
    return after is before or after in table.get(before, frozenset())
