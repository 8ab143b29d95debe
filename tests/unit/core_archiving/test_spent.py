"""Which logs of schedules and triggers nobody needs any more, and that a name may be used again."""

from __future__ import annotations

import pytest

from talka_core.history import FOLDS, apply, packed
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.errors import BrokenHistoryError
from talka_protocols.events import Event
from talka_protocols.schedules import Schedule
from talka_protocols.subjects import SCHEDULE, TRIGGER
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import Task, Workflow

WORK = Workflow("w", "w", (Task("a", "sleep"),))
OFTEN, ONCE, BURST = Schedule(every_seconds=1.0), Schedule(at=1.0), Schedule(quiet_seconds=1.0)
SET = e.ScheduleSet(OFTEN, 1_000, 0, WORK)
FIRED = e.ScheduleFired("x", 2_000, 1_000)
LAST = e.ScheduleFired("x", 0, 1_000)
ENDED = e.RunEnded("x", "succeeded")
REMOVED = e.ScheduleRemoved("r")
CREATED = e.TriggerCreated(Trigger("order.created"), 7, WORK)
TAKEN = e.TriggerFired("f", e.Occurrence(8, "s", "1", "order.created"), "f")

HISTORIES: list[tuple[str, bool, tuple[Event, ...]]] = [
    (SCHEDULE, True, (e.RequestRefused("PauseSchedule", "unknown_schedule", "There is none."),)),
    (SCHEDULE, False, (SET,)),
    (SCHEDULE, False, (SET, e.SchedulePaused("r"))),
    (SCHEDULE, True, (SET, REMOVED)),
    (SCHEDULE, False, (SET, FIRED, REMOVED)),
    (SCHEDULE, True, (SET, FIRED, REMOVED, ENDED)),
    (SCHEDULE, False, (SET, REMOVED, SET)),
    (SCHEDULE, False, (SET, LAST, ENDED)),
    (SCHEDULE, False, (e.ScheduleSet(ONCE, 1_000, 0, WORK, execution_id="x"),)),
    (SCHEDULE, False, (e.ScheduleSet(ONCE, 1_000, 0, WORK, execution_id="x"), LAST)),
    (SCHEDULE, True, (e.ScheduleSet(ONCE, 1_000, 0, WORK, execution_id="x"), LAST, ENDED)),
    (SCHEDULE, True, (e.ScheduleSet(BURST, 1_000, 0, WORK, execution_id="x"), LAST, ENDED)),
    (TRIGGER, False, (CREATED,)),
    (TRIGGER, False, (CREATED, e.TriggerPaused("r"))),
    (TRIGGER, True, (CREATED, e.TriggerDeleted("r"))),
    (TRIGGER, False, (CREATED, TAKEN, e.TriggerDeleted("r"))),
    (TRIGGER, True, (CREATED, TAKEN, e.TriggerDeleted("r"), e.FiringSettled("f"))),
]


def commits(events: tuple[Event, ...], first: int = 1) -> list[Commit[Event]]:
    """Return a commit for each event."""
    return [
        Commit(version, 5, 0, (Decision("m", (event,)),)) for version, event in enumerate(events, start=first)
    ]


@pytest.mark.parametrize(("kind", "is_spent", "events"), HISTORIES)
def test_a_log_is_spent_when_nothing_will_come_of_it(
    kind: str, is_spent: bool, events: tuple[Event, ...]
) -> None:
    """And only then may it begin again at version 1, as one that never was."""
    fold = FOLDS[kind]
    assert fold.is_spent is not None
    state = apply(fold, fold.initial("k"), commits(events))
    assert fold.is_spent(state) is is_spent
    again: tuple[Event, ...] = (SET, FIRED) if kind == SCHEDULE else (CREATED,)
    if not is_spent:
        with pytest.raises(BrokenHistoryError, match="follows"):
            apply(fold, state, commits(again))
        return
    new = apply(fold, fold.initial("k"), commits(again))
    assert packed(fold, apply(fold, state, commits(again))) == packed(fold, new)


def test_only_the_first_version_begins_anew() -> None:
    """What is missing in between is missing."""
    fold = FOLDS[SCHEDULE]
    state = apply(fold, fold.initial("k"), commits((SET, REMOVED)))
    with pytest.raises(BrokenHistoryError, match="follows"):
        apply(fold, state, commits((SET,), first=2))
