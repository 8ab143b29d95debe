"""Goal: an agent type that keeps failing is not granted for a while, and then tried by a few probes.

Method: the pool alone hears what attempts came to; small graphs in the closed model show what schedulers say.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.laws import Ledger
from talka_chaos.model import Model
from talka_chaos.players import Player
from talka_core.behaviour import Alert, Send, SetTimer, step_batch
from talka_core.resource import RESOURCE
from talka_core.resource.placement import shortage
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Holder, TaskFailure, Terms
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Action, Breaker, RetryPolicy
from talka_protocols.states import Health, TaskStatus
from talka_protocols.workflow import Task, Workflow

RULE = Breaker(failures=2, within_ms=1_000, open_ms=5_000, probes=1)
TIMER = "breaker/x"
numbers = count(1)


class Pool:
    """A pool with one worker of eight slots, driven message by message; B1 is checked after each event."""

    def __init__(self, rule: Breaker = RULE) -> None:
        self.player = Player(Recipient.RESOURCE, "p")
        self.now_ms = 1_000_000
        self.effects: list[Any] = []
        self.tell(m.ConfigurePool("p", breakers={"x": rule}))
        self.tell(m.RegisterWorker("p", "w", 1, ("x", "y"), 8))

    @property
    def state(self) -> Any:
        """Return the pool's state."""
        return self.player.state

    def tell(self, message: Any, cut: int | None = None) -> list[Any]:
        """Tell it something, and return the events that this led to."""
        before = len(self.player.events())
        self.effects = self.player.take(message, self.now_ms, cut)
        return self.player.events()[before:]

    def ask(self, agent_type: str = "x", execution_id: str = "e") -> str:
        """Ask for a slot, and return the allocation's id."""
        name = f"a{next(numbers)}"
        self.tell(m.RequestAllocation("p", name, Holder(execution_id, name, 1), agent_type))
        return name

    def end(self, name: str, health: Health = Health.BAD, cut: int | None = None) -> list[str]:
        """Give an allocation back, and return the kinds of the events that followed."""
        fence = self.state.grants[name].fence
        failed = (fence,) if health is Health.BAD else ()
        told = self.tell(m.ReleaseAllocation("p", name, Holder("e", name, 1), fence, failed, health), cut)
        return [type(event).__name__ for event in told]

    def fire(self) -> list[str]:
        """Let the breaker's timer run out."""
        return [type(event).__name__ for event in self.tell(m.TimerFired("p", TIMER))]


def _opened(rule: Breaker = RULE) -> Pool:
    pool = Pool(rule)
    for _ in range(rule.failures):
        pool.end(pool.ask())
    assert pool.state.circuits["x"].phase == "open"
    return pool


def test_enough_failures_in_time_open_it() -> None:
    """Two failures within a second open it; others wait, another agent type does not, somebody is told."""
    pool = Pool()
    assert pool.end(pool.ask()) == ["AllocationFreed"]
    pool.now_ms += 999
    assert pool.end(pool.ask()) == ["AllocationFreed", "BreakerOpened"]
    assert SetTimer("p", TIMER, pool.now_ms + 5_000) in pool.effects
    assert any(isinstance(effect, Alert) and effect.name == "breaker.opened" for effect in pool.effects)
    waits, other = pool.ask(), pool.ask("y")
    assert (set(pool.state.waiting), set(pool.state.grants)) == ({waits}, {other})
    sentence = "The circuit breaker of agent type 'x' is open: 2 attempts failed."
    assert shortage(pool.state, "x", {}) == f"{sentence} 1 may try again 5 s after it opened."


def test_old_failures_and_other_ends_do_not_count() -> None:
    """A failure counts for a second; success, cancelling and losses say nothing against the agent."""
    pool = Pool()
    pool.end(pool.ask())
    for health in (Health.GOOD, Health.UNKNOWN):
        pool.end(pool.ask(), health)
    pool.now_ms += 1_000
    assert pool.end(pool.ask()) == ["AllocationFreed"]


def test_a_probe_that_succeeds_closes_it() -> None:
    """After its time one attempt is granted, none but that, and all the others when it has succeeded."""
    pool = _opened()
    first, second, third = pool.ask(), pool.ask(), pool.ask()
    assert pool.fire() == [], "its time is not over"
    assert any(isinstance(effect, SetTimer) and effect.name == TIMER for effect in pool.effects)
    pool.now_ms += 5_000
    assert pool.fire() == ["BreakerHalfOpened", "AllocationGranted"]
    assert set(pool.state.grants) == {first}
    assert pool.state.grants[first].hands == 0
    assert "half open" in shortage(pool.state, "x", {})
    granted = ["AllocationGranted"] * 2
    assert pool.end(first, Health.GOOD) == ["AllocationFreed", "BreakerClosed", *granted]
    assert set(pool.state.grants) == {second, third}
    assert pool.state.circuits == {}


def test_a_probe_that_fails_opens_it_again() -> None:
    """Nothing else is granted, and the time begins anew."""
    pool = _opened()
    first, second = pool.ask(), pool.ask()
    pool.now_ms += 5_000
    pool.fire()
    assert pool.end(first) == ["AllocationFreed", "BreakerOpened"]
    assert set(pool.state.waiting) == {second}
    assert pool.state.circuits["x"].due_at == pool.now_ms + 5_000


def test_a_probe_that_says_nothing_lets_the_next_one_try() -> None:
    """One that was cancelled, or lost with its worker, decides nothing."""
    pool = _opened()
    first, second = pool.ask(), pool.ask()
    pool.now_ms += 5_000
    pool.fire()
    assert pool.end(first, Health.UNKNOWN) == ["AllocationFreed", "AllocationGranted"]
    assert pool.end(second, Health.GOOD) == ["AllocationFreed", "BreakerClosed"]


def test_as_many_probes_as_wanted() -> None:
    """With two probes two must succeed, and no third one starts before."""
    pool = _opened(Breaker(2, 1_000, 5_000, probes=2))
    names = [pool.ask() for _ in range(3)]
    pool.now_ms += 5_000
    pool.fire()
    assert set(pool.state.grants) == set(names[:2])
    assert pool.end(names[0], Health.GOOD) == ["AllocationFreed"]
    assert pool.end(names[1], Health.GOOD) == ["AllocationFreed", "BreakerClosed", "AllocationGranted"]


def test_what_began_before_it_opened_decides_nothing() -> None:
    """An attempt that was granted earlier is no probe, whatever it comes to."""
    pool = Pool()
    early, late = pool.ask(), pool.ask()
    for _ in range(2):
        pool.end(pool.ask())
    assert pool.end(early, Health.GOOD) == ["AllocationFreed"]
    pool.now_ms += 5_000
    pool.fire()
    assert pool.end(late) == ["AllocationFreed"]
    assert pool.state.circuits["x"].phase == "half_open"


def test_permits_are_called_back() -> None:
    """Nothing of the type is handed on when it has opened; a hand-on that came too late is told so again."""
    pool = Pool()
    held = pool.ask()
    fence = pool.state.grants[held].fence
    assert pool.state.grants[held].hands > 0
    for _ in range(2):
        pool.end(pool.ask())
    assert pool.state.grants[held].hands == 0
    pool.tell(m.RecordHandOn("p", held, Holder("e", "b", 1), fence + 1))
    told = [effect.message for effect in pool.effects if isinstance(effect, Send)]
    assert m.WithdrawPermit("e", held) in told


def test_failures_of_allocations_that_are_handed_on_count_once() -> None:
    """Each failed attempt counts when the pool first hears of it, however often it is told."""
    pool = Pool(Breaker(3, 1_000, 5_000))
    held = pool.ask()
    fence = pool.state.grants[held].fence
    first = m.RecordHandOn("p", held, Holder("e", "b", 1), fence + 1, (fence,))
    assert [event.failed for event in pool.tell(first)] == [1]
    assert pool.tell(first) == []
    second = m.RecordHandOn("p", held, Holder("e", "c", 1), fence + 2, (fence, fence + 1))
    assert [event.failed for event in pool.tell(second)] == [1]
    failed = (fence, fence + 1, fence + 2)
    last = m.ReleaseAllocation("p", held, Holder("e", "c", 1), fence + 2, failed, Health.BAD)
    assert [type(event).__name__ for event in pool.tell(last)] == ["AllocationFreed", "BreakerOpened"]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_commit_cut_short_is_completed(cut: int) -> None:
    """Whoever folds the last failure alone opens the breaker and calls the permits back."""
    pool = Pool()
    held = pool.ask()
    pool.end(pool.ask())
    pool.end(pool.ask(), cut=cut)
    assert pool.state.circuits["x"].phase == "open"
    assert pool.state.grants[held].hands == 0


def test_a_takeover_counts_the_time_anew() -> None:
    """The new owner's clock may be another one, so the breaker stays open for its whole time."""
    pool = _opened()
    pool.now_ms += 4_000
    owned = e.PoolOwnershipTaken(2)
    pool.player.behaviour.evolve(pool.state, owned, pool.now_ms)
    effects = list(pool.player.behaviour.react(pool.state, owned))
    assert effects == [SetTimer("p", TIMER, pool.now_ms + 5_000)]
    assert not Ledger().difference([]), "nothing else is owed"


def test_a_declaration_without_it_forgets_it() -> None:
    """What waits is granted at once, and its timer means nothing any more."""
    pool = _opened()
    pool.ask()
    told = pool.tell(m.ConfigurePool("p"))
    assert [type(event).__name__ for event in told] == ["PoolConfigured", "AllocationGranted"]
    pool.now_ms += 5_000
    assert pool.fire() == []


def test_old_messages_and_events_are_read() -> None:
    """A scheduler that knows nothing of breakers releases as before, and its failures do not count."""
    pool = Pool()
    for _ in range(3):
        name = pool.ask()
        pool.tell(m.ReleaseAllocation("p", name, Holder("e", name, 1)))
    assert pool.state.circuits == {}


# --- what schedulers say -------------------------------------------------------------------------


def _model(*tasks: Task) -> Model:
    model = Model({"w1": 2.0})
    model.tell(
        Recipient.RESOURCE, m.ConfigurePool("default", breakers={AGENT_TYPE: Breaker(1, 1_000, 5_000)})
    )
    model.submit(Workflow("e", "e", tasks))
    model.deliver_all()
    return model


def _finish(model: Model, outcome: Outcome, **more: Any) -> str:
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, outcome, **more)
    model.deliver_all()
    circuit = model.players[Recipient.RESOURCE, "default"].state.circuits.get(AGENT_TYPE)
    return circuit.phase if circuit else "closed"


WRONG = TaskFailure("task_failed", "Wrong.", kinds=("ValueError",))


@pytest.mark.parametrize(
    ("outcome", "more", "phase"),
    [
        (Outcome.FAILED, {}, "open"),
        (Outcome.TIMED_OUT, {}, "open"),
        (Outcome.FAILED, {"error": WRONG}, "closed"),
        (Outcome.LOST, {}, "closed"),
        (Outcome.SUCCEEDED, {}, "closed"),
    ],
)
def test_only_the_agents_faults_count(outcome: Outcome, more: dict[str, Any], phase: str) -> None:
    """What another attempt could mend and time-outs count; a task's own error and losses do not."""
    task = Task("a", AGENT_TYPE, retries=1, retry=RetryPolicy(never=("ValueError",)))
    assert _finish(_model(task), outcome, **more) == phase


def test_what_is_cancelled_says_nothing() -> None:
    """An attempt that fails because it is stopped is no fault of its agent."""
    model = _model(Task("a", AGENT_TYPE))
    model.tell(Recipient.SCHEDULER, m.CancelSingleTask("e", "q", "a"))
    run = next(iter(model.running))
    report = m.AttemptFinished(*run[1:], run[0], model.now_ms, model.now_ms, Outcome.FAILED)
    model.tell(Recipient.SCHEDULER, report)
    model.deliver_all()
    assert model.players[Recipient.RESOURCE, "default"].state.circuits == {}


def test_waiting_tasks_go_on_when_it_has_closed() -> None:
    """Nothing fails because of an open breaker: everything ends as it would have, only later."""
    model = _model(*(Task(f"t{number}", AGENT_TYPE, retries=2) for number in range(6)))
    assert _finish(model, Outcome.FAILED) == "open"
    model.finish()
    record = model.players[Recipient.SCHEDULER, "e"].state
    assert {task.status for task in record.tasks.values()} == {TaskStatus.SUCCEEDED}
    assert model.alerts


def test_an_allocation_is_not_handed_on_to_the_fallback_of_its_task() -> None:
    """The fallback is another agent type's, so its task asks the pool for what that needs."""
    task = Task("a", AGENT_TYPE, fallback=Action("other"))
    model = _model(task, Task("b", AGENT_TYPE, dependencies=("a",)))
    _finish(model, Outcome.FAILED)
    record = model.players[Recipient.SCHEDULER, "e"].state
    assert record.tasks["a"].status is TaskStatus.QUEUED
    waiting = model.players[Recipient.RESOURCE, "default"].state.waiting
    assert [request.agent_type for request in waiting.values()] == ["other"]


def test_a_gang_is_the_probe_that_is_missing() -> None:
    """One of two probes has succeeded, and only a gang is left that could be the other one."""
    pool = _opened(Breaker(failures=2, within_ms=1_000, open_ms=5_000, probes=2))
    probe = pool.ask()
    terms = Terms(gang="g", members=2)
    for name in ("g1", "g2"):
        pool.tell(m.RequestAllocation("p", name, Holder("e", name, 1), "x", terms=terms))
    pool.now_ms += 5_000
    assert pool.fire() == ["BreakerHalfOpened", "AllocationGranted"]
    assert pool.end(probe, Health.GOOD) == ["AllocationFreed", "GangGranted"]
    assert pool.end("g1", Health.GOOD) == ["AllocationFreed", "BreakerClosed"]


def test_a_timer_that_rings_too_early_is_set_again_whatever_else_happens_at_its_time() -> None:
    """A clock that was set back lets it ring early; what is due to nobody else is put down to it then."""
    pool = _opened()
    due_at = pool.state.circuits["x"].due_at
    pool.tell(m.RegisterWorker("p", "v", 1, ("y",), 8, {"cpu_cores": 4.0}))
    starts_at = pool.now_ms + 1_000
    booked = m.ReserveResources("p", "r", "c", {"cpu_cores": 1.0}, ttl_ms=60_000, starts_at=starts_at)
    pool.tell(booked)
    pool.now_ms = starts_at + 500
    steps = list(step_batch(RESOURCE, pool.state, [m.TimerFired("p", TIMER)], pool.now_ms))
    events = [type(event).__name__ for _, happened, _ in steps for event in happened]
    effects = [effect for _, _, called_for in steps for _, effect in called_for]
    assert events == ["ReservationMade"]
    assert SetTimer("p", TIMER, due_at) in effects
