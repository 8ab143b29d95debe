"""What a stream of outside events promises to who takes them in: that of the simulation, and a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw, Struct
from tests.contract.simulated import Immortal, calm_world

from talka_chaos.intake import SimStream
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.subjects import Names
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.events import JetStreamEvents, publish_event


class Source(Struct):
    """One implementation: how an event is published, and how whoever takes events in opens the stream."""

    publish: Callable[[CloudEvent], Awaitable[object]]
    open: Callable[[], Any]


@pytest.fixture(params=["simulated", "jetstream"])
def source(request: pytest.FixtureRequest, connection: Connection, names: Names) -> Source:
    """Each implementation in turn."""
    if request.param == "jetstream":
        return Source(lambda event: publish_event(connection, event), lambda: JetStreamEvents(connection))
    made: list[Any] = []

    def world() -> Any:
        # It needs the loop that runs.
        if not made:
            made.append(calm_world(names))
        return made[0]

    async def publish(event: CloudEvent) -> None:
        world().publish(event)

    return Source(publish, lambda: SimStream(world(), cast("Any", Immortal())))


def event(number: int) -> CloudEvent:
    """Return one of many events."""
    return CloudEvent(str(number), "/shop", "order.paid", data=Raw(b'{"n": %d}' % number))


async def taken(stream: Any, count: int) -> list[tuple[int, int]]:
    """Read so many events, and return their positions and numbers."""
    got: list[tuple[int, int]] = []
    while len(got) < count:
        for position, message in await asyncio.wait_for(stream.next(), 20):
            got.append((position, int(msgspec.json.decode(message.data)["id"])))
            assert message.subject.endswith("order.paid")
    assert len(got) == count
    return got


async def test_events_come_in_order_with_growing_positions(source: Source) -> None:
    """Those that are there, then those that come while somebody waits."""
    stream = source.open()
    for number in range(3):
        await source.publish(event(number))
    await stream.begin()
    first = await taken(stream, 3)
    waiting = asyncio.create_task(taken(stream, 1))
    await source.publish(event(3))
    found = [*first, *await waiting]
    assert [number for _, number in found] == [0, 1, 2, 3]
    positions = [position for position, _ in found]
    assert positions == sorted(set(positions))
    assert positions[0] >= 1
    await stream.close()


async def test_the_next_owner_begins_behind_what_was_taken_in(source: Source) -> None:
    """What was read and not settled comes again at its positions; what was settled does not."""
    first = source.open()
    for number in range(4):
        await source.publish(event(number))
    await first.begin()
    read = await taken(first, 4)
    await first.settle(read[1][0])
    await first.close()
    second = source.open()
    await second.begin()
    assert await taken(second, 2) == read[2:]
    await second.close()


async def test_an_owner_that_is_none_any_more_may_set_it_back(source: Source) -> None:
    """A late word of how far it came means repeats and no loss, for whoever begins behind it."""
    old, new = source.open(), source.open()
    for number in range(3):
        await source.publish(event(number))
    await old.begin()
    read = await taken(old, 3)
    await new.begin()
    await taken(new, 3)
    await new.settle(read[2][0])
    await old.settle(read[0][0])
    third = source.open()
    await third.begin()
    assert await taken(third, 2) == read[1:]
    for stream in (old, new, third):
        await stream.close()
