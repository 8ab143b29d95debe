"""Logs of schedules, triggers and workers lose their beginning, and nothing that they know.

They are short here, and what counts as small is shorter still.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from tests.conftest import NatsServer
from tests.integration.archiving import platform
from tests.integration.beginnings import first_events

from talka import Orchestrator, Task
from talka_core.history import FOLDS, packed
from talka_protocols.commit import Commit
from talka_protocols.errors import UnknownScheduleError
from talka_protocols.events import TriggerFired
from talka_protocols.messages import Message, Recipient, RegisterWorker, SubmitWorkflow, sealed
from talka_protocols.schedules import Overlap, Schedule, ScheduleState
from talka_protocols.subjects import WORKER, LogName, Names
from talka_protocols.triggers import Trigger, TriggerState
from talka_protocols.workflow import Workflow
from talka_services.archives import pruner
from talka_services.archives.pruned import Pruned
from talka_services.archives.pruner import SETTLED_MS, Pruner
from talka_services.archives.removal import UNREAD_MS
from talka_services.backups import back_up, namespace, restore
from talka_services.backups.streams import SavedStream, save_stream
from talka_services.client.audits import audit
from talka_services.client.schedules import put_schedule
from talka_services.client.signatures import audit_signatures
from talka_services.jetstream.connection import Connection, connect
from talka_services.runner.bases import base_of
from talka_services.runner.ports import SystemClock
from talka_services.service.incarnations import Incarnations

WORK = Workflow("work", "work", (Task("a", "sleep", payload={"seconds": 0.0}),))
RARELY = Schedule(every_seconds=86_400.0, overlap=Overlap.ALLOW)
SMALL = 6
TIMES = SMALL // 2 + 1
LATER_MS = 2**50
WORKER_LOG = LogName(WORKER, "-", "again-and-again")


async def tell_pool(talka: Orchestrator, *letters: Message) -> None:
    """Write to the default pool."""
    subject = talka.node.ports.names.inbox(Recipient.RESOURCE.value, "default")
    envelopes = [(subject, sealed("a test", each, letter_id=uuid4().hex)) for each in letters]
    await talka.node.ports.post.send(envelopes)


class LateClock(SystemClock):
    """A clock of a day when all that was asked for has long been answered."""

    def now_ms(self) -> int:
        """Return an instant at which all of now is settled."""
        return super().now_ms() + max(SETTLED_MS, UNREAD_MS) + 60_000


async def pruned(talka: Orchestrator, before: int = LATER_MS, *, is_late: bool = True) -> dict[str, Pruned]:
    """Prune once, and return what became of each log."""
    ports = replace(talka.node.ports, clock=LateClock()) if is_late else talka.node.ports
    found = await Pruner(talka.node.connection, ports).run(lambda _name: False, before)
    return {each.log: each for each in found if each.events}


async def first_commit(talka: Orchestrator, name: LogName) -> Commit[Any]:
    """Return what a log begins with now."""
    return (await talka.histories.commits(name))[0][1]


async def check_audits(talka: Orchestrator) -> None:
    """Hold the rest of the logs to what auditors look for."""
    ports, connection = talka.node.ports, talka.node.connection
    assert not (await audit(ports.log, snapshots=ports.snapshots)).count
    namespace = connection.names.namespace
    found, _signatures = await audit_signatures(ports.log, namespace, snapshots=ports.snapshots)  # type: ignore[arg-type]
    assert not found


@pytest_asyncio.fixture
async def talka(
    nats_server: NatsServer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Orchestrator]:
    """A platform where a schedule and a trigger were paused, and a worker was restarted, often."""
    monkeypatch.setattr(pruner, "SMALL", SMALL)
    async with platform(nats_server, names) as orchestrator:
        submission = SubmitWorkflow("rarely", WORK)
        request = put_schedule("rarely", submission, RARELY, SystemClock(), request_id="first")
        await orchestrator.schedules.put(request)
        await orchestrator.create_trigger("heard", Trigger("order.created"), WORK)
        for _ in range(TIMES):
            await asyncio.gather(
                orchestrator.schedules.pause("rarely"),
                orchestrator.triggers.pause("heard"),
                restart(orchestrator),
            )
            await asyncio.gather(
                orchestrator.schedules.resume("rarely"), orchestrator.triggers.resume("heard")
            )
        joined = RegisterWorker("default", WORKER_LOG.key, TIMES, ("sleep",), 1, {"cpu_cores": 1.0})
        await tell_pool(orchestrator, joined)
        async with aclosing(orchestrator.histories.follow_pool("default")) as pools:
            async for pool in pools:
                if WORKER_LOG.key in {*pool.workers, *pool.lost}:
                    break
        yield orchestrator


async def restart(talka: Orchestrator) -> int:
    """Let a worker begin and end, and return which incarnation it was."""
    incarnations = Incarnations(WORKER_LOG.key, "default", talka.node.ports)
    number = await incarnations.begin()
    await incarnations.end()
    return number


async def test_the_rest_says_what_all_of_it_said(talka: Orchestrator, nats_server: NatsServer) -> None:
    """All states are as before, everything goes on, also with a new owner, and audits are clean."""
    histories = talka.histories
    logs = (histories.schedule_name("rarely"), histories.trigger_name("heard"))
    states = [(await histories.schedule("rarely"))[0], (await histories.trigger("heard"))[0]]
    before = [packed(FOLDS[log.kind], state) for log, state in zip(logs, states, strict=True)]
    gone = await pruned(talka)
    assert {str(logs[0]), str(logs[1]), str(WORKER_LOG)} <= gone.keys()
    for log in (*logs, WORKER_LOG):
        assert len(await histories.commits(log)) == 1
        assert (await first_commit(talka, log)).version > SMALL
    states = [(await histories.schedule("rarely"))[0], (await histories.trigger("heard"))[0]]
    assert [packed(FOLDS[log.kind], state) for log, state in zip(logs, states, strict=True)] == before
    await check_audits(talka)
    assert not (await pruned(talka)).keys() & {str(log) for log in logs}

    assert await restart(talka) == TIMES + 1
    name = talka.node.connection.names.namespace
    await talka.node.close()
    async with platform(nats_server, Names(name)) as again:
        assert (await again.schedules.pause("rarely")).state is ScheduleState.PAUSED
        fired = await again.schedules.run("rarely")
        assert (await again.wait(fired)).status == "succeeded"
        assert (await again.triggers.pause("heard")).state is TriggerState.PAUSED
        await again.triggers.resume("heard")
        await again.publish("order.created", {})
        await first_events(again, again.histories.trigger_name("heard"), TriggerFired, 1)
        await check_audits(again)


async def test_what_may_still_be_looked_for_stays(talka: Orchestrator) -> None:
    """Nothing that is younger than the retention goes, and nothing of the last hour, whatever was said."""
    log = talka.histories.schedule_name("rarely")
    assert not await pruned(talka, before=1)
    assert str(log) not in await pruned(talka, is_late=False)
    await talka.schedules.put(put_schedule("small", SubmitWorkflow("small", WORK), RARELY, SystemClock()))
    assert "schedule.small" not in await pruned(talka)


async def test_a_repeat_of_what_was_pruned_is_answered(talka: Orchestrator) -> None:
    """By how the schedule stands now; once it has been removed it is unknown."""
    repeat = put_schedule("rarely", SubmitWorkflow("rarely", WORK), RARELY, SystemClock(), request_id="first")
    await pruned(talka)
    state, position = await talka.histories.schedule("rarely")
    answer = await talka.schedules.put(repeat)
    assert (answer.schedule, answer.next_at, answer.request_id) == (RARELY, state.next_at, "first")
    assert (await talka.histories.schedule("rarely"))[1] == position
    await talka.schedules.remove("rarely")
    with pytest.raises(UnknownScheduleError):
        await talka.schedules.put(repeat)


async def test_a_base_holds_what_is_stored_apart(talka: Orchestrator) -> None:
    """A definition over the limit lies among the values; what is folded from the base has it all the same."""
    payload = {"seconds": 0.0, "result": "x" * 400_000}
    large = Workflow(
        "work", "work", tuple(Task(f"t{number}", "sleep", payload=payload) for number in range(3))
    )
    await talka.set_schedule("rarely", large, RARELY)
    await talka.schedules.pause("rarely")
    await pruned(talka)
    base = await base_of(talka.histories.schedule_name("rarely"), talka.node.ports.snapshots)
    assert base.state.definition is not None
    assert base.state.workflow.tasks == large.tasks
    fired = await talka.schedules.run("rarely")
    assert (await talka.wait(fired)).status == "succeeded"


async def test_a_backup_beside_the_pruner_is_whole(
    talka: Orchestrator, own_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pruned between the snapshots and the logs would be in neither of them."""
    saved = list[str]()

    async def save_and_prune(connection: Connection, stream: str, path: Path) -> SavedStream:
        done = await save_stream(connection, stream, path)
        if stream.endswith("snapshot") and stream not in saved:
            assert await pruned(talka)
        saved.append(stream)
        return done

    monkeypatch.setattr(namespace, "save_stream", save_and_prune)
    await back_up(talka.node.connection, tmp_path / "saved")
    names = talka.node.connection.names
    assert saved.count(names.stream("log")) == saved.count(names.stream("snapshot")) == 2
    connection = await connect(own_server.url, "test", names)
    await restore(connection, tmp_path / "saved")
    await connection.close()
    async with platform(own_server, names) as again:
        assert (await again.schedules.get("rarely")).state is ScheduleState.ACTIVE
        assert await restart(again) == TIMES + 1
        await check_audits(again)
