"""Goal: the simulation waits for all trouble that is drawn to be over, and for ever for none."""

from __future__ import annotations

import asyncio

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
    monkeypatch.setattr(sim, "CALM_S", CALM_S)
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


async def _last_killed(*attempts: int) -> float:
    world = World(1, CALM)
    for attempt in attempts:
        await asyncio.sleep(1.0)
        world.killed(Attempt("x", Task("a", AGENT_TYPE), attempt, attempt, "w0"))
    return world.last_killed_s
