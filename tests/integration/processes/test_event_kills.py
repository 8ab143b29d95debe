"""Kills the planner service and the server while events come in; each event starts one execution."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from talka import Orchestrator, Task, Trigger, Workflow, connect
from talka_chaos.processes import NATS, Cluster
from talka_core.trigger.decide import firing_id
from talka_protocols.events import FiringSettled, TriggerFired
from talka_protocols.states import ExecutionState

EVENTS = 60
EACH = 3
RUN_S = 90
WORK = Workflow(
    "work",
    "work",
    (Task("a", "sleep", payload={"seconds": 0.01, "result": "${input.n}"}),),
    inputs={"n": None},
)

pytestmark = pytest.mark.slow


async def _publish(orchestrator: Orchestrator) -> None:
    """Publish every event again and again, as whoever does not know whether it was taken does."""
    for _ in range(EACH):
        for number in range(EVENTS):
            await orchestrator.publish("made", {"n": number}, source="test", event_id=str(number))
            await asyncio.sleep(0.01)


async def _facts(orchestrator: Orchestrator) -> list[Any]:
    """Return what the trigger's log holds when everything it fired is on record."""
    found: list[Any] = []
    commits = orchestrator.histories.follow_commits(orchestrator.histories.trigger_name("made"))
    async with aclosing(commits):
        async for _, commit in commits:
            found += [event for _, _, event in commit.events()]
            if sum(isinstance(fact, FiringSettled) for fact in found) == EVENTS:
                return found
    raise AssertionError("a log is followed without end")


@pytest.mark.parametrize("victims", [("planner",), (NATS,), ("planner", NATS)], ids="+".join)
async def test_each_event_starts_one_execution(cluster: Cluster, victims: tuple[str, ...]) -> None:
    """Killed three times in the middle: nothing is lost, and nothing starts twice."""
    cluster.add_worker("w1")
    await cluster.start()
    async with await connect(cluster.url) as orchestrator, asyncio.timeout(RUN_S):
        await orchestrator.create_trigger("made", Trigger("made", inputs={"n": "data.n"}), WORK)
        publishing = asyncio.create_task(_publish(orchestrator))
        for _ in range(3):
            await asyncio.sleep(0.5)
            for victim in victims:
                cluster[victim].kill()
            await cluster.start(*victims)
        await publishing
        ids = [firing_id("made", "test", str(number)) for number in range(EVENTS)]
        results = [await orchestrator.wait(execution_id) for execution_id in ids]
        assert {result.status for result in results} == {ExecutionState.SUCCEEDED}
        assert [result.tasks["a"].result for result in results] == list(range(EVENTS))
        assert sorted(await orchestrator.histories.names("execution")) == sorted(ids)
        facts = await _facts(orchestrator)
        fired = [fact.firing_id for fact in facts if isinstance(fact, TriggerFired)]
        assert sorted(fired) == sorted(ids), "each once, also in the trigger's log"
    assert cluster.tracebacks() == []
