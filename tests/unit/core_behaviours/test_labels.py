"""Labels and locality: where a request may go, where it would rather go, and why it goes nowhere."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from tests.replay.scenarios.running import begun, deliver_all, end
from tests.unit.core_behaviours.test_pool_shared import Pool

from talka_chaos.graphs import AGENT_TYPE
from talka_core.resource.placement import shortage
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.events import Affinity, Holder
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.workflow import ClaimCheck, Dependency, ResourceRequirements, Task, Workflow

A = Affinity(requires={"zone": "a"})


def labelled(*zones: str) -> Pool:
    """Return a pool with one worker of two cores in each zone."""
    pool = Pool()
    for number, zone in enumerate(zones, 3):
        capacity = {"cpu_cores": 2.0}
        pool.tell(m.RegisterWorker("p", f"w{number}", 1, ("x",), 16, capacity, labels={"zone": zone}))
    return pool


def ask(pool: Pool, name: str, affinity: Affinity, cores: float = 2.0) -> Any:
    """Ask for cores; return the event."""
    request = m.RequestAllocation(
        "p", name, Holder("e", name, 1), "x", {"cpu_cores": cores}, affinity=affinity
    )
    (event,) = pool.tell(request)
    return event


def test_what_requires_a_label_waits_for_a_worker_that_has_it() -> None:
    """Nobody else gets it, and what requires something else passes it by."""
    pool = labelled("b", "a")
    assert ask(pool, "first", A).worker_id == "w4"
    waits = ask(pool, "second", A)
    assert isinstance(waits, e.AllocationQueued)
    assert ask(pool, "third", Affinity(requires={"zone": "b"})).worker_id == "w3"
    freed = pool.tell(m.ReleaseAllocation("p", "first", Holder("e", "first", 1)))
    assert [
        (event.allocation_id, event.worker_id) for event in freed if isinstance(event, e.AllocationGranted)
    ] == [("second", "w4")]


def test_what_is_preferred_is_a_wish() -> None:
    """A preferred label counts more than being near, and both more than the load; neither must be had."""
    pool = labelled("a", "b")
    near = Affinity(near="w3")
    assert ask(pool, "one", near, 0.5).worker_id == "w3"
    assert ask(pool, "two", near, 0.5).worker_id == "w3"
    assert ask(pool, "three", Affinity(prefers={"zone": "b"}, near="w3"), 0.5).worker_id == "w4"
    assert ask(pool, "four", Affinity(prefers={"zone": "a"}), 1.5).worker_id == "w4"


def test_a_label_that_nobody_has_is_named() -> None:
    """The reason says what is asked for and how near the nearest worker comes."""
    pool = labelled("b")
    asked = Affinity(requires={"zone": "a", "disk": "fast"})
    assert shortage(pool.state, "x", {}, asked) == (
        "No worker that could run it has the labels disk=fast, zone=a; the nearest has zone=b."
    )
    assert shortage(pool.state, "work", {}, asked).endswith("none of them has a label.")


def test_a_task_runs_near_what_it_takes_in() -> None:
    """The pool is asked for the worker of the largest result; a task without large inputs goes anywhere."""
    half, less = ResourceRequirements(cpu_cores=0.5), ResourceRequirements(cpu_cores=0.25)
    needs = {"a": half, "b": half, "c": less, "d": less}
    tasks = [Task(id_, AGENT_TYPE, resources=resources) for id_, resources in needs.items()]
    edges = (Dependency("a", "c"), Dependency("b", "c"), Dependency("a", "d"))
    model = begun(Workflow("golden", "golden", tuple(tasks), edges), {"w1": 0.5, "w2": 0.5})
    on = {run[2]: run[0] for run in model.running}
    claim = ClaimCheck("r", 1_000_000, "0" * 64)
    model.end(
        next(run for run in model.running if run[2] == "b"), Outcome.SUCCEEDED, Raw(b"null"), claim=claim
    )
    deliver_all(model)
    end(model, "a", Outcome.SUCCEEDED)
    player = model.players[Recipient.SCHEDULER, "golden"]
    queued = {event.task_id: event.near for event in player.events() if isinstance(event, e.TaskQueued)}
    assert queued == {"a": "", "b": "", "c": on["b"], "d": ""}


def test_an_heir_has_the_same_labels() -> None:
    """An allocation is not handed on to a task that may not run on its worker."""
    core = ResourceRequirements(cpu_cores=1.0)
    tasks = (
        Task("a", AGENT_TYPE, resources=core),
        Task("b", AGENT_TYPE, resources=core, requires={"zone": "a"}),
    )
    model = begun(Workflow("golden", "golden", tasks, (Dependency("a", "b"),)), {"w1": 1.0})
    end(model, "a", Outcome.SUCCEEDED)
    events = model.players[Recipient.SCHEDULER, "golden"].events()
    assert not any(isinstance(event, e.AllocationHandedOn) for event in events)
    assert any(isinstance(event, e.TaskQueued) and event.task_id == "b" for event in events)
