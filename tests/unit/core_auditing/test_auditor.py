"""The auditor calls each kind of violation by its name, and what only looks like one not at all."""

from __future__ import annotations

import pytest
from tests.unit.core_auditing.book import A, B, Ledger, P, X, run_one

from talka_core.auditing import Auditor, Kind
from talka_core.auditing.violations import HINTS
from talka_protocols import events as e
from talka_protocols.events import Holder


def test_an_ordinary_life_is_clean() -> None:
    """Granted, used, given back, freed and settled: nothing is wrong, and everything is counted."""
    ledger = Ledger()
    run_one(ledger)
    ledger.tell(X, e.ExecutionSucceeded())
    assert ledger.found == []
    assert ledger.auditor.finish(is_at_rest=True) == []
    summary = ledger.auditor.summary
    assert (summary.executions, summary.attempts, summary.allocations, summary.unreturned) == (1, 1, 1, 0)


def test_a_worker_has_no_more_than_it_offered() -> None:
    """The third core of two, and the third slot of two, are each one too many."""
    ledger = Ledger()
    assert ledger.grant("a", 1) == []
    assert ledger.grant("b", 2) == []
    assert ledger.grant("c", 3) == [Kind.OVER_CAPACITY, Kind.OVER_CAPACITY]


@pytest.mark.parametrize("name", ["licence", "key:k/1", "rate:r/1/1000"])
def test_a_pool_has_no_more_than_it_has_as_a_whole(name: str) -> None:
    """A licence, a place under a key and a start under a rate are each given once at a time."""
    ledger = Ledger()
    assert ledger.grant("a", 1, amounts={name: 1.0}) == []
    assert ledger.grant("b", 2, amounts={name: 1.0}) == [Kind.OVER_CAPACITY]


def test_a_lost_licence_comes_back_by_its_lease() -> None:
    """Freed or not, a revoked allocation's licence is taken until it is returned, and not before its time."""
    ledger = Ledger()
    ledger.grant("a", 1, amounts={"licence": 1.0})
    ledger.tell(P, e.WorkerLost("w", 1), e.AllocationRevoked(A, "gone", 3_000))
    ledger.free()
    ledger.tell(P, e.WorkerJoined("w", 1, ("work",), 2, {}))
    assert ledger.grant("b", 2, amounts={"licence": 1.0}) == [Kind.OVER_CAPACITY]
    ledger.at += 2_999
    assert ledger.tell(P, e.SharedReturned(1)) == [Kind.RETURNED_EARLY]
    assert ledger.tell(P, e.SharedReturned(1)) == [Kind.FREED_TWICE]


@pytest.mark.parametrize(("client_id", "found"), [("", []), ("c", [Kind.RETURNED_EARLY])])
def test_a_lost_licence_comes_back_when_its_worker_is_known_to_have_ended(
    client_id: str, found: list[Kind]
) -> None:
    """The end of a worker's process shortens its lease, and says nothing of a client that uses a licence."""
    ledger = Ledger()
    holder = Holder(client_id=client_id) if client_id else Holder("x", "a", 1)
    ledger.tell(X, e.TaskQueued("a", 1))
    ledger.tell(P, e.AllocationGranted(A, holder, "work", "w", 1, 1, {"licence": 1.0}))
    ledger.tell(P, e.WorkerLost("w", 1), e.AllocationRevoked(A, "gone", 3_000))
    assert ledger.tell(P, e.SharedReturned(1, is_ended=True)) == found


def test_a_start_counts_for_its_whole_time() -> None:
    """A place under a rate comes back by time, not with the attempt."""
    ledger = Ledger()
    ledger.grant("a", 1, amounts={"rate:r/1/1000": 1.0})
    ledger.tell(X, e.TaskWithdrawn("a", 1))
    assert ledger.free() == []
    assert ledger.grant("b", 2, amounts={"rate:r/1/1000": 1.0}) == [Kind.OVER_CAPACITY]
    ledger.at += 999
    assert ledger.tell(P, e.SharedReturned(1, is_rate=True)) == [Kind.RETURNED_EARLY]


def test_a_grant_needs_a_worker() -> None:
    """A grant on a worker, an incarnation or for an agent type that is not there is wrong."""
    ledger = Ledger()
    ledger.tell(X, e.TaskQueued("a", 1))
    granted = e.AllocationGranted(A, Holder("x", "a", 1), "work", "w", 2, 1)
    assert ledger.tell(P, granted) == [Kind.UNKNOWN_WORKER]
    ledger.free()
    granted = e.AllocationGranted(A, Holder("x", "a", 1), "other", "w", 1, 2)
    assert ledger.tell(P, granted) == [Kind.UNKNOWN_WORKER]
    assert ledger.tell(P, e.WorkerLost("nobody", 1)) == [Kind.UNKNOWN_WORKER]
    assert ledger.tell(P, e.WorkerJoined("w", 2, (), 1, {})) == [Kind.UNKNOWN_WORKER]


def test_what_is_held_is_not_granted_again() -> None:
    """A second grant of a live allocation is wrong; of a freed one it is not."""
    ledger = Ledger()
    ledger.grant()
    assert ledger.grant(fence=2) == [Kind.DOUBLE_GRANT]
    ledger.free()
    assert ledger.grant(fence=3) == []


def test_a_grant_is_for_somebody() -> None:
    """A grant belongs to an attempt that asked for it, or to a client."""
    ledger = Ledger()
    granted = e.AllocationGranted(A, Holder("x", "a", 1), "work", "w", 1, 1)
    assert ledger.tell(P, granted) == [Kind.NO_HOLDER]
    assert ledger.tell(P, e.AllocationGranted("q", Holder(), "work", "w", 1, 2)) == [Kind.NO_HOLDER]
    assert ledger.tell(P, e.AllocationFreed("q", Holder())) == []
    assert ledger.tell(P, e.AllocationGranted("c", Holder(client_id="c"), "work", "w", 1, 3)) == []


def test_fences_only_grow() -> None:
    """A grant within the block of another, and an attempt under another fence than its grant's, are wrong."""
    ledger = Ledger()
    ledger.grant("a", 1, hands=4)
    assert ledger.grant("b", 5) == [Kind.FENCE_REUSED]
    assert ledger.start("a", 2) == [Kind.FENCE_REUSED]


def test_a_task_s_attempts_have_growing_fences() -> None:
    """A later attempt of a task never runs under an older fence."""
    ledger = Ledger()
    run_one(ledger)
    ledger.tell(X, e.TaskQueued("a", 2))
    ledger.tell(P, e.AllocationGranted("x/a/2", Holder("x", "a", 2), "work", "w", 1, 2))
    assert ledger.tell(X, e.TaskScheduled("a", 2, "w", "x/a/2", 1)) == [Kind.FENCE_REUSED] * 2


def test_an_attempt_runs_on_what_was_granted_there() -> None:
    """No grant, or one on another worker, is nothing to run on."""
    ledger = Ledger()
    ledger.tell(X, e.TaskQueued("a", 1))
    assert ledger.start() == [Kind.USED_UNGRANTED]
    ledger.grant("b", 2)
    assert ledger.tell(X, e.TaskScheduled("b", 1, "w", B, 2, incarnation=2)) == [Kind.USED_UNGRANTED]


def test_an_execution_that_has_ended_holds_and_asks_for_nothing() -> None:
    """What is held or asked for at the end is found, and so is what is asked for afterwards."""
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    ledger.tell(X, e.TaskQueued("b", 1))
    assert ledger.tell(X, e.ExecutionFailed()) == [Kind.HELD_AFTER_END] * 2
    other = Ledger()
    other.grant()
    other.tell(X, e.AllocationRequestWithdrawn(A), e.ExecutionCancelled())
    assert other.tell(X, e.TaskQueued("b", 1)) == [Kind.HELD_AFTER_END]


def test_an_execution_that_goes_on_asks_again() -> None:
    """A restart takes the end back."""
    ledger = Ledger()
    ledger.grant()
    ledger.tell(X, e.AllocationRequestWithdrawn(A), e.ExecutionCancelled())
    ledger.free()
    assert ledger.tell(X, e.AllocationSettled(A), e.ExecutionRestarted(("a",)), e.TaskQueued("a", 2)) == []


def test_nothing_is_freed_while_it_is_used() -> None:
    """Neither its pool nor its execution gives back what an attempt runs on or what is kept."""
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    assert ledger.tell(X, e.AllocationReleased(A)) == [Kind.FREED_IN_USE]
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    ledger.succeed()
    ledger.tell(X, e.AllocationKept(A, "a", 0))
    assert ledger.free() == [Kind.FREED_IN_USE]


def test_nothing_is_freed_or_revoked_twice() -> None:
    """What is neither granted nor asked for cannot be freed; a waiting request can."""
    ledger = Ledger()
    ledger.grant()
    ledger.tell(X, e.TaskWithdrawn("a", 1))
    assert ledger.free() == []
    assert ledger.free() == [Kind.FREED_TWICE]
    assert ledger.tell(P, e.AllocationRevoked(A)) == [Kind.FREED_TWICE]
    ledger.tell(P, e.AllocationQueued(B, Holder("x", "b", 1), "work"))
    assert ledger.free(B) == []


def test_nothing_is_revoked_on_a_live_worker() -> None:
    """An execution loses its allocation with the worker only; a client may be gone by itself."""
    ledger = Ledger()
    ledger.grant()
    assert ledger.tell(P, e.AllocationRevoked(A, "why")) == [Kind.REVOKED_IN_USE]
    ledger.tell(P, e.AllocationGranted("c", Holder(client_id="c"), "work", "w", 1, 3))
    assert ledger.tell(P, e.AllocationRevoked("c", "The client is gone.")) == []


def test_a_reservation_is_used_once_and_ends() -> None:
    """Ended twice, made twice, on nobody, too much, or never ended: each is found."""
    ledger = Ledger()
    made = e.ReservationMade("r", "c", "w", {"cpu_cores": 2.0}, ledger.at + 1_000)
    assert ledger.tell(P, made) == []
    assert ledger.tell(P, made) == [Kind.RESERVATION_REUSED]
    assert ledger.grant() == [Kind.OVER_CAPACITY]
    assert ledger.tell(P, e.ReservationEnded("r", "used"), e.ReservationEnded("r", "used")) == [
        Kind.RESERVATION_REUSED
    ]
    assert ledger.tell(P, e.ReservationMade("q", "c", "gone", {}, 0)) == [Kind.UNKNOWN_WORKER]
    assert Kind.RESERVATION_OUTLIVED in ledger.later(240)


def test_missing_events_are_noticed() -> None:
    """A log whose versions have a gap is not to be trusted."""
    ledger = Ledger()
    assert ledger.tell(P, e.WorkerDraining("w", 1), skip=1) == [Kind.MISSING_EVENTS]
    assert ledger.tell(X, e.TaskReady("a"), skip=1) == [Kind.MISSING_EVENTS]


def test_what_was_imported_holds_nothing_here() -> None:
    """An imported execution's attempts ran on another pool, so they are counted and not checked."""
    ledger = Ledger(is_native=False)
    ledger.tell(X, e.TaskQueued("a", 1))
    assert ledger.start() == []
    assert ledger.auditor.summary.imported == 1


def test_of_an_export_only_its_execution_is_audited() -> None:
    """Others' allocations come and go unseen there, and no leak of its own is missed."""
    ledger = Ledger()
    ledger.auditor = Auditor(only="x")
    ledger.versions.clear()
    ledger.tell(P, e.WorkerJoined("w", 1, ("work",), 2, {"cpu_cores": 2.0}), skip=7)
    others = [
        e.AllocationGranted(f"y/{n}/1", Holder("y", str(n), 1), "work", "w", 1, n + 1) for n in range(9)
    ]
    assert ledger.tell(P, *others, skip=3) == []
    assert ledger.tell(P, e.AllocationFreed("z/a/1", Holder("z"))) == []
    assert ledger.grant(fence=20, amounts={"cpu_cores": 3.0}) == [Kind.OVER_CAPACITY]


def test_every_kind_says_what_to_do() -> None:
    """Each kind has a hint, and each finding a place."""
    assert set(HINTS) == set(Kind)
    ledger = Ledger()
    ledger.free()
    (found,) = ledger.found
    assert (found.where.log, found.where.version, found.where.at) == ("pool.p", 3, ledger.at)
    assert "neither granted nor asked for" in found.message
    assert found.hint
