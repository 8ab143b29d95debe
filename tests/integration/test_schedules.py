"""Work that starts by itself, on a real server: schedules, starts at a time, bursts, and outages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from math import ceil
from typing import Any

import pytest
import pytest_asyncio
from tests.conftest import NatsServer
from tests.integration.beginnings import PATIENCE_S, first_events, open_planner, without_planner

from talka import Orchestrator, Schedule, Task, WorkflowBuilder
from talka_protocols.errors import ScheduleInvalidError, UnknownScheduleError, WorkflowInvalidError
from talka_protocols.events import RunEnded, ScheduleFired, ScheduleSet, ScheduleSkipped
from talka_protocols.messages import Recipient, TimerFired
from talka_protocols.schedules import Overlap, ScheduleState
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import Names, shard_of
from talka_protocols.workflow import Workflow
from talka_services.client.requests import Requests
from talka_services.jetstream.alarms import JetStreamAlarms
from talka_services.jetstream.api import last_message
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.inbox import open_inbox


def work(result: Any = None, seconds: float = 0.0) -> Workflow:
    """Return a workflow of one task that returns what it was given."""
    task = Task("a", "sleep", payload={"seconds": seconds, "result": {"n": result}})
    return WorkflowBuilder("work").add_task(task).build()


@pytest_asyncio.fixture
async def client(nats_server: NatsServer, names: Names) -> AsyncGenerator[Orchestrator]:
    """A client beside a scheduler, a pool and a worker; the test brings the planner."""
    async with without_planner(nats_server, names) as orchestrator:
        yield orchestrator


async def until(orchestrator: Orchestrator, name: str, kind: type[Any], count: int = 1) -> list[Any]:
    """Return the first events of a kind of a schedule's log as soon as there are so many."""
    return await first_events(orchestrator, orchestrator.histories.schedule_name(name), kind, count)


async def test_an_interval_starts_one_execution_after_another(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """Each due time starts an execution whose id tells the time, and its end is recorded."""
    async with await open_planner(nats_server, names):
        status = await client.set_schedule("tick", work(1), Schedule(every_seconds=1.0))
        assert status.state is ScheduleState.ACTIVE
        fired = await until(client, "tick", ScheduleFired, 2)
        assert fired[1].due_at - fired[0].due_at == 1_000
        result = await client.wait(fired[0].execution_id)
        assert result.tasks["a"].result == {"n": 1}
        (ended, *_) = await until(client, "tick", RunEnded)
        assert (ended.execution_id, ended.status) == (fired[0].execution_id, "succeeded")
        assert (await client.schedules.pause("tick")).state is ScheduleState.PAUSED
        by_hand = await client.schedules.run("tick")
        assert (await client.wait(by_hand)).status is ExecutionState.SUCCEEDED
        assert (await client.schedules.resume("tick")).next_at is not None
        assert (await client.schedules.remove("tick")).state is ScheduleState.REMOVED
        assert await client.schedules.list() == []
        with pytest.raises(UnknownScheduleError):
            await client.schedules.run("tick")
        again = await client.set_schedule(
            "tick", work(2), Schedule(every_seconds=60.0, overlap=Overlap.ALLOW)
        )
        assert again.state is ScheduleState.ACTIVE


async def test_a_due_time_without_a_planner_is_kept(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """A start that is due while no planner runs happens once, as soon as one does."""
    planner = await open_planner(nats_server, names)
    at = time.time() + 1.0
    try:
        execution_id = await client.submit_workflow(work(7), key="later", at=at)
        (recorded,) = await until(client, f"at-{execution_id}", ScheduleSet)
        assert recorded.next_at == round(at * 1000)
    finally:
        await planner.close()
    await asyncio.sleep(at + 0.5 - time.time())
    assert await client.histories.names("execution") == []
    async with await open_planner(nats_server, names):
        result = await client.wait(execution_id)
        assert result.tasks["a"].result == {"n": 7}
        assert await client.submit_workflow(work(8), key="later", at=time.time() + 0.1) == execution_id
        await until(client, f"at-{execution_id}", RunEnded)
    assert len(await until(client, f"at-{execution_id}", ScheduleFired)) == 1
    assert await client.histories.names("execution") == [execution_id]


async def test_a_restarted_planner_goes_on_with_what_runs(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """The next owner knows what still runs, skips a time because of it, and hears of its end."""
    async with await open_planner(nats_server, names):
        await client.set_schedule("slow", work(seconds=4.0), Schedule(every_seconds=2.0))
        (first, *_) = await until(client, "slow", ScheduleFired)
    async with await open_planner(nats_server, names):
        (skipped, *_) = await until(client, "slow", ScheduleSkipped)
        assert skipped.execution_id == first.execution_id
        (ended, *_) = await until(client, "slow", RunEnded)
        assert ended.execution_id == first.execution_id


async def test_what_is_delivered_twice_starts_nothing_twice(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """An alarm that rings again and again starts one execution for one due time."""
    async with await open_planner(nats_server, names):
        await client.set_schedule("once", work(), Schedule(at=time.time() + 0.3))
        (fired, *_) = await until(client, "once", ScheduleFired)
        requests = Requests(client.node.ports, client.histories, "test")
        for _ in range(5):
            await requests.send(Recipient.STARTER, TimerFired("once", "due"))
        await client.wait(fired.execution_id)
        await until(client, "once", RunEnded)
        assert len(await until(client, "once", ScheduleFired)) == 1
        assert await client.histories.names("execution") == [fired.execution_id]
        assert (await client.schedules.get("once")).state is ScheduleState.FINISHED


async def test_a_burst_starts_one_execution(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """Submissions in quick succession have one id, and what starts after the quiet is the last of them."""
    async with await open_planner(nats_server, names):
        ids = [await client.debounce_workflow(work(n), "saved", 1.0) for n in range(3)]
        assert len(set(ids)) == 1
        assert (await client.wait(ids[0])).tasks["a"].result == {"n": 2}
        assert await client.debounce_workflow(work(9), "saved", 1.0) != ids[0]


async def test_a_far_alarm_is_set_at_the_server(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """What is more than a minute off also rings by the server's clock, and only the last alarm of a name."""
    async with await open_planner(nats_server, names) as node:
        stream, subject = names.stream("request"), names.alarm("starter", "far")
        for hour in (1, 2):
            await client.set_schedule("far", work(), Schedule(at=time.time() + 3600 * hour))
        due_at = (await client.schedules.get("far")).next_at
        assert due_at is not None
        wanted = time.strftime("@at %Y-%m-%dT%H:%M", time.gmtime(ceil(due_at)))
        headers: dict[str, str] = {}
        for _ in range(200):
            found = await last_message(node.connection, stream, subject)
            headers = found.headers() if found else headers
            if headers.get("Nats-Schedule", "").startswith(wanted):
                break
            await asyncio.sleep(0.05)
        assert headers["Nats-Schedule"].startswith(wanted)
        assert headers["Nats-Schedule-Target"] == names.requests("starter", shard_of("far", 2))
        await client.schedules.remove("far")
        left = await last_message(node.connection, stream, subject)
        for _ in range(200):
            left = await last_message(node.connection, stream, subject)
            if left is None:
                break
            await asyncio.sleep(0.05)
        assert left is None


async def test_an_alarm_of_the_server_reaches_the_inbox(connection: Connection) -> None:
    """The server puts a scheduled envelope into the stream of requests when its time has come."""
    inbox = await open_inbox(connection, "starter", "0")
    try:
        alarms = JetStreamAlarms(connection)
        for body in (b"first", b"second"):
            await alarms.set("starter", "0", "x", round(time.time() * 1000) + 1_000, body)
        await alarms.set("starter", "0", "gone", round(time.time() * 1000) + 1_000, b"never")
        for _ in range(2):
            await alarms.clear("starter", "gone")
        async with asyncio.timeout(PATIENCE_S):
            assert [delivery.body for delivery in await inbox.receive()] == [b"second"]
    finally:
        await inbox.close()


async def test_what_can_be_seen_at_once_is_refused_before_anything_is_stored(
    client: Orchestrator, nats_server: NatsServer, names: Names
) -> None:
    """A schedule that never fires, or a workflow that cannot run, leaves no trace."""
    with pytest.raises(ScheduleInvalidError, match="never start"):
        await client.set_schedule("past", work(), Schedule(at=time.time() - 1))
    with pytest.raises(ScheduleInvalidError, match="cron line"):
        await client.set_schedule("february", work(), Schedule(cron="0 0 30 2 *"))
    broken = Workflow("x", "x", (Task("a", "sleep", dependencies=("nothing",)),))
    with pytest.raises(WorkflowInvalidError):
        await client.set_schedule("broken", broken, Schedule(every_seconds=60.0))
    with pytest.raises(ScheduleInvalidError, match="never start"):
        await client.submit_workflow(work(), at=time.time() - 1)
    assert await client.schedules.list(is_all=True) == []
