"""A read model of a signed namespace forgets what has left the log by rights, and misses all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.archiving import LATER_MS, archivist, over, waits
from tests.integration.test_departed_workers import FixedClock
from tests.integration.test_sealing import OPTIONS, delete, place
from tests.integration.test_spent_logs import RARELY, WORK

from talka import Orchestrator, ResourceRequirements, Task, local
from talka_core.auditing import Anchors
from talka_protocols.events import LogsClosed
from talka_protocols.messages import Recipient
from talka_protocols.subjects import SHARD, LogName
from talka_services.archives.pruner import Pruner
from talka_services.client.signatures import audit_signatures
from talka_services.projection import JetStreamSource, Projector, open_view, shortening
from talka_services.projection.queries import anchors
from talka_services.projection.views import identity_rows
from talka_services.sealing.ports import SealedLog

__all__ = ["place"]
HELD = Task("held", "sleep", resources=ResourceRequirements(cpu_cores=1.0))


@pytest_asyncio.fixture
async def talka(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Orchestrator]:
    """A platform with keys, whose read models look for what has left each time."""
    monkeypatch.setattr(shortening, "EVERY", 1)
    async with local(data_dir=place / tmp_path.name, **OPTIONS) as orchestrator:
        yield orchestrator


async def followed(talka: Orchestrator, place: Path) -> tuple[dict[str, list[tuple[object, ...]]], Anchors]:
    """Bring a model up to the end of the log, and return its tables and what it has noted."""
    ports, source = talka.node.ports, JetStreamSource(talka.node.connection)
    with closing(open_view(place)) as view:
        await Projector(view, source, ports.log, ports.blobs, ports.snapshots).catch_up()
        return dict(identity_rows(view)), anchors(view)


async def found(talka: Orchestrator, noted: Anchors) -> list[tuple[str, str]]:
    """Return the kinds and logs of what an audit finds."""
    ports = talka.node.ports
    assert isinstance(ports.log, SealedLog)
    violations, _ = await audit_signatures(ports.log, "default", noted, snapshots=ports.snapshots)
    return [(each.kind.value, each.where.log) for each in violations]


async def removed(talka: Orchestrator, name: str) -> None:
    """Set a schedule, remove it, and return when its roster has it no more."""
    await talka.set_schedule(name, WORK, RARELY)
    await talka.schedules.remove(name)
    shard = talka.histories.schedule_name(name).shard
    roster = LogName(SHARD, shard, f"{Recipient.STARTER.value}-{shard}")
    async with asyncio.timeout(20.0), aclosing(talka.histories.follow_commits(roster)) as commits:
        async for _position, commit in commits:
            events = [event for _, _, event in commit.events()]
            if any(isinstance(event, LogsClosed) and name in event.keys for event in events):
                return


async def pruned(talka: Orchestrator, is_archived: Callable[[str], bool]) -> None:
    """Prune on a day when all is old."""
    ports = replace(talka.node.ports, clock=FixedClock(LATER_MS))
    await Pruner(talka.node.connection, ports).run(is_archived, LATER_MS)


async def test_a_kept_model_is_as_small_as_a_new_one(talka: Orchestrator, tmp_path: Path) -> None:
    """Of archived executions, pruned beginnings and logs that are no more it keeps what the server does."""
    kept, new = tmp_path / "kept.sqlite", tmp_path / "new.sqlite"
    old = await talka.submit_workflow(waits("old"))
    await over(talka, old)
    await talka.set_schedule("set", WORK, RARELY)
    await removed(talka, "removed")
    await talka.resources.release_resources(await talka.resources.allocate_resources(HELD))
    _, before = await followed(talka, kept)
    assert {f"execution.{old}", f"plan.{old}", "schedule.removed", "schedule.set"} <= before.keys()
    assert await found(talka, before) == []

    assert (await archivist(talka, tmp_path / "archive").run(LATER_MS)).archived
    await pruned(talka, lambda name: name == old)
    assert await found(talka, before) == []
    await talka.schedules.pause("set")
    tables, after = await followed(talka, kept)
    assert [log for log in after if log.startswith(("plan.", "schedule."))] == ["schedule.set"]
    assert len(after[f"execution.{old}"]) == 1
    assert await found(talka, after) == []
    there = {
        str(name): {each.position for each in await talka.node.ports.log.read(name)}
        for kind in ("pool", "shard", "worker", "schedule", "execution", "plan")
        for name in await talka.node.ports.log.names(kind)
    }
    assert {log: set(noted) for log, noted in after.items()} == there
    assert tables == (await followed(talka, new))[0]


async def test_a_schedule_that_was_purged_is_missed(talka: Orchestrator, tmp_path: Path) -> None:
    """Its roster calls it live, so neither a model nor an audit takes it for one that was removed."""
    await talka.set_schedule("nightly", WORK, RARELY)
    await removed(talka, "removed")
    await followed(talka, tmp_path / "model.sqlite")
    log: LogName = talka.histories.schedule_name("nightly")
    (only,) = await talka.node.ports.log.read(log)
    await delete(talka, only.position)
    await removed(talka, "another")
    _, noted = await followed(talka, tmp_path / "model.sqlite")
    assert await found(talka, noted) == [("removed", "schedule.nightly")]
