"""Goal: a pool decides from its queue how many workers it shall have, and remembers why.

Method: the pool alone is told of requests, of workers and of time; B1 is checked after each event.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from talka_chaos.players import Player
from talka_core.behaviour import SetTimer
from talka_core.resource import RESOURCE
from talka_core.resource.scaling import SCALING, timers
from talka_core.resource.soundness import fault
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.messages import Recipient
from talka_protocols.policies import Breaker, ScalingPolicy

POLICY = ScalingPolicy(0, 5, target_delay_ms=10_000, cool_down_ms=60_000, scale_to_zero_after_ms=120_000)
CORES = 4.0


class Pool:
    """A pool under a policy, whose workers come and go as it decides, at once."""

    def __init__(self, policy: ScalingPolicy | None = POLICY, *, is_followed: bool = True) -> None:
        self.player = Player(Recipient.RESOURCE, "p")
        self.now_ms = 1_000_000
        self.numbers = count(1)
        self.is_followed = is_followed
        self.effects: list[Any] = []
        if policy:
            self.tell(m.ScalePool("p", policy))

    @property
    def state(self) -> Any:
        """Return the pool's state."""
        return self.player.state

    def tell(self, *messages: Any) -> list[Any]:
        """Tell it something, follow its decisions, and return the events that this led to."""
        before = len(self.player.events())
        self.effects = self.player.take_together(messages, self.now_ms, None)
        events = self.player.events()[before:]
        if self.is_followed and any(
            isinstance(event, e.ScalingDecided | e.WorkerDraining) for event in events
        ):
            events += self.follow()
        return events

    def follow(self) -> list[Any]:
        """Start the workers that are missing, and stop those that drain and hold nothing."""
        told: list[Any] = []
        for worker_id, entry in list(self.state.workers.items()):
            holds = any(grant.worker_id == worker_id for grant in self.state.grants.values())
            if entry.is_draining and not holds:
                told += self.tell(m.WorkerLeft("p", worker_id, entry.incarnation))
        while len([w for w in self.state.workers.values() if not w.is_draining]) < self.state.scaling.workers:
            told += self.join(f"w{next(self.numbers)}", is_elastic=True)
        return told

    def join(self, worker_id: str, *, is_elastic: bool = False) -> list[Any]:
        """Let a worker of four cores join."""
        offer = {"cpu_cores": CORES}
        return self.tell(m.RegisterWorker("p", worker_id, 1, ("x",), 8, offer, is_elastic=is_elastic))

    def ask(self, number: int = 1, cores: float = 1.0, estimate_ms: int = 0, **more: Any) -> list[str]:
        """Ask for allocations, and return their ids."""
        names = [f"a{next(self.numbers)}" for _ in range(number)]
        amounts = {"cpu_cores": cores, **more}
        self.tell(
            *(
                m.RequestAllocation("p", name, Holder("e", name, 1), "x", amounts, estimate_ms=estimate_ms)
                for name in names
            )
        )
        return names

    def end(self, *names: str) -> list[Any]:
        """Give allocations back."""
        return self.tell(*(m.ReleaseAllocation("p", name, Holder("e", name, 1)) for name in names))

    def wait(self, passed_ms: int) -> list[Any]:
        """Let time pass, with the timer firing whenever it is due."""
        told: list[Any] = []
        end_ms = self.now_ms + passed_ms
        while 0 < self.state.scaling.due_at <= end_ms:
            self.now_ms = max(self.now_ms, self.state.scaling.due_at)
            told += self.tell(m.TimerFired("p", SCALING))
        self.now_ms = end_ms
        return told

    @property
    def decisions(self) -> list[tuple[int, str]]:
        """Return the numbers that were decided on, with their reasons."""
        events = self.player.events()
        return [(event.workers, event.reason) for event in events if isinstance(event, e.ScalingDecided)]


def test_from_zero_and_back() -> None:
    """The first task brings one worker; when nothing was to do for long enough the last one goes."""
    pool = Pool()
    (name,) = pool.ask(estimate_ms=500)
    assert pool.decisions == [(1, "zero")]
    assert set(pool.state.grants) == {name}
    pool.now_ms += 500
    pool.end(name)
    pool.wait(119_999)
    assert pool.decisions == [(1, "zero")]
    pool.wait(1)
    assert pool.decisions[1:] == [(0, "idle")]
    assert pool.state.workers == {}
    assert pool.state.scaling.due_at == 0, "nothing more is to be looked at"
    pool.ask()
    assert pool.decisions[2:] == [(1, "zero")]


def test_as_many_as_the_target_delay_asks_for() -> None:
    """Eighty tasks of 10 s, four at once, are 200 s of one worker's work: twenty do it in 10 s."""
    pool = Pool(ScalingPolicy(1, 50, target_delay_ms=10_000))
    pool.ask(84, estimate_ms=10_000)
    assert pool.decisions == [(1, "bounds"), (20, "backlog")]
    decided = [event for event in pool.player.events() if isinstance(event, e.ScalingDecided)][-1]
    assert (decided.previous, decided.active, decided.waiting) == (1, 1, 80)
    assert decided.expected_wait_ms == 200_000


def test_what_fits_the_delay_brings_nobody() -> None:
    """Sixteen tasks of 1 s behind four others wait 4 s at most, and 10 are allowed."""
    pool = Pool(ScalingPolicy(1, 5))
    pool.ask(20, estimate_ms=1_000)
    assert pool.decisions == [(1, "bounds")]


def test_the_bounds_are_kept() -> None:
    """However much waits, there are no more than the most, and a narrower policy is obeyed at once."""
    pool = Pool()
    pool.ask(1_000, estimate_ms=60_000)
    assert pool.decisions == [(1, "zero"), (5, "backlog")], "what a worker offers is not known before"
    pool.tell(m.ScalePool("p", ScalingPolicy(1, 2)))
    assert pool.decisions[2:] == [(2, "bounds")]
    assert sum(not entry.is_draining for entry in pool.state.workers.values()) == 2


def test_unforeseen_waits_count_when_they_have_happened() -> None:
    """Nobody knows how long these take: after the target delay half as many more come, and so on."""
    pool = Pool(ScalingPolicy(1, 5))
    pool.ask(12)
    assert pool.decisions == [(1, "bounds")]
    pool.wait(9_999)
    assert pool.decisions == [(1, "bounds")]
    pool.wait(1)
    assert pool.decisions[1:] == [(2, "late")]
    pool.wait(10_000)
    assert pool.decisions[2:] == [(3, "late")]
    assert not pool.state.waiting


def test_fewer_only_after_the_cool_down_and_idle_ones_first() -> None:
    """Three workers, one task left on one of them: after a cool-down of little use the two idle ones go."""
    pool = Pool(ScalingPolicy(1, 5, cool_down_ms=60_000))
    names = pool.ask(16, estimate_ms=10_000)
    assert pool.decisions == [(1, "bounds"), (3, "backlog")]
    busy = pool.state.grants[names[0]].worker_id
    pool.now_ms += 10_000
    pool.end(*names[1:])
    assert pool.wait(49_999) == []
    told = pool.wait(1)
    assert [type(event).__name__ for event in told] == ["ScalingDeferred"], "all were in use within it"
    pool.wait(60_000)
    assert pool.decisions[2:] == [(1, "idle")]
    assert set(pool.state.workers) == {busy}


def test_a_draining_worker_gets_nothing_and_keeps_what_it_runs() -> None:
    """A task that runs on a worker that is to go ends there, and only then the worker goes."""
    pool = Pool(ScalingPolicy(2, 2))
    held = pool.ask(2)
    pool.tell(m.ScalePool("p", ScalingPolicy(1, 1)))
    draining = {worker_id for worker_id, entry in pool.state.workers.items() if entry.is_draining}
    assert len(draining) == 1
    assert len(pool.state.workers) == 2, "it runs one of the two tasks"
    more = pool.ask(3)
    assert draining.isdisjoint(pool.state.grants[name].worker_id for name in more)
    pool.end(*held)
    pool.follow()
    assert len(pool.state.workers) == 1


def test_a_worker_on_which_something_is_reserved_stays_until_that_is_over() -> None:
    """Two workers, one too many, and a reservation on each: whose ends first goes."""
    pool = Pool(ScalingPolicy(2, 2))
    for name in ("r1", "r2"):
        pool.tell(m.ReserveResources("p", name, "c", {"cpu_cores": 3.0}, ttl_ms=600_000))
    assert {one.worker_id for one in pool.state.reservations.values()} == set(pool.state.workers)
    pool.tell(m.ScalePool("p", ScalingPolicy(1, 1)))
    assert len(pool.state.workers) == 2
    kept = pool.state.reservations["r2"].worker_id
    pool.tell(m.EndReservation("p", "r1", "c"))
    assert set(pool.state.workers) == {kept}


def test_a_permit_is_called_back_from_a_worker_that_is_to_go() -> None:
    """Otherwise an execution could hand its allocation on there for ever."""
    pool = Pool(ScalingPolicy(1, 1), is_followed=False)
    pool.join("w1", is_elastic=True)
    (name,) = pool.ask()
    assert pool.state.grants[name].hands
    pool.join("w2")
    assert pool.state.workers["w1"].is_draining
    assert not pool.state.grants[name].hands


def test_only_elastic_workers_are_drained() -> None:
    """What people started stays, however few are wanted."""
    pool = Pool(ScalingPolicy(0, 5), is_followed=False)
    pool.join("mine")
    pool.join("elastic", is_elastic=True)
    pool.tell(m.ScalePool("p", ScalingPolicy(0, 1)))
    assert {name: entry.is_draining for name, entry in pool.state.workers.items()} == {
        "mine": False,
        "elastic": True,
    }


@pytest.mark.parametrize("why", ["licence", "breaker", "size", "type"])
def test_what_no_worker_would_help_brings_none(why: str) -> None:
    """A licence that is away, an open breaker, and what no such worker can run are no reason for more."""
    pool = Pool(ScalingPolicy(1, 5))
    pool.tell(m.ConfigurePool("p", {"licence": 0.0}, breakers={"x": Breaker(1, open_ms=10**9)}))
    match why:
        case "licence":
            pool.ask(100, estimate_ms=60_000, licence=1.0)
        case "breaker":
            (name,) = pool.ask()
            fence = pool.state.grants[name].fence
            pool.tell(m.ReleaseAllocation("p", name, Holder("e", name, 1), fence, (fence,)))
            pool.ask(100, estimate_ms=60_000)
        case "size":
            pool.ask(100, cores=5.0, estimate_ms=60_000)
        case _:
            pool.tell(m.RequestAllocation("p", "other", Holder("e", "t", 1), "y", estimate_ms=600_000))
    pool.wait(600_000)
    assert pool.decisions == [(1, "bounds")]


def test_a_repeated_policy_and_an_early_timer_change_nothing() -> None:
    """The same policy is no event; a timer that fires too early is set again."""
    pool = Pool(ScalingPolicy(1, 5))
    pool.ask(5)
    assert pool.tell(m.ScalePool("p", ScalingPolicy(1, 5))) == []
    due_at = pool.state.scaling.due_at
    assert pool.tell(m.TimerFired("p", SCALING)) == []
    assert pool.effects == [SetTimer("p", SCALING, due_at)]


def test_without_a_policy_nothing_is_decided_any_more() -> None:
    """The timer is owed no longer, and what runs goes on."""
    pool = Pool(ScalingPolicy(1, 5))
    pool.ask(5)
    pool.tell(m.ScalePool("p"))
    assert pool.state.scaling is None
    assert pool.tell(m.TimerFired("p", SCALING)) == []
    assert pool.effects == []


def test_a_new_owner_looks_at_once() -> None:
    """Instants of another machine's clock say nothing: what lies ahead is taken as now."""
    pool = Pool(ScalingPolicy(1, 5))
    pool.ask(12)
    pool.now_ms -= 500_000
    RESOURCE.evolve(pool.state, e.PoolOwnershipTaken(2), pool.now_ms)
    assert list(timers(pool.state)) == [SetTimer("p", SCALING, pool.now_ms)]
    pool.tell(m.TimerFired("p", SCALING))
    pool.wait(10_000)
    assert pool.decisions[1:] == [(2, "late")]


@pytest.mark.parametrize(
    "policy",
    [
        ScalingPolicy(3, 2),
        ScalingPolicy(-1, 2),
        ScalingPolicy(0, 0),
        ScalingPolicy(0, 10**6),
        ScalingPolicy(target_delay_ms=0),
        ScalingPolicy(cool_down_ms=-1),
    ],
)
def test_senseless_policies(policy: ScalingPolicy) -> None:
    """Nothing happens for them."""
    assert fault(m.ScalePool("p", policy))
    pool = Pool(None)
    assert pool.tell(m.ScalePool("p", policy)) == []
