"""How much of a pool's log may go: nothing that concerns an execution which is not archived."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.archiving import Extent, executions_in
from talka_core.history import FOLDS, apply, packed, unpacked
from talka_protocols import events as e
from talka_protocols.alerts import AlertKind, Condition
from talka_protocols.commit import Commit, Decision
from talka_protocols.events import AllocationGranted, Event, Holder
from talka_protocols.schedules import Schedule
from talka_protocols.subjects import ALERT, SCHEDULE, TRIGGER, WORKER
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import Task, Workflow

NAMES = ["a", "b", "c"]
WORK = Workflow("w", "w", (Task("a", "sleep"),))
STUCK = Condition(AlertKind.STUCK, "execution/x", "It is stuck.")
LEAK = Condition(AlertKind.LEAK, "log/pool.p/7", "Twice.")
LAG = Condition(AlertKind.LAG, "inbox/scheduler.0", "Behind.")
LOGS: dict[str, tuple[Event, ...]] = {
    SCHEDULE: (
        e.ScheduleSet(Schedule(every_seconds=1.0), 1_000, 0, WORK, request_id="r1"),
        e.ScheduleFired("one", 2_000, 1_000),
        e.RunRecorded("one"),
        e.ScheduleQueued(2_000, 3_000, "one"),
        e.SchedulePaused("r2"),
        e.RunEnded("one", "succeeded"),
        e.ScheduleFired("by-hand", 3_000, request_id="r3"),
        e.ScheduleRemoved("r4"),
    ),
    TRIGGER: (
        e.TriggerCreated(Trigger("order.created"), 7, WORK, request_id="r1"),
        e.TriggerPaused("r2"),
        e.TriggerResumed(9, "r3"),
        e.FiringSettled("unknown"),
        e.TriggerDeleted("r4"),
    ),
    WORKER: (
        e.WorkerRegistered(1, "default"),
        e.WorkerStopped(1),
        e.WorkerRegistered(2, "default"),
    ),
    ALERT: (
        e.AlertRaised(LAG, True),
        e.WebhookFailed(1, 1, "the receiver answered 500"),
        e.AlertRaised(LEAK),
        e.AlertAcknowledged(3, "Ada"),
        e.AlertCleared(1, True),
        e.WebhookDelivered(1),
        e.AlertRaised(STUCK, True),
    ),
}


def _of(execution_id: str) -> e.AllocationFreed:
    return e.AllocationFreed(f"{execution_id}/t/1", Holder(execution_id, "t", 1))


def _commits(names: list[str]) -> list[tuple[int, Commit[Event]]]:
    return [
        (10 * place, Commit(place, place, 1, (Decision("", (_of(name),)),)))
        for place, name in enumerate(names, 1)
    ]


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.integers(0, 12))
def test_what_concerns_an_execution_that_is_not_archived_stays(
    names: list[str], archived: set[str], before: int
) -> None:
    """All up to the position may go, and the next commit may not: it is needed, too new, or there is none."""
    found = Extent(archived.__contains__, before)
    for position, commit in _commits(names):
        if not found.takes(position, commit):
            break
    gone = found.position // 10
    assert all(name in archived for name in names[:gone])
    assert gone < before or gone == 0
    following = names[gone : gone + 1]
    assert not following or following[0] not in archived or gone + 1 >= before
    assert found.held_by in ("", *following)


def test_every_way_to_name_an_execution_counts() -> None:
    """Gangs, those who make way for others, and rosters name executions too; clients are none."""
    holder = Holder("a", "t", 1)
    granted = AllocationGranted("a/t/1", holder, "sleep", "w", 1, 1)
    assert set(executions_in(e.GangGranted("g", (granted,)))) == {"a"}
    assert set(executions_in(e.AllocationPreempted("a/t/1", "b/t/1", "w"))) == {"a", "b"}
    assert set(executions_in(e.LogsOpened(("a", "b")))) == {"a", "b"}
    assert set(executions_in(e.AllocationFreed("client-allocation", Holder(client_id="c")))) == set()
    assert set(executions_in(e.WorkerLost("w", 1))) == set()
    assert set(executions_in(e.PoolOwnershipTaken(1, "host:1"))) == set()
    assert set(executions_in(e.OwnershipTaken(1, "host:1"))) == set()


@pytest.mark.parametrize("kind", sorted(LOGS))
def test_the_rest_of_a_log_says_what_all_of_it_says(kind: str) -> None:
    """A schedule's, a trigger's, a worker's or the alerts' log folds the same from any base."""
    fold, events = FOLDS[kind], LOGS[kind]
    commits: list[Commit[Event]] = [
        Commit(version, version, 1, (Decision("", (event,)),)) for version, event in enumerate(events, 1)
    ]
    whole = packed(fold, apply(fold, fold.initial("x"), commits))
    for gone in range(1, len(commits)):
        base = unpacked(fold, packed(fold, apply(fold, fold.initial("x"), commits[:gone])))
        fold.restore(base)
        assert packed(fold, apply(fold, base, commits[gone:])) == whole


def test_a_book_of_alerts_from_a_base_lists_them_as_they_were_raised() -> None:
    """Ten comes after nine there, too: the oldest are forgotten first, and told of first."""
    fold = FOLDS[ALERT]
    events = tuple(
        e.AlertRaised(Condition(AlertKind.STUCK, f"execution/{n}", "Stuck."), True) for n in range(12)
    )
    book = apply(fold, fold.initial("alerts"), [Commit(1, 1, 1, (Decision("", events),))])
    base = unpacked(fold, packed(fold, book))
    fold.restore(base)
    assert [*base.alerts] == [*base.owed] == [*range(1, 13)]
    assert [*base.present.items()] == [*book.present.items()]
