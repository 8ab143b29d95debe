"""Pool-wide amounts: granted from the pool as a whole, given back only when nobody can use them any more."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.invariants import check_pool
from talka_chaos.laws import Ledger
from talka_core.behaviour import Send, SetTimer, step
from talka_core.history import FOLDS, packed, unpacked
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.placement import shortage
from talka_core.resource.state import HELD_BACK_MS
from talka_core.status import inventory_of
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.subjects import POOL
from talka_protocols.workflow import SharedResource

NOW = 1_700_000_000_000


class Pool:
    """A pool with two workers and one licence, held to its laws after every message."""

    def __init__(self, licences: float = 1.0) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.ledger = Ledger()
        self.now = NOW
        self.effects: list[Any] = []
        self.tell(m.ConfigurePool("p", {"licence": licences}))
        for worker_id in ("w1", "w2"):
            self.tell(m.RegisterWorker("p", worker_id, 1, ("work",), 16, {"cpu_cores": 2.0}))

    def tell(self, message: m.ResourceMessage) -> list[e.PoolEvent]:
        """Take a message and return its events."""
        events, effects = step(RESOURCE, self.state, message, self.now)
        self.effects = [effect for _, effect in effects]
        for index, event in enumerate(events):
            self.ledger.record(event, [effect for at, effect in effects if at == index])
        assert self.ledger.difference(RESOURCE.resume(self.state)) == ""
        check_pool(self.state)
        return events

    def ask(self, name: str, *, client: str = "", **amounts: float) -> list[e.PoolEvent]:
        """Ask for an allocation."""
        holder = Holder(client_id=client) if client else Holder("e", name, 1)
        return self.tell(m.RequestAllocation("p", name, holder, "work", amounts))

    def fire(self) -> list[e.PoolEvent]:
        """Let the only timer of the pool run out."""
        (timer,) = [effect for effect in self.ledger.owed if isinstance(effect, SetTimer)]
        self.now = max(self.now, timer.due_at)
        return self.tell(m.TimerFired("p", timer.name))

    @property
    def free(self) -> float:
        """Return how many licences are free."""
        return inventory_of(self.state).shared["licence"].free


def kinds(events: list[e.PoolEvent]) -> list[str]:
    """Return the events' types."""
    return [type(event).__name__ for event in events]


def test_one_licence_for_two_workers() -> None:
    """A pool-wide amount is granted once in the whole pool, and to the next one when it is released."""
    pool = Pool()
    assert kinds(pool.ask("a", licence=1.0)) == ["AllocationGranted"]
    assert kinds(pool.ask("b", licence=1.0)) == ["AllocationQueued"]
    assert kinds(pool.ask("c", cpu_cores=2.0)) == ["AllocationGranted"]
    freed = pool.tell(m.ReleaseAllocation("p", "a", Holder("e", "a", 1)))
    assert kinds(freed) == ["AllocationFreed", "AllocationGranted"]


def test_grant_says_that_it_is_shared() -> None:
    """The holder of a pool-wide amount is told so, and nobody else is."""
    pool = Pool()
    said: dict[str, bool] = {}
    for name, resource in {"a": "licence", "b": "cpu_cores"}.items():
        pool.tell(m.RequestAllocation("p", name, Holder("e", name, 1), "work", {resource: 1.0}))
        (send,) = pool.effects
        assert isinstance(send, Send)
        assert isinstance(send.message, m.GrantAllocation)
        said[name] = send.message.is_shared
    assert said == {"a": True, "b": False}


def test_thousandths_are_exact() -> None:
    """Ten tenths of a licence are one licence, and after all came back one is free."""
    pool = Pool()
    for number in range(10):
        assert kinds(pool.ask(f"t{number}", licence=0.1)) == ["AllocationGranted"]
    assert kinds(pool.ask("late", licence=0.001)) == ["AllocationQueued"]
    pool.tell(m.ReleaseAllocation("p", "late"))
    for number in range(10):
        pool.tell(m.ReleaseAllocation("p", f"t{number}"))
    assert pool.free == 1.0


def test_lost_worker_gives_back_after_the_lease() -> None:
    """A lost worker's licence is granted again only when its lease is over, however soon it is released."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    pool.ask("b", licence=1.0)
    worker_id = pool.state.grants["a"].worker_id
    assert kinds(pool.tell(m.WorkerLeft("p", worker_id, 1))) == ["WorkerLost", "AllocationRevoked"]
    assert kinds(pool.tell(m.ReleaseAllocation("p", "a"))) == ["AllocationFreed"]
    assert pool.tell(m.RegisterWorker("p", worker_id, 2, ("work",), 4)) != []
    assert "b" in pool.state.waiting
    assert kinds(pool.fire()) == ["SharedReturned", "AllocationGranted"]
    assert pool.now == NOW + HELD_BACK_MS


def test_timer_that_is_too_early_returns_nothing() -> None:
    """A timer that fires before its time is set again and gives nothing back."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    pool.tell(m.WorkerLeft("p", pool.state.grants["a"].worker_id, 1))
    (fence,) = pool.state.held_back
    assert pool.tell(m.TimerFired("p", f"shared/{fence}")) == []
    assert pool.effects == [SetTimer("p", f"shared/{fence}", NOW + HELD_BACK_MS)]


def test_new_owner_counts_the_lease_anew() -> None:
    """The lease is a duration: the owner after counts it on its own clock, whatever that says."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    pool.tell(m.WorkerLeft("p", pool.state.grants["a"].worker_id, 1))
    taken, at = e.PoolOwnershipTaken(2), NOW + 60_000
    RESOURCE.evolve(pool.state, taken, at)
    pool.ledger.record(taken, RESOURCE.react(pool.state, taken))
    assert pool.ledger.difference(RESOURCE.resume(pool.state)) == ""
    assert [held.due_at for held in pool.state.held_back.values()] == [at + HELD_BACK_MS]


def test_silent_client_gives_back_after_the_lease() -> None:
    """A client that fell silent may still use its licence, so that comes back later than its cores."""
    pool = Pool()
    pool.ask("a", client="c", licence=1.0, cpu_cores=2.0)
    pool.tell(m.ClientLeft("p", "c"))
    assert pool.state.grants == {}
    assert pool.free == 0.0
    assert kinds(pool.ask("b", cpu_cores=2.0)) == ["AllocationGranted"]
    pool.fire()
    assert pool.free == 1.0


def test_client_that_releases_gives_back_at_once() -> None:
    """A client's own release returns the licence at once."""
    pool = Pool()
    pool.ask("a", client="c", licence=1.0)
    pool.tell(m.ReleaseAllocation("p", "a", Holder(client_id="c")))
    assert pool.free == 1.0


def test_reservation_keeps_pool_wide_amounts() -> None:
    """A reserved licence goes to its owner only, and is free again when the reservation ends unused."""
    pool = Pool()
    pool.tell(m.ReserveResources("p", "r", "c", {"licence": 1.0}))
    assert kinds(pool.ask("a", licence=1.0)) == ["AllocationQueued"]
    own = m.RequestAllocation("p", "b", Holder(client_id="c"), "work", {"licence": 1.0}, (), "r")
    assert kinds(pool.tell(own)) == ["ReservationEnded", "AllocationGranted"]
    pool.tell(m.ReleaseAllocation("p", "b", Holder(client_id="c")))
    pool.tell(m.ReleaseAllocation("p", "a"))
    pool.tell(m.ReserveResources("p", "s", "c", {"licence": 0.4}))
    assert pool.free == 0.6
    pool.tell(m.EndReservation("p", "s", "c"))
    assert pool.free == 1.0


def test_configuration_said_again_changes_nothing() -> None:
    """An unchanged configuration makes no event; a larger one grants what waits."""
    pool = Pool()
    assert pool.tell(m.ConfigurePool("p", {"licence": 1.0})) == []
    pool.ask("a", licence=1.0)
    pool.ask("b", licence=1.0)
    more = pool.tell(m.ConfigurePool("p", {"licence": 2.0}))
    assert kinds(more) == ["PoolConfigured", "AllocationGranted"]


def test_no_longer_shared_leaves_what_is_held_alone() -> None:
    """What was granted as pool-wide comes back as pool-wide, whatever was declared meanwhile."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    pool.tell(m.ConfigurePool("p"))
    pool.tell(m.ReleaseAllocation("p", "a"))
    pool.tell(m.ConfigurePool("p", {"licence": 1.0}))
    assert pool.free == 1.0


@pytest.mark.parametrize("is_lost", [False, True])
def test_shortage_names_the_whole_pool(*, is_lost: bool) -> None:
    """Who waits for a licence is told what the whole pool has, and that some of it comes back."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    if is_lost:
        pool.tell(m.WorkerLeft("p", pool.state.grants["a"].worker_id, 1))
    sentence = shortage(pool.state, "work", {"licence": 1.0})
    assert "licence: 1 asked, the whole pool has 1, 0 free" in sentence
    assert ("comes back" in sentence) is is_lost


def test_inventory_and_snapshot_hold_pool_wide_amounts() -> None:
    """The inventory shows capacity and what is free, also from a snapshot."""
    pool = Pool(licences=2.0)
    pool.ask("a", licence=0.5)
    pool.tell(m.WorkerLeft("p", pool.state.grants["a"].worker_id, 1))
    restored: PoolRecord = unpacked(FOLDS[POOL], packed(FOLDS[POOL], pool.state))
    assert restored == pool.state
    assert inventory_of(restored).shared == {"licence": SharedResource(2.0, 1.5)}


def test_worker_that_has_ended_gives_back_at_once() -> None:
    """When it is known that nothing of a worker runs any more, its licence is granted again at once."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    pool.ask("b", licence=1.0)
    left = m.WorkerLeft("p", pool.state.grants["a"].worker_id, 1, "Its process has ended.", is_ended=True)
    gone = ["WorkerLost", "AllocationRevoked", "SharedReturned", "AllocationGranted"]
    assert kinds(pool.tell(left)) == gone
    assert pool.tell(left) == []
    assert kinds(pool.tell(m.ReleaseAllocation("p", "a"))) == ["AllocationFreed"]
    assert pool.free == 0.0


@pytest.mark.parametrize("incarnation", [1, 2])
def test_word_of_the_end_may_come_late(incarnation: int) -> None:
    """Word that an incarnation has ended shortens the lease of what that one held, and of nothing else."""
    pool = Pool()
    pool.ask("a", licence=1.0)
    pool.ask("b", licence=1.0)
    worker_id = pool.state.grants["a"].worker_id
    pool.tell(m.RegisterWorker("p", worker_id, 2, ("work",), 4))
    pool.tell(m.RegisterWorker("p", worker_id, 3, ("work",), 4))
    told = kinds(pool.tell(m.WorkerLeft("p", worker_id, incarnation, is_ended=True)))
    assert told == (["SharedReturned", "AllocationGranted"] if incarnation == 1 else [])
    assert worker_id in pool.state.workers


def test_end_of_a_worker_is_no_end_of_a_client() -> None:
    """A client may go on using its licence although the worker that its allocation was on has ended."""
    pool = Pool()
    pool.ask("a", client="c", licence=1.0)
    pool.ask("b", licence=1.0)
    worker_id = pool.state.grants["a"].worker_id
    told = kinds(pool.tell(m.WorkerLeft("p", worker_id, 1, is_ended=True)))
    assert told == ["WorkerLost", "AllocationRevoked", "AllocationFreed"]
    assert kinds(pool.fire()) == ["SharedReturned", "AllocationGranted"]
