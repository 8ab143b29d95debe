"""Goal: the simulation waits for all trouble that is drawn to be over, and for ever for none."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from tests.simulation.test_worlds import CALM

from talka_chaos import sim
from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.trouble import POISON
from talka_chaos.virtual_loop import run_virtually
from talka_chaos.world import World
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Dependency, Task, Workflow

CALM_S = 15.0


def test_what_kills_its_worker_in_the_calm_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve attempts of each of two tasks do, one task after the other: long after the storm all is well."""
    monkeypatch.setattr(sim.Simulation, "calm_s", CALM_S)
    tasks = tuple(Task(name, AGENT_TYPE, payload={POISON: 12}) for name in "ab")
    edges = (Dependency("a", "b"),)
    report = sim.run(4, Workflow("x", "x", tasks, edges), CALM)
    assert report.is_healthy, "\n".join(report.findings)
    assert report.injected["crash"] == 24
    assert report.virtual_s > CALM.storm_s + CALM_S


def test_who_is_killed_by_the_same_attempt_for_ever_is_not_waited_for() -> None:
    """The second time puts off nothing."""
    assert run_virtually(_last_killed(2, 2)) == 1.0
    assert run_virtually(_last_killed(2, 3)) == 2.0


def chain(*estimates_s: float) -> Workflow:
    """Return a workflow whose tasks take so long, one after the other."""
    tasks = [Task(f"t{n}", AGENT_TYPE, estimated_seconds=each) for n, each in enumerate(estimates_s)]
    edges = [Dependency(one.id, two.id) for one, two in pairwise(tasks)]
    return Workflow("x", "x", tuple(tasks), tuple(edges))


def test_a_world_that_goes_on_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up only when for so long no task has ended that had not before."""
    monkeypatch.setattr(sim.Simulation, "calm_s", CALM_S)
    report = sim.run(4, chain(*[10.0] * 6), CALM)
    assert report.is_healthy, "\n".join(report.findings)
    assert report.virtual_s > CALM.storm_s + 3 * CALM_S


def test_a_world_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened before counts for nothing."""
    monkeypatch.setattr(sim.Simulation, "calm_s", CALM_S)
    report = sim.run(4, chain(10.0, 10.0, 1_000.0), CALM)
    assert [finding[:2] for finding in report.findings] == ["L1", "O1"]
    assert report.virtual_s < 4 * CALM_S


async def _last_killed(*attempts: int) -> float:
    world = World(1, CALM)
    for attempt in attempts:
        await asyncio.sleep(1.0)
        world.killed(Attempt("x", Task("a", AGENT_TYPE), attempt, attempt, "w0"))
    return world.last_killed_s
