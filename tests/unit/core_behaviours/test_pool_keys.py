"""Limits per key: how many attempts run at once, and how many begin in a while, decided by the pool."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.invariants import check_pool
from talka_chaos.laws import Ledger
from talka_chaos.model import Model
from talka_core.behaviour import SetTimer, step
from talka_core.builder import WorkflowBuilder
from talka_core.history import FOLDS, packed, unpacked
from talka_core.keys import amounts_of
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.resource.placement import shortage
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import Holder
from talka_protocols.messages import Recipient
from talka_protocols.policies import Concurrency, Rate
from talka_protocols.subjects import POOL
from talka_protocols.workflow import Dependency, Task, Workflow

NOW = 1_700_000_000_000


class Pool:
    """A pool with one large worker, held to its laws after every message."""

    def __init__(self) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.ledger = Ledger()
        self.now = NOW
        self.tell(m.RegisterWorker("p", "w1", 1, ("work",), 16, {"cpu_cores": 8.0}))

    def tell(self, message: m.ResourceMessage) -> list[e.PoolEvent]:
        """Take a message and return its events."""
        events, effects = step(RESOURCE, self.state, message, self.now)
        for index, event in enumerate(events):
            self.ledger.record(event, [effect for at, effect in effects if at == index])
        assert self.ledger.difference(RESOURCE.resume(self.state)) == ""
        check_pool(self.state)
        return events

    def ask(self, name: str, **limits: Any) -> list[str]:
        """Ask for what a task with these limits takes up; return the kinds of events."""
        amounts = amounts_of(Task(name, "work", **limits))
        message = m.RequestAllocation("p", name, Holder("e", name, 1), "work", amounts)
        return [type(event).__name__ for event in self.tell(message)]

    def free(self, name: str) -> list[str]:
        """Give an allocation back; return the kinds of events."""
        released = self.tell(m.ReleaseAllocation("p", name, Holder("e", name, 1)))
        return [type(event).__name__ for event in released]

    def fire(self) -> list[str]:
        """Let the first timer run out; return the kinds of events."""
        timers = [effect for effect in self.ledger.owed if isinstance(effect, SetTimer)]
        timer = min(timers, key=lambda timer: timer.due_at)
        self.now = max(self.now, timer.due_at)
        return [type(event).__name__ for event in self.tell(m.TimerFired("p", timer.name))]


def test_so_many_with_one_key_run_at_once() -> None:
    """A request waits while its key is taken, another key does not, and the next release is its turn."""
    pool = Pool()
    orders = {"concurrency": Concurrency("orders", 2)}
    assert [pool.ask(name, **orders) for name in "ab"] == [["AllocationGranted"]] * 2
    assert pool.ask("c", **orders) == ["AllocationQueued"]
    assert pool.ask("d", concurrency=Concurrency("letters")) == ["AllocationGranted"]
    assert "key:orders/2: 1 asked, the whole pool has 2, 0 free" in shortage(
        pool.state, "work", {"key:orders/2": 1.0}
    )
    assert pool.free("a") == ["AllocationFreed", "AllocationGranted"]


def test_each_request_applies_its_own_limit_to_the_key() -> None:
    """All who have the key count, whatever limit they came with."""
    pool = Pool()
    assert pool.ask("a", concurrency=Concurrency("orders", 2)) == ["AllocationGranted"]
    assert pool.ask("b", concurrency=Concurrency("orders", 1)) == ["AllocationQueued"]
    assert pool.ask("c", concurrency=Concurrency("orders", 2)) == ["AllocationGranted"]
    assert pool.free("a") == ["AllocationFreed"]
    assert pool.free("c") == ["AllocationFreed", "AllocationGranted"]


def test_nothing_is_left_of_a_key_that_nobody_uses() -> None:
    """A key is no state of the pool by itself."""
    pool = Pool()
    pool.ask("a", concurrency=Concurrency("customer 7/9"))
    assert pool.state.shared_used == {"key:customer 7/9": 1000}
    pool.free("a")
    assert pool.state.shared_used == {}


def test_a_lost_worker_keeps_its_key_until_it_has_surely_stopped() -> None:
    """A key comes back only when the lease of the lost attempt is over."""
    pool = Pool()
    pool.ask("a", concurrency=Concurrency("orders"))
    pool.tell(m.WorkerLeft("p", "w1", 1, "gone"))
    pool.free("a")
    pool.tell(m.RegisterWorker("p", "w2", 1, ("work",), 16, {"cpu_cores": 8.0}))
    assert pool.ask("b", concurrency=Concurrency("orders")) == ["AllocationQueued"]
    assert pool.fire() == ["SharedReturned", "AllocationGranted"]


def test_so_many_begin_within_a_time() -> None:
    """A start counts until its time is over, also when the attempt ended long before."""
    pool = Pool()
    mails = {"rate": Rate("mails", 2, 60.0)}
    assert [pool.ask(name, **mails) for name in "ab"] == [["AllocationGranted"]] * 2
    pool.free("a")
    assert pool.ask("c", **mails) == ["AllocationQueued"]
    assert pool.fire() == ["SharedReturned", "AllocationGranted"]
    assert pool.now == NOW + 60_000
    assert pool.tell(m.TimerFired("p", "shared/rate-1")) == []


def test_a_rate_survives_the_loss_of_the_pool_and_of_the_worker() -> None:
    """After a takeover the starts count anew from then on, and a lost attempt's start counts once."""
    pool = Pool()
    limits = {"rate": Rate("mails", 1, 60.0), "concurrency": Concurrency("orders")}
    pool.ask("a", **limits)
    restored: PoolRecord = unpacked(FOLDS[POOL], packed(FOLDS[POOL], pool.state))
    assert packed(FOLDS[POOL], restored) == packed(FOLDS[POOL], pool.state)
    pool.now += 30_000
    event = e.PoolOwnershipTaken(2)
    RESOURCE.evolve(pool.state, event, pool.now)
    pool.ledger.record(event, RESOURCE.react(pool.state, event))
    pool.tell(m.WorkerLeft("p", "w1", 1, "gone"))
    pool.free("a")
    pool.tell(m.RegisterWorker("p", "w2", 1, ("work",), 16, {"cpu_cores": 8.0}))
    assert pool.ask("b", **limits) == ["AllocationQueued"]
    assert pool.fire() == ["SharedReturned"]
    assert pool.fire() == ["SharedReturned", "AllocationGranted"]
    assert pool.now == NOW + 90_000


def test_a_chain_hands_a_key_on_but_never_a_start() -> None:
    """Tasks of one chain may pass their key on; under a rate each of them asks the pool."""
    cases: list[tuple[dict[str, Any], int]] = [
        ({"concurrency": Concurrency("k")}, 1),
        ({"rate": Rate("k", 5, 1.0)}, 3),
    ]
    for limits, grants in cases:
        model = Model({"w1": 8.0})
        tasks = tuple(Task(name, AGENT_TYPE, **limits) for name in "abc")
        edges = (Dependency("a", "b"), Dependency("b", "c"))
        model.submit(Workflow("e", "e", tasks, edges))
        model.finish()
        (pool,) = [p for (kind, _), p in model.players.items() if kind is Recipient.RESOURCE]
        assert sum(b'"AllocationGranted"' in body for body in pool.commits) == grants


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": Concurrency(" ")},
        {"concurrency": Concurrency("k", 0)},
        {"rate": Rate("k", 1, 0.0)},
        {"rate": Rate("k\n", 1)},
        {"rate": Rate("k", 100_000)},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    """A key that says nothing and a limit that lets nothing run are refused with their place."""
    with pytest.raises(WorkflowInvalidError) as refused:
        WorkflowBuilder("x").add_task(Task("a", "sleep", payload={"seconds": 0}, **limits)).build()
    assert refused.value.code in ("bad_key", "bad_number")
    assert refused.value.path[:2] == ("tasks", 0)


def test_a_task_that_no_worker_runs_has_no_limit() -> None:
    """A limit on a task that holds nothing would say what is not true, so it is refused."""
    task = Task("a", "wait", payload={"seconds": 1}, concurrency=Concurrency("k"))
    with pytest.raises(WorkflowInvalidError, match="no worker runs") as refused:
        WorkflowBuilder("x").add_task(task).build()
    assert refused.value.code == "bad_key"
