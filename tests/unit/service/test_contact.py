"""A worker knows whether the pool hears it by acknowledged heartbeats alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import msgspec
import pytest

from talka_core.resource import PoolRecord
from talka_core.resource.state import WorkerEntry
from talka_protocols.errors import CallerError
from talka_protocols.messages import ConfigurePool, Message, WorkerLeft
from talka_services.service.configuration import PoolConfiguration
from talka_services.service.contact import Contact
from talka_services.service.liveness import Heartbeat, Liveness

BEAT = Heartbeat("w", 1)
LEASE_S = 0.2


class Answer:
    """What the server delivers."""

    subject = "reply"
    reply = ""
    data = b""

    def __init__(self, status: str = "") -> None:
        self.headers = {"Status": status} if status else None


class Wire:
    """A connection that only keeps who waits for an answer."""

    def __init__(self) -> None:
        self.arrivals: dict[str, Any] = {}

    async def ask(self, subject: str, body: bytes, arrival: Any) -> str:
        """Keep whom to tell."""
        token = str(len(self.arrivals))
        self.arrivals[token] = arrival
        return token

    def forget(self, token: str) -> None:
        """Keep whom to tell, so that late answers can be tried."""


def contact_of(wire: Wire, changes: list[bool]) -> Contact:
    """Return a contact that began now."""
    contact = Contact(cast("Any", wire), "subject", changes.append, LEASE_S)
    contact.begin(asyncio.get_running_loop().time())
    return contact


async def test_only_acknowledgements_count() -> None:
    """Sent heartbeats alone keep no contact, nor does the server's answer that nobody listens."""
    wire, changes = Wire(), list[bool]()
    contact = contact_of(wire, changes)
    contact.check()
    assert changes == []
    await asyncio.sleep(1.5 * LEASE_S)
    await contact.beat(BEAT)
    wire.arrivals["0"](0, Answer("503"))
    wire.arrivals["0"](0, None)
    contact.check()
    assert changes == [True]
    wire.arrivals["0"](0, Answer())
    assert changes == [True, False]


async def test_a_late_acknowledgement_counts_from_when_it_was_asked_for() -> None:
    """The pool heard us when the heartbeat was sent, so a late answer proves nothing about now."""
    wire, changes = Wire(), list[bool]()
    contact = contact_of(wire, changes)
    await contact.beat(BEAT)
    await asyncio.sleep(1.5 * LEASE_S)
    wire.arrivals["0"](0, Answer())
    contact.check()
    assert changes == [True]


async def test_pool_acknowledges_only_whom_it_counts_on() -> None:
    """A worker is acknowledged while it is in the inventory, and never again once it was given up."""
    told: list[Message] = []
    liveness = Liveness("p", told.append, lambda _worker, _incarnation: None, silence_s=LEASE_S)
    pool, body = PoolRecord("p"), msgspec.json.encode(BEAT)
    liveness.check(pool, is_connected=True)
    assert not liveness.hear(body)
    pool.workers["w"] = WorkerEntry(1, ("work",), {}, {})
    liveness.check(pool, is_connected=True)
    assert liveness.hear(body)
    await asyncio.sleep(1.5 * LEASE_S)
    liveness.check(pool, is_connected=True)
    assert len(told) == 1
    assert not liveness.hear(body), "it was given up, though that is not recorded yet"


async def test_what_the_pool_slept_through_is_nobody_s_silence() -> None:
    """A process that was busy for longer than the whole silence gives nobody up for that, only for more."""
    told: list[Message] = []
    liveness = Liveness("p", told.append, lambda _worker, _incarnation: None, silence_s=0.3, asleep_s=0.05)
    pool = PoolRecord("p", workers={"w": WorkerEntry(1, ("work",), {}, {})})
    liveness.check(pool, is_connected=True)
    time.sleep(0.6)  # noqa: ASYNC251  (the process is busy, not waiting)
    liveness.check(pool, is_connected=True)
    assert told == []
    while not told:
        await asyncio.sleep(0.02)
        liveness.check(pool, is_connected=True)
    assert told == [WorkerLeft("p", "w", 1, "No sign of life for 0.3 s.")]


@pytest.mark.parametrize(
    "wrong", [{"shared": {"cpu_cores": 1.0}}, {"shared": {"x": -1.0}}, {"ceiling": {"x": float("nan")}}]
)
def test_senseless_configurations_are_refused(wrong: dict[str, Any]) -> None:
    """Built-in resources cannot be pool-wide, and amounts are numbers from 0."""
    with pytest.raises(CallerError):
        PoolConfiguration(**wrong)


def test_configurations_are_said_in_one_way() -> None:
    """The same declaration in another order is the same message, so it makes no event again."""
    one = PoolConfiguration({"b": 1, "a": 2.0}, None, ("y", "x", "x")).message("p")
    assert one == ConfigurePool("p", {"a": 2.0, "b": 1.0}, None, ("x", "y"))
    assert not PoolConfiguration().is_given
