"""Outside events on a real server: published by anybody, taken in by lease, and acted upon once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.conftest import NatsServer
from tests.integration.beginnings import first_events, open_planner, without_planner

from talka import Orchestrator, Task, WorkflowBuilder
from talka_core.trigger.decide import firing_id
from talka_protocols.cloudevents import EVENT_BYTES_MAX
from talka_protocols.errors import (
    EventInvalidError,
    RequestRefusedError,
    TriggerInvalidError,
    UnknownTriggerError,
)
from talka_protocols.events import FiringRefused, FiringSettled, TriggerFailed, TriggerFired
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import Names
from talka_protocols.triggers import Trigger, TriggerState
from talka_protocols.workflow import Workflow
from talka_services.formats import read_file, workflow_of
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.events import load_intake, save_intake

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "order.yaml"
WORK = Workflow(
    "work",
    "work",
    (Task("a", "sleep", payload={"seconds": 0.0, "result": {"order": "${input.order}"}}),),
    inputs={"order": None},
)
ON_ORDERS = Trigger("order.*", "data.total > 10", {"order": "data.id"})


@pytest_asyncio.fixture
async def client(nats_server: NatsServer, names: Names) -> AsyncGenerator[Orchestrator]:
    """A client beside a scheduler, a pool and a worker; the test brings the planner."""
    async with without_planner(nats_server, names) as orchestrator:
        yield orchestrator


async def until(orchestrator: Orchestrator, name: str, kind: type[Any], count: int = 1) -> list[Any]:
    """Return the first events of a kind of a trigger's log as soon as there are so many."""
    return await first_events(orchestrator, orchestrator.histories.trigger_name(name), kind, count)


async def test_an_event_starts_an_execution_once(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """Published twice, and once more when nobody remembers the first: one execution, with its inputs."""
    async with await open_planner(nats_server, names):
        status = await client.create_trigger("orders", ON_ORDERS, WORK)
        assert status.state is TriggerState.ACTIVE
        small = await client.publish("order.created", {"id": "small", "total": 3}, source="shop")
        first = await client.publish(
            "order.created", {"id": "a1", "total": 30}, source="shop", event_id="o-1"
        )
        again = await client.publish(
            "order.created", {"id": "a1", "total": 30}, source="shop", event_id="o-1"
        )
        assert (first.is_duplicate, again.is_duplicate) == (False, True)
        assert small.position < first.position == again.position
        (fired,) = await until(client, "orders", TriggerFired)
        assert fired.execution_id == firing_id("orders", "shop", "o-1")
        result = await client.wait(fired.execution_id)
        assert result.tasks["a"].result == {"order": "a1"}
        # Without the server's window the repeat is in the stream, and the trigger knows it.
        await _raw(client, "order.created", _structured("o-1", {"id": "a1", "total": 30}))
        last = await client.publish("order.changed", {"id": "a2", "total": 40}, source="shop")
        _, later = await until(client, "orders", TriggerFired, 2)
        assert later.occurrence.id == last.id
        await client.wait(later.execution_id)
        await until(client, "orders", FiringSettled, 2)
    assert sorted(await client.histories.names("execution")) == sorted(
        [fired.execution_id, later.execution_id]
    )


async def test_a_trigger_that_is_made_between_two_events_counts_from_then_on(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """However long it was quiet before: what was recorded before an event was published is known then."""
    async with await open_planner(nats_server, names):
        for number in range(4):
            await client.create_trigger(
                f"t{number}", Trigger("order.created", inputs={"order": "data.id"}), WORK
            )
            # Whoever takes events in hears of the trigger by itself before it looks.
            await asyncio.sleep(0.3)
            await client.publish("order.created", {"id": f"a{number}"})
            async with asyncio.timeout(20):
                (fired, *_) = await until(client, f"t{number}", TriggerFired)
                await client.wait(fired.execution_id)


async def test_a_killed_planner_takes_nothing_in_twice_and_loses_nothing(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """What is published while nobody takes it in is taken in later; what is read again is known."""
    planner = await open_planner(nats_server, names)
    await client.create_trigger("orders", ON_ORDERS, WORK)
    before = await client.publish("order.created", {"id": "a1", "total": 30}, event_id="1")
    await until(client, "orders", TriggerFired)
    await planner.connection.nc.close()  # It has no time to say good-bye: leases run out by themselves.
    during = await client.publish("order.created", {"id": "a2", "total": 30}, event_id="2")
    # As if it had died before it could remember how far it was.
    await save_intake(client.node.connection, before.position - 1)
    async with await open_planner(nats_server, names):
        fired = await until(client, "orders", TriggerFired, 2)
        results = [await client.wait(event.execution_id) for event in fired]
        assert [result.tasks["a"].result["order"] for result in results] == ["a1", "a2"]
        await until(client, "orders", FiringSettled, 2)
        await client.publish("order.created", {"id": "a3", "total": 30}, event_id="3")
        (*_, last) = await until(client, "orders", TriggerFired, 3)
        await client.wait(last.execution_id)
        await until(client, "orders", FiringSettled, 3)
        assert await load_intake(client.node.connection) >= during.position
    status = await client.triggers.get("orders")
    assert (status.fired, status.pending) == (3, ())
    assert len(await client.histories.names("execution")) == 3
    await planner.close()


async def test_anybody_publishes_in_either_mode_and_what_is_no_event_blocks_nothing(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """Binary and structured events are taken up; everything else is kept aside with its reason."""
    async with await open_planner(nats_server, names):
        await client.create_trigger("orders", Trigger("order.>", inputs={"order": "event.id"}), WORK)
        bad = [
            (b"hello", None),
            (b'{"id": "x"}', None),
            (_structured("big", "x" * EVENT_BYTES_MAX), None),
            (_structured("other", 1, "order.changed"), None),
            (b"{", {"ce-specversion": "1.0", "ce-id": "b", "ce-source": "s", "ce-type": "order.created"}),
            (b"", {"ce-specversion": "1.0", "ce-source": "s", "ce-type": "order.created", "x" * 500: "y"}),
            (b"[" * 50_000, {"ce-specversion": "0.3"}),
            (b'{"specversion":"1.0","id":"\\ud800","source":"s","type":"order.created"}', None),
        ]
        for body, headers in bad:
            await _raw(client, "order.created", body, headers)
        await _raw(client, "order.created", _structured("structured", {"n": 1}))
        headers = {
            "ce-specversion": "1.0",
            "ce-id": "binary%20one",
            "ce-source": "s",
            "ce-type": "order.paid",
        }
        await _raw(client, "order.paid", b'{"n": 2}', headers)
        fired = await until(client, "orders", TriggerFired, 2)
        assert [event.occurrence.id for event in fired] == ["structured", "binary one"]
        for event in fired:
            await client.wait(event.execution_id)
        await until(client, "orders", FiringSettled, 2)
    connection = client.node.connection
    stream, subject = connection.names.stream("dead"), connection.names.dead_letter("events", "intake")
    newest = await last_message(connection, stream, subject)
    assert newest is not None
    kept = msgspec.json.decode(newest.data)
    assert kept["subject"].endswith("events.order.created")
    assert kept["error"]["code"] == "bad_event"
    info = await connection.js.stream_info(stream, subjects_filter=subject)
    assert info.state.subjects == {subject: len(bad)}


async def test_an_event_signals_an_execution(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """The execution is found by an expression; one that is over, or unknown, is a refusal in the log."""
    waiting = WorkflowBuilder("waiting").add_task(Task("pay", "signal", payload={"name": "payment"})).build()
    async with await open_planner(nats_server, names):
        trigger = Trigger("paid", execution="'order-' + data.order", signal="payment", data="data.amount")
        await client.create_trigger("payments", trigger)
        await client.submit_workflow(waiting, execution_id="order-7")
        await client.publish("paid", {"order": "7", "amount": 12}, source="bank", event_id="p1")
        result = await client.wait("order-7")
        assert result.tasks["pay"].result == 12
        await until(client, "payments", FiringSettled)
        await client.publish("paid", {"order": "7", "amount": 12}, source="bank", event_id="p2")
        (refused,) = await until(client, "payments", FiringRefused)
        assert (refused.code, "succeeded" in refused.message) == ("execution_over", True)
        await client.publish("paid", {"ordr": "7"}, source="bank", event_id="p3")
        (failed,) = await until(client, "payments", TriggerFailed)
        assert "order" in failed.message
    status = await client.triggers.get("payments")
    assert (status.fired, status.failed, status.refused, status.pending) == (2, 1, 1, ())


async def test_the_example_is_started_by_one_event_and_goes_on_with_another(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """What stands in the example's first lines, by way of the client."""
    workflow = workflow_of(read_file(str(EXAMPLE)), is_open=True)
    async with await open_planner(nats_server, names):
        inputs = {"number": "data.number", "total": "data.total"}
        await client.create_trigger("orders", Trigger("order.placed", "data.total > 0", inputs), workflow)
        payments = Trigger("order.paid", execution="data.execution", signal="paid", data="data.amount")
        await client.create_trigger("payments", payments)
        await client.publish("order.placed", {"number": "a1", "total": 12}, source="shop", event_id="a1")
        (fired,) = await until(client, "orders", TriggerFired)
        paid = {"execution": fired.execution_id, "amount": 12}
        await client.publish("order.paid", paid, source="bank", event_id="b1")
        result = await client.wait(fired.execution_id)
        assert result.tasks["send"].result == {"number": "a1", "paid": 12}
        await until(client, "orders", FiringSettled)
        await until(client, "payments", FiringSettled)


async def test_a_trigger_is_paused_resumed_and_deleted(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """What is published meanwhile leads to nothing, also not later."""
    async with await open_planner(nats_server, names):
        await client.publish("order.created", {"id": "before", "total": 30})
        await client.create_trigger("orders", ON_ORDERS, WORK)
        with pytest.raises(RequestRefusedError, match="already"):
            await client.create_trigger("orders", ON_ORDERS, WORK)
        assert (await client.triggers.pause("orders")).state is TriggerState.PAUSED
        await client.publish("order.created", {"id": "during", "total": 30})
        assert (await client.triggers.resume("orders")).state is TriggerState.ACTIVE
        await client.publish("order.created", {"id": "after", "total": 30})
        (fired,) = await until(client, "orders", TriggerFired)
        result = await client.wait(fired.execution_id)
        assert result.status is ExecutionState.SUCCEEDED
        assert result.tasks["a"].result == {"order": "after"}
        assert [status.name for status in await client.triggers.list()] == ["orders"]
        assert (await client.triggers.delete("orders")).state is TriggerState.DELETED
        assert await client.triggers.list() == []
        assert [status.name for status in await client.triggers.list(is_all=True)] == ["orders"]
        with pytest.raises(UnknownTriggerError):
            await client.triggers.delete("orders")
        with pytest.raises(UnknownTriggerError):
            await client.triggers.get("nothing")


async def test_what_can_be_seen_at_once_is_refused_before_anything_is_stored(client: Orchestrator) -> None:
    """No planner runs here: what is wrong is said by the client itself."""
    with pytest.raises(TriggerInvalidError, match="does not compile"):
        await client.create_trigger("orders", Trigger("order.*", "data.total >"), WORK)
    with pytest.raises(TriggerInvalidError, match="name"):
        await client.create_trigger("or ders", ON_ORDERS, WORK)
    with pytest.raises(EventInvalidError, match="bytes"):
        await client.publish("order.created", "x" * EVENT_BYTES_MAX)
    with pytest.raises(EventInvalidError, match="type"):
        await client.publish("order created")
    with pytest.raises(EventInvalidError, match="attribute"):
        await client.publish("order.created", extensions={"Upper": "x"})
    assert await client.histories.names("trigger") == []


def _structured(event_id: str, data: Any, kind: str = "order.created") -> bytes:
    fields = {"specversion": "1.0", "id": event_id, "source": "shop", "type": kind, "data": data}
    return json.dumps(fields).encode()


async def _raw(client: Orchestrator, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    """Publish as any client of NATS does."""
    connection: Connection = client.node.connection
    await connection.js.publish(connection.names.event(kind), body, headers=headers)
