"""Reservations made in advance: nothing runs into them, and each is used once by a task that names it."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.invariants import check_pool
from talka_chaos.model import Model
from talka_core.behaviour import Send, SetTimer, step_batch
from talka_core.resource import RESOURCE, PoolRecord
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import Holder, Terms
from talka_protocols.messages import Recipient
from talka_protocols.policies import MapOver
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import ResourceRequirements, Task, Workflow

MINUTE = 60_000


class Booked:
    """A pool with workers of four cores, and a clock."""

    def __init__(self, workers: int = 1) -> None:
        self.state: PoolRecord = RESOURCE.initial("p")
        self.now = 1_000
        self.events: list[Any] = []
        self.effects: list[Any] = []
        for number in range(workers):
            self.join(f"w{number}")

    def join(self, worker_id: str, incarnation: int = 1) -> None:
        """Let a worker register."""
        self.tell(m.RegisterWorker("p", worker_id, incarnation, ("work",), 9, {"cpu_cores": 4.0}))

    def tell(self, *messages: Any) -> None:
        """Take messages that arrive together."""
        for _, events, effects in step_batch(RESOURCE, self.state, messages, self.now):
            self.events += events
            self.effects += [effect for _, effect in effects]
        check_pool(self.state)

    def book(self, name: str, cores: float, starts_at: int, ends_at: int, **more: Any) -> None:
        """Ask for a reservation in advance."""
        about = {"cpu_cores": cores}
        ttl_ms = ends_at - starts_at
        self.tell(m.ReserveResources("p", name, "c", about, ttl_ms=ttl_ms, starts_at=starts_at, **more))

    def ask(self, name: str, cores: float, estimate_ms: int = 0, **terms: Any) -> None:
        """Ask for cores."""
        about = (Holder(name, "t", 1), "work", {"cpu_cores": cores}, (0.0,))
        self.tell(m.RequestAllocation("p", name, *about, estimate_ms=estimate_ms, terms=Terms(**terms)))

    def release(self, name: str) -> None:
        """Give an allocation back."""
        self.tell(m.ReleaseAllocation("p", name, Holder(name, "t", 1)))

    def at(self, now: int, timer: str) -> None:
        """Let a timer run out."""
        self.now = now
        self.tell(m.TimerFired("p", timer))

    @property
    def answers(self) -> list[str]:
        """Return the reasons of refused reservations."""
        sent = [effect.message for effect in self.effects if isinstance(effect, Send)]
        return [one.reason for one in sent if isinstance(one, m.ReservationAnswered) and one.reason]

    @property
    def refusals(self) -> list[str]:
        """Return why requests were refused."""
        return [event.reason for event in self.events if isinstance(event, e.AllocationRefused)]


def test_a_task_uses_its_reservation_when_it_begins() -> None:
    """It waits until then, and is granted what was kept on that worker."""
    pool = Booked()
    pool.book("r", 3.0, 10 * MINUTE, 20 * MINUTE)
    assert {(t.name, t.due_at) for t in pool.effects if isinstance(t, SetTimer)} == {
        ("booking/r", 10 * MINUTE),
        ("reservation/r", 20 * MINUTE),
    }
    pool.ask("x", 3.0, reservation="r")
    assert not pool.state.grants
    pool.at(10 * MINUTE, "booking/r")
    assert pool.state.grants["x"].worker_id == "w0"
    assert [type(event).__name__ for event in pool.events[-3:]] == [
        "ReservationMade",
        "ReservationEnded",
        "AllocationGranted",
    ]
    assert not pool.state.reservations
    assert not pool.state.bookings


def test_it_begins_elsewhere_if_its_worker_drains_by_then() -> None:
    """Nothing new is granted on a worker that is to go, and so nothing begins there."""
    pool = Booked(2)
    pool.book("r", 3.0, 10 * MINUTE, 20 * MINUTE)
    booked = pool.state.bookings["r"].worker_id
    RESOURCE.evolve(pool.state, e.WorkerDraining(booked, 1), pool.now)
    pool.ask("x", 3.0, reservation="r")
    pool.at(10 * MINUTE, "booking/r")
    assert pool.state.grants["x"].worker_id != booked


def test_what_would_run_into_it_is_not_granted() -> None:
    """What is over before, or leaves enough, may start; without an estimate it takes ten minutes."""
    pool = Booked()
    pool.book("r", 3.0, 30 * MINUTE, 40 * MINUTE)
    pool.ask("unknown", 1.0)
    assert "unknown" in pool.state.grants
    pool.now = 25 * MINUTE
    pool.release("unknown")
    pool.ask("long", 2.0, 6 * MINUTE)
    pool.ask("vague", 2.0)
    assert not pool.state.grants
    pool.ask("short", 2.5, 4 * MINUTE)
    pool.ask("small", 1.0, 60 * MINUTE)
    assert set(pool.state.grants) == {"short", "small"}


def test_it_begins_late_when_something_overruns() -> None:
    """Nothing is stopped for it, and nothing else gets what is freed in its place."""
    pool = Booked()
    pool.ask("over", 3.0, MINUTE)
    pool.book("r", 3.0, 5 * MINUTE, 60 * MINUTE)
    pool.at(5 * MINUTE, "booking/r")
    assert set(pool.state.bookings) == {"r"}
    pool.ask("other", 3.0)
    pool.release("over")
    assert set(pool.state.reservations) == {"r"}
    assert "other" not in pool.state.grants


def test_a_worker_that_is_gone_is_replaced() -> None:
    """The reservation begins on another one that has it free."""
    pool = Booked(workers=2)
    pool.book("r", 4.0, 5 * MINUTE, 60 * MINUTE)
    booked_on = pool.state.bookings["r"].worker_id
    pool.tell(m.WorkerLeft("p", booked_on, 1))
    pool.at(5 * MINUTE, "booking/r")
    assert pool.state.reservations["r"].worker_id != booked_on


def test_overlapping_ones_are_refused() -> None:
    """The answer names what is in the way; what does not overlap, or fits beside it, is booked."""
    pool = Booked()
    pool.book("r1", 3.0, 10 * MINUTE, 20 * MINUTE)
    pool.book("r2", 3.0, 15 * MINUTE, 30 * MINUTE)
    assert pool.answers == ["It overlaps what is reserved already: r1."]
    pool.book("r3", 3.0, 20 * MINUTE, 30 * MINUTE)
    pool.book("r4", 1.0, 10 * MINUTE, 30 * MINUTE)
    assert set(pool.state.bookings) == {"r1", "r3", "r4"}


@pytest.mark.parametrize(
    ("amounts", "said"),
    [({"cpu_cores": 9.0}, "large enough"), ({}, "nothing"), ({"licence": 1.0}, "whole pool")],
)
def test_what_cannot_be_booked_is_refused(amounts: dict[str, float], said: str) -> None:
    """The client is told why, and nothing is recorded."""
    pool = Booked()
    pool.tell(m.ConfigurePool("p", {"licence": 2.0}))
    pool.tell(m.ReserveResources("p", "r", "c", amounts, ttl_ms=MINUTE, starts_at=10 * MINUTE))
    assert said in pool.answers[0]
    assert not pool.state.bookings


def test_an_id_names_one_reservation() -> None:
    """The same client is answered again; another one is refused, also after the first has ended."""
    pool = Booked()
    pool.book("r", 1.0, 10 * MINUTE, 20 * MINUTE)
    pool.book("r", 1.0, 10 * MINUTE, 20 * MINUTE)
    assert not pool.answers
    assert sum(isinstance(event, e.ReservationBooked) for event in pool.events) == 1
    pool.tell(m.EndReservation("p", "r"))
    pool.book("r", 1.0, 10 * MINUTE, 20 * MINUTE)
    assert "names one only" in pool.answers[0]


def test_used_twice_expired_unknown_and_foreign_ones_are_refused() -> None:
    """Each request is refused by an event with its reason, and holds nothing."""
    pool = Booked()
    pool.book("r", 1.0, 10 * MINUTE, 20 * MINUTE)
    pool.ask("foreign", 1.0, reservation="r", tenant="b")
    pool.ask("first", 1.0, reservation="r")
    pool.ask("second", 1.0, reservation="r")
    pool.at(10 * MINUTE, "booking/r")
    pool.book("s", 1.0, 12 * MINUTE, 13 * MINUTE)
    pool.at(12 * MINUTE, "booking/s")
    pool.at(13 * MINUTE, "reservation/s")
    pool.ask("late", 1.0, reservation="s")
    pool.ask("lost", 1.0, reservation="nowhere")
    pool.book("t", 1.0, 20 * MINUTE, 30 * MINUTE)
    pool.ask("large", 2.0, reservation="t")
    pool.at(20 * MINUTE, "booking/t")
    assert set(pool.state.grants) == {"first"}
    assert pool.refusals == [
        "The reservation 'r' belongs to tenant 'default'.",
        "The reservation 'r' is not there: used.",
        "The reservation 's' is not there: expired.",
        "The reservation 'nowhere' is not there: never made.",
        "The reservation 't' keeps 1 of cpu_cores, and 2 are asked for.",
    ]
    assert not pool.state.reserving


def test_a_refused_task_fails_with_the_reason() -> None:
    """Retries are of no use, and the rest of the execution goes on."""
    model = Model({"w1": 4.0})
    core = ResourceRequirements(cpu_cores=1.0)
    tasks = (Task("a", AGENT_TYPE, resources=core, reservation="r", retries=3), Task("b", AGENT_TYPE))
    model.submit(check(Workflow("x", "x", tasks)))
    model.deliver_all()
    state = model.players[Recipient.SCHEDULER, "x"].state
    record = state.tasks["a"]
    assert (record.status, record.error.code) == (TaskStatus.FAILED, "bad_reservation")
    assert "never made" in record.error.message
    assert state.tasks["b"].status is TaskStatus.SCHEDULED


def test_a_retry_asks_without_the_reservation() -> None:
    """It was for the first attempt, and is used up."""
    model = Model({"w1": 4.0})
    model.deliver_all()
    about = {"cpu_cores": 1.0}
    starts_at = model.now_ms + MINUTE
    model.tell(
        Recipient.RESOURCE,
        m.ReserveResources("default", "r", "c", about, ttl_ms=MINUTE, starts_at=starts_at),
    )
    core = ResourceRequirements(cpu_cores=1.0)
    model.submit(check(Workflow("x", "x", (Task("a", AGENT_TYPE, resources=core, reservation="r"),))))
    model.deliver_all()
    assert _task(model).status is TaskStatus.QUEUED
    model.now_ms = starts_at
    model.fire((Recipient.RESOURCE, "default", "booking/r"))
    model.deliver_all()
    assert _task(model).status is TaskStatus.SCHEDULED
    model.crash_worker("w1")
    model.deliver_all()
    assert (_task(model).status, _task(model).attempt) == (TaskStatus.SCHEDULED, 2)


def _task(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "x"].state.tasks["a"]


@pytest.mark.parametrize(
    "task",
    [
        Task("a", AGENT_TYPE, reservation="r", map=MapOver([1])),
        Task("a", "approval", payload={"question": "Go?"}, reservation="r"),
        Task("a", AGENT_TYPE, reservation="r", gang="g"),
    ],
)
def test_what_cannot_use_one_is_refused(task: Task) -> None:
    """A reservation is for one attempt on a worker."""
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("x", "x", (task,)))
    assert refused.value.code == "bad_reservation"
