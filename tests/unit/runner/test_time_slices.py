"""Goal: no decision is so large that the loop renews no lease meanwhile.

Method: a map of many items is begun, folded and resumed while somebody else counts its own turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from talka_core.resource import RESOURCE
from talka_core.scheduler import SCHEDULER
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.policies import MapOver
from talka_protocols.ports import Inbox
from talka_protocols.subjects import EXECUTION, POOL, LogName, Names
from talka_protocols.workflow import Task, Workflow
from talka_services.memory import MemoryBlobs, MemoryLeases, MemoryLog, MemoryPost, MemorySnapshots
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import StoredJournal, newest
from talka_services.runner.ports import Ports
from talka_services.runner.states import Cause, States

T = TypeVar("T")

ITEMS = 300
MAPPED = Workflow("w", "w", (Task("m", "sleep", map=MapOver(list(range(ITEMS)))),))


@pytest.fixture
def ports() -> Ports:
    """Ports in memory."""
    names = Names("test")
    post = MemoryPost(names)

    async def open_inbox(kind: str, address: str, on_renewed: Any) -> Inbox:
        return post.open_inbox(kind, address, on_renewed)

    return Ports(
        MemoryLog(), MemorySnapshots(), post, MemoryBlobs(), MemoryLeases(), open_inbox, names, shards=1
    )


def states_of(behaviour: Any, kind: str, shard: str, ports: Ports) -> States:
    """Return the states of an address that has loaded nothing yet."""
    definitions = Definitions(ports.blobs)
    return States(behaviour, StoredJournal(kind, shard, ports, definitions), definitions, ports.clock, None)


async def turns_during(work: Callable[[], Awaitable[T]]) -> tuple[T, int]:
    """Do the work beside somebody who wants the loop all the time; return how often they had it as well."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        result = await work()
    finally:
        counting.cancel()
    return result, turns


async def test_others_have_turns_while_a_large_decision_is_made(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message that adds hundreds of tasks, their log and all they owe: none of it keeps the loop."""
    monkeypatch.setattr("talka_services.loop.SLICE_S", 0.0)
    monkeypatch.setattr("talka_services.loop.STEPS", 1)
    states = states_of(SCHEDULER, EXECUTION, "0", ports)
    causes = await states.prepare([Cause("test", m.StartExecution("e", MAPPED))])
    touched, turns = await turns_during(lambda: states.decide(causes))
    (decision,) = states.entries["e"].decisions
    assert len(decision.events) > 2 * ITEMS, "each item is ready and queued"
    assert turns >= len(decision.events)

    await states.append(touched, epoch=0)
    owed, turns = await turns_during(lambda: states.owed(["e"]))
    assert turns >= len(owed["e"]) >= ITEMS

    name = LogName(EXECUTION, "0", "e")
    entry, turns = await turns_during(lambda: newest(name, ports.log, None, Definitions(ports.blobs)))
    assert entry.state.version == len(decision.events)
    assert turns >= entry.state.version


async def test_others_have_turns_while_many_requests_are_granted_together(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that decides on a batch as a whole leaves it between any two messages."""
    monkeypatch.setattr("talka_services.loop.SLICE_S", 0.0)
    monkeypatch.setattr("talka_services.loop.STEPS", 1)
    states = states_of(RESOURCE, POOL, "-", ports)
    asked = [
        m.RequestAllocation("p", f"a{number}", Holder("e", f"t{number}", 1), "sleep", {"cpu_cores": 1.0}, ())
        for number in range(ITEMS)
    ]
    causes = await states.prepare([Cause("test", message) for message in asked])
    _, turns = await turns_during(lambda: states.decide(causes))
    assert turns >= len(states.entries["p"].decisions) >= ITEMS


async def test_a_small_decision_costs_no_turn(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its slice the work goes on at once."""
    monkeypatch.setattr("talka_services.loop.SLICE_S", 3_600.0)
    states = states_of(SCHEDULER, EXECUTION, "0", ports)
    causes = await states.prepare([Cause("test", m.StartExecution("e", MAPPED))])
    _, turns = await turns_during(lambda: states.decide(causes))
    assert turns == 0
