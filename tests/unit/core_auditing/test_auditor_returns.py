"""What is handed on, given back or never comes back, and how long the auditor waits for it."""

from __future__ import annotations

import pytest
from tests.unit.core_auditing.book import A, B, Ledger, P, X, run_one

from talka_core.auditing import Kind
from talka_protocols import events as e
from talka_protocols.events import Holder, TaskFailure

ERROR = TaskFailure("boom", "It failed.")


def hand_on(ledger: Ledger, fence: int = 2) -> list[Kind]:
    """Let the first task end, and its allocation go to the second."""
    ledger.succeed()
    return ledger.tell(X, e.AllocationHandedOn(A, "a", "b", 1, fence)) + ledger.start("b", fence, A)


def test_a_hand_on_within_its_grant_is_clean() -> None:
    """A permitted hand-on, recorded by the pool and settled, is nothing to complain about."""
    ledger = Ledger()
    ledger.grant(hands=2)
    ledger.start()
    assert hand_on(ledger) == []
    assert ledger.tell(P, e.AllocationHolderChanged(A, Holder("x", "b", 1), 2)) == []
    assert ledger.tell(X, e.HandOnSettled(A, 2)) == []
    assert ledger.auditor.summary.hand_ons == 1


@pytest.mark.parametrize(("hands", "fence", "later_ms"), [(0, 2, 0), (2, 4, 0), (2, 2, 10_000)])
def test_a_hand_on_beyond_its_grant_is_found(hands: int, fence: int, later_ms: int) -> None:
    """Without a permit, beyond its fences or after its time no allocation may be handed on."""
    ledger = Ledger()
    ledger.grant(hands=hands)
    ledger.start()
    ledger.at += later_ms
    assert Kind.HAND_ON_BEYOND_GRANT in hand_on(ledger, fence)


def test_a_withdrawn_permit_permits_nothing() -> None:
    """After the execution has taken note of the withdrawal it hands nothing on."""
    ledger = Ledger()
    ledger.grant(hands=2)
    ledger.start()
    ledger.tell(X, e.PermitWithdrawn(A))
    assert hand_on(ledger) == [Kind.HAND_ON_BEYOND_GRANT]


def test_hand_ons_are_by_their_holder_and_recorded_as_they_were() -> None:
    """Nobody hands on what it does not hold, and the pool records no other fence."""
    ledger = Ledger()
    ledger.grant(hands=2)
    assert ledger.tell(X, e.AllocationHandedOn(A, "c", "b", 1, 2)) == [Kind.HAND_ON_BEYOND_GRANT]
    assert ledger.tell(P, e.AllocationHolderChanged(A, Holder("x", "b", 1), 4)) == [Kind.HAND_ON_BEYOND_GRANT]
    assert ledger.tell(P, e.AllocationHolderChanged(B, Holder("x", "b", 1), 4)) == [Kind.HAND_ON_BEYOND_GRANT]
    assert ledger.tell(X, e.HandOnSettled(A, 5)) == [Kind.SETTLED_UNRECORDED]


def test_two_attempts_never_hold_the_same() -> None:
    """Nobody gets, hands on or keeps what an attempt runs on."""
    ledger = Ledger()
    ledger.grant(hands=2)
    ledger.start()
    assert ledger.start("b", 2, A) == [Kind.HELD_TWICE]
    assert ledger.tell(X, e.AllocationHandedOn(A, "b", "c", 1, 3)) == [Kind.HELD_TWICE]
    assert ledger.tell(X, e.AllocationKept(B, "b", 0)) == [Kind.HELD_TWICE]


def test_only_what_the_pool_has_recorded_is_settled() -> None:
    """A settled return that the pool never recorded is a leak, and so is one that was never made."""
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    ledger.succeed()
    ledger.tell(X, e.AllocationReleased(A))
    assert ledger.tell(X, e.AllocationSettled(A)) == [Kind.SETTLED_UNRECORDED]
    assert ledger.tell(X, e.AllocationSettled(A)) == [Kind.SETTLED_UNRECORDED]


def test_a_late_grant_to_a_repeated_request_is_no_leak_if_it_comes_back() -> None:
    """What is granted again after it was freed may be on its way back while its return is settled."""
    ledger = Ledger()
    run_one(ledger)
    ledger.tell(X, e.TaskQueued("b", 1))
    again = e.AllocationGranted(A, Holder("x", "a", 1), "work", "w", 1, 2)
    assert ledger.tell(P, again) == []
    assert ledger.later(60) == []
    assert ledger.auditor.summary.unreturned == 1
    assert ledger.free() == []
    assert ledger.auditor.finish(is_at_rest=True) == []


def test_what_never_comes_back_is_a_leak() -> None:
    """What nobody wants is missed once both sides had minutes to give it back."""
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    ledger.tell(X, e.TaskFailed("a", 1, 0, ERROR))
    assert ledger.later(120) == []
    assert ledger.later(120) == [Kind.NOT_RETURNED]
    assert ledger.later(300) == []


def test_time_without_an_owner_does_not_count() -> None:
    """An outage of an hour is not an hour in which anybody could have given something back."""
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    ledger.tell(X, e.TaskFailed("a", 1, 0, ERROR))
    ledger.at += 3_600_000
    assert ledger.later(120) == []
    assert [each.kind for each in ledger.auditor.finish(is_at_rest=True)] == [Kind.NOT_RETURNED]


def test_what_stands_on_a_lost_worker_is_revoked() -> None:
    """A pool that forgets what stood on a lost worker is found out; its execution need not be there."""
    ledger = Ledger()
    ledger.grant()
    ledger.start()
    ledger.tell(P, e.WorkerLost("w", 1))
    assert Kind.STRANDED in ledger.later(240)
