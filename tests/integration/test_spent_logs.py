"""Logs of schedules and triggers that are no more leave the server; those that anybody may need stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS, platform
from tests.integration.beginnings import first_events
from tests.integration.test_departed_workers import CrashedError, FixedClock, versions
from tests.integration.test_pruning import check_audits

from talka import Orchestrator, Task
from talka_core.starter import is_spent
from talka_protocols.errors import UnknownScheduleError, UnknownTriggerError
from talka_protocols.events import FiringSettled, RunEnded
from talka_protocols.messages import SubmitWorkflow
from talka_protocols.schedules import Schedule
from talka_protocols.subjects import BASE, SCHEDULE, TRIGGER, Names
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import Workflow
from talka_services.archives.pruner import SETTLED_MS, Pruner
from talka_services.archives.removal import UNREAD_MS
from talka_services.client.schedules import put_schedule
from talka_services.jetstream import events
from talka_services.jetstream.log import JetStreamLog
from talka_services.jetstream.purging import Purge
from talka_services.runner.ports import SystemClock

RARELY = Schedule(every_seconds=86_400.0)
ONCE = Schedule(every_seconds=1.0, max_runs=1)


def lasting(seconds: float) -> Workflow:
    """Return a workflow that takes so long."""
    return Workflow("work", "work", (Task("a", "sleep", payload={"seconds": seconds}),))


WORK = lasting(0.0)


async def prune(
    talka: Orchestrator,
    before: int = LATER_MS,
    on_step: Callable[[str], None] = lambda _step: None,
    at: int = LATER_MS,
) -> set[str]:
    """Prune on a day when all is old, and return which logs of schedules and triggers lost something."""
    ports = replace(talka.node.ports, clock=FixedClock(at))
    found = await Pruner(talka.node.connection, ports, on_step).run(lambda _name: False, before)
    return {each.log for each in found if each.log.startswith((SCHEDULE, TRIGGER)) and each.events}


async def spent(talka: Orchestrator, name: str) -> None:
    """Return when a schedule owes nothing and waits for nothing."""
    log = talka.histories.schedule_name(name)
    async with asyncio.timeout(20.0), aclosing(talka.histories.follow_commits(log)) as commits:
        async for _ in commits:
            if is_spent((await talka.histories.schedule(name))[0]):
                return


async def kept(talka: Orchestrator) -> list[str]:
    """Return what the server still has of schedules and triggers: logs, snapshots and bases."""
    purge, ports = Purge(talka.node.connection), talka.node.ports
    logs = [str(name) for kind in (SCHEDULE, TRIGGER) for name in await ports.log.names(kind)]
    snapshots = {key for kind in (SCHEDULE, TRIGGER) for key in await purge.with_snapshots(kind)}
    bases = {key for key in await purge.with_snapshots(BASE) if key.startswith((SCHEDULE, TRIGGER))}
    return sorted({*logs, *snapshots, *bases})


@pytest_asyncio.fixture
async def talka(nats_server: NatsServer, names: Names) -> AsyncGenerator[Orchestrator]:
    """A platform in one process."""
    async with platform(nats_server, names) as orchestrator:
        yield orchestrator


async def test_only_what_is_no_more_goes(talka: Orchestrator) -> None:
    """Removed schedules, deleted triggers, and the logs of starts at an instant or after a pause that came.

    What is set, paused, through with its runs and not removed, or waits for the end of a run, stays.
    """
    for name in ("removed", "paused", "set", "running"):
        await talka.set_schedule(name, WORK if name != "running" else lasting(60.0), RARELY)
    await talka.set_schedule("finished", WORK, ONCE)
    for name in ("deleted", "listening"):
        await talka.create_trigger(name, Trigger("order.created"), WORK)
    held = await talka.schedules.run("running")
    for name in ("removed", "running"):
        await talka.schedules.remove(name)
    await talka.schedules.pause("paused")
    await talka.triggers.delete("deleted")
    at = SystemClock().now_ms() / 1000 + 1.0
    later = await talka.submit_workflow(WORK, at=at)
    calm = await talka.debounce_workflow(WORK, "calm", 0.1)
    for execution_id in (later, calm):
        await talka.wait(execution_id)
    (ended,) = await first_events(talka, talka.histories.schedule_name("finished"), RunEnded, 1)
    assert ended.status == "succeeded"
    debounced = calm.rpartition("-")[0]
    for name in (f"at-{later}", debounced):
        await spent(talka, name)

    assert await prune(talka, before=1) == set()
    went = {"schedule.removed", f"schedule.at-{later}", f"schedule.{debounced}", "trigger.deleted"}
    assert await prune(talka) == went
    left = [f"schedule.{name}" for name in ("finished", "paused", "running", "set")] + ["trigger.listening"]
    assert await kept(talka) == left
    with pytest.raises(UnknownScheduleError):
        await talka.schedules.get("removed")
    with pytest.raises(UnknownTriggerError):
        await talka.triggers.get("deleted")
    await check_audits(talka)
    await talka.cancel_execution(held)
    await spent(talka, "running")
    assert await prune(talka) == {"schedule.running"}


async def test_what_may_still_be_asked_again_stays(talka: Orchestrator) -> None:
    """For as long as the retention says, and two hours at least, a repeat is answered from the log."""
    request = put_schedule("brief", SubmitWorkflow("brief", WORK), RARELY, SystemClock(), request_id="r")
    await talka.schedules.put(request)
    await talka.schedules.remove("brief", request_id="over")
    now = SystemClock().now_ms()
    assert await prune(talka, at=now + SETTLED_MS + 60_000) == set()
    assert (await talka.schedules.put(request)).request_id == "r"
    assert (await talka.schedules.remove("brief", request_id="over")).name == "brief"
    assert await prune(talka, at=now + UNREAD_MS + 60_000) == {"schedule.brief"}
    with pytest.raises(UnknownScheduleError):
        await talka.schedules.remove("brief", request_id="over")


@pytest.mark.parametrize("dies_before", ["purge schedule", "purge base of schedule", "nothing"])
async def test_a_name_can_be_used_again(talka: Orchestrator, dies_before: str) -> None:
    """Its log begins anew, also where a run died before it had removed the last of the old one."""

    def die(step: str) -> None:
        if step == dies_before:
            raise CrashedError

    for _ in range(6):
        await talka.set_schedule("nightly", WORK, RARELY)
    await talka.schedules.remove("nightly")
    try:
        await prune(talka, on_step=die)
    except CrashedError:
        assert dies_before != "nothing"
    await talka.set_schedule("nightly", WORK, RARELY)
    assert (await talka.wait(await talka.schedules.run("nightly"))).status == "succeeded"
    log = talka.histories.schedule_name("nightly")
    # Before the purge nothing had happened: the name goes on behind the seven events that it had.
    begun = 8 if dies_before == "purge schedule" else 1
    assert begun in await versions(talka, log)
    assert len(await versions(talka, log)) == 4 + begun - 1
    await check_audits(talka)
    assert await prune(talka) == set()
    assert (await talka.schedules.get("nightly")).schedule == RARELY


def unique(_source: str, _event_id: str) -> str:
    """Return a name that nothing else has."""
    return uuid4().hex


async def test_a_trigger_that_is_made_again_starts_nothing_twice(
    talka: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is published again has the id of what it started, which is on record for good."""
    # As if the server's own window for repeats were over.
    monkeypatch.setattr(events, "event_key", unique)
    for _ in range(2):
        await talka.create_trigger("orders", Trigger("order.created"), WORK)
        await talka.publish("order.created", {}, event_id="one")
        log = talka.histories.trigger_name("orders")
        (settled,) = await first_events(talka, log, FiringSettled, 1)
        await talka.triggers.delete("orders")
        await talka.wait(settled.firing_id)
        assert await prune(talka) == {"trigger.orders"}
        assert await talka.histories.names(TRIGGER) == []
        assert await talka.histories.names("execution") == [settled.firing_id]


async def test_a_log_that_is_removed_while_it_is_written_to(
    talka: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the planner had folded is gone when it records: it folds again, and the log begins anew."""
    await talka.set_schedule("race", WORK, RARELY)
    await talka.schedules.remove("race")
    append: Any = JetStreamLog.append
    gone: list[set[str]] = []

    def die(step: str) -> None:
        if step == "purge base of schedule":
            raise CrashedError

    async def removed_before(self: Any, log: Any, *rest: Any) -> int:
        if str(log) == "schedule.race" and not gone:
            gone.append({"begun"})
            with pytest.raises(CrashedError):
                await prune(talka, on_step=die)
        position: int = await append(self, log, *rest)
        return position

    monkeypatch.setattr(JetStreamLog, "append", removed_before)
    await talka.set_schedule("race", WORK, RARELY)
    assert gone
    assert await versions(talka, talka.histories.schedule_name("race")) == [1]
    assert (await talka.wait(await talka.schedules.run("race"))).status == "succeeded"
    await check_audits(talka)
