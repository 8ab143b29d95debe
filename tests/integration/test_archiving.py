"""Archiving on a real server: what goes, what stays, and that a crash at any step loses nothing."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from tests.conftest import NatsServer
from tests.integration.archiving import LATER_MS, archivist, check_archived, over, platform, waits

from talka import Orchestrator, Task, WorkflowBuilder
from talka_core.archiving import executions_in
from talka_core.history import FOLDS, packed
from talka_core.scheduler import ExecutionRecord
from talka_protocols.commit import decode_commit
from talka_protocols.errors import RequestRefusedError
from talka_protocols.ports import Snapshot
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import EXECUTION, PLAN, POOL, LogName, Names
from talka_services.archives.survey import Survey
from talka_services.client.audits import audit
from talka_services.client.histories import Histories
from talka_services.exports import Archive, import_execution
from talka_services.jetstream.api import call
from talka_services.runner.definitions import Definitions
from talka_services.runner.journal import newest
from talka_services.runner.ports import Ports


class CrashError(Exception):
    """The process dies here."""


def files(place: Path) -> list[Path]:
    """Return what lies in a directory."""
    return [*place.iterdir()]


async def bytes_of(talka: Orchestrator) -> int:
    """Return how large the stream of logs is."""
    names = talka.node.connection.names
    return (await call(talka.node.connection, f"STREAM.INFO.{names.stream('log')}")).state.bytes


async def test_what_is_archived_says_where_it_lies(
    nats_server: NatsServer, names: Names, tmp_path: Path
) -> None:
    """The log shrinks to one fact, which says how it ended; it is read in its file, and stays as it is."""
    async with platform(nats_server, names) as talka:
        done = await talka.submit_workflow(waits("done", count=20), key="once")
        await over(talka, done)
        live = await talka.submit_workflow(waits("live", 0.5))
        await talka.histories.until_begun(live)
        before = await bytes_of(talka)
        outcome = await archivist(talka, tmp_path).run(LATER_MS)
        assert [each.execution_id for each in outcome.archived] == [done]
        assert "is not over" in outcome.kept[live]
        assert not outcome.failed
        assert await bytes_of(talka) < before / 2
        await check_archived(talka, done, 20)
        with pytest.raises(RequestRefusedError, match="archived"):
            await talka.restart(done, from_task="t0")
        with pytest.raises(RequestRefusedError, match="archived"):
            await talka.fork(done, 5)
        # The same key is the same execution, which is not started again.
        assert await talka.submit_workflow(waits("done", count=20), key="once") == done
        assert (await talka.wait(done)).status is ExecutionState.SUCCEEDED
        await over(talka, live)
        again = await archivist(talka, tmp_path).run(LATER_MS)
        assert [each.execution_id for each in again.archived] == [live]
        await check_archived(talka, done, 20, refused=1)
        assert not (await audit(talka.node.ports.log, snapshots=talka.node.ports.snapshots)).count


async def test_a_family_goes_as_a_whole(nats_server: NatsServer, names: Names, tmp_path: Path) -> None:
    """Sub-workflows lie in the file of the execution that they belong to, and never go without it."""
    child = WorkflowBuilder("child").add_task(Task("c", "sleep", payload={"seconds": 0})).build()
    parent = (
        WorkflowBuilder("parent")
        .add_task(Task("sub", "workflow", workflow=child))
        .add_task(Task("after", "sleep", payload={"seconds": 0.6}))
        .add_dependency("sub", "after")
        .build()
    )
    async with platform(nats_server, names) as talka:
        root = await talka.submit_workflow(parent)
        async for state in talka.histories.follow(root):
            if state.tasks["sub"].status == "succeeded":
                break
        (below,) = set(await talka.histories.names(EXECUTION)) - {root}
        kept = (await archivist(talka, tmp_path).run(LATER_MS, [below])).kept
        assert root in kept[below]
        await over(talka, root)
        (archived,) = (await archivist(talka, tmp_path).run(LATER_MS)).archived
        assert set(archived.members) == {root, below}
        await check_archived(talka, root, 2)
        await check_archived(talka, below, 1)


@pytest.mark.slow
async def test_a_crash_at_any_step_loses_nothing(
    nats_server: NatsServer, names: Names, tmp_path: Path
) -> None:
    """Whichever step a run dies before, all is on the server or in a file, and the next run goes on."""
    async with platform(nats_server, names) as talka:
        died: list[str] = []
        for number in count():
            execution_id = await talka.submit_workflow(waits(f"w{number}", count=4))
            await over(talka, execution_id)
            left = number

            def crash(step: str) -> None:
                nonlocal left
                if left == 0:
                    died.append(step)
                    raise CrashError(step)
                left -= 1

            try:
                await archivist(talka, tmp_path, crash).run(LATER_MS, [execution_id])
            except CrashError:
                pass
            else:
                break
            state = await talka.histories.execution(execution_id)
            assert state.status is ExecutionState.SUCCEEDED
            assert state.archived is not None or len(state.tasks) == 4
            outcome = await archivist(talka, tmp_path).run(LATER_MS, [execution_id])
            assert not outcome.failed
            await check_archived(talka, execution_id, 4)
        assert {"publish", "record", "purge plan", "purge snapshots", "purge log", "save base"} <= {*died}
        assert not (await audit(talka.node.ports.log, snapshots=talka.node.ports.snapshots)).count


async def test_what_was_archived_comes_back(nats_server: NatsServer, names: Names, tmp_path: Path) -> None:
    """An import brings an archived execution back into its namespace; it may be archived again."""
    async with platform(nats_server, names) as talka:
        ports = talka.node.ports
        execution_id = await talka.submit_workflow(waits("w", count=3))
        await over(talka, execution_id)
        before = await talka.get_execution_status(execution_id)
        await archivist(talka, tmp_path).run(LATER_MS)
        with pytest.raises(RequestRefusedError, match="archived"):
            await talka.restart(execution_id, from_task="t2")
        (file,) = files(tmp_path)
        with Archive(file) as archive:
            await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
        after = await talka.get_execution_status(execution_id)
        assert (after.counts, after.archived) == (before.counts, "")
        assert (await talka.histories.execution(execution_id, at=3)).version == 3
        name = talka.histories.name(execution_id)
        seen = [
            version for _, commit in await talka.histories.commits(name) for version, _, _ in commit.events()
        ]
        assert seen == [*range(1, before.version + 1)]
        assert (await talka.wait(await talka.fork(execution_id, 3))).status is ExecutionState.SUCCEEDED
        await talka.restart(execution_id, from_task="t2")
        async for state in talka.histories.follow(execution_id):
            if state.tasks["t2"].attempt == 2 and state.status is ExecutionState.SUCCEEDED:
                break
        await over(talka, execution_id)
        outcome = await archivist(talka, tmp_path).run(LATER_MS, [execution_id])
        assert [each.execution_id for each in outcome.archived] == [execution_id]
        await check_archived(talka, execution_id, 3)
        assert len(files(tmp_path)) == 2


async def test_snapshots_of_a_plan_go_with_it(nats_server: NatsServer, names: Names, tmp_path: Path) -> None:
    """What is brought back begins at event 1 again, which a snapshot of later ones would contradict."""
    async with platform(nats_server, names) as talka:
        ports = talka.node.ports
        execution_id = await talka.submit_workflow(waits("w"))
        await over(talka, execution_id)
        plan = LogName(PLAN, talka.histories.name(execution_id).shard, execution_id)
        entry = await newest(plan, ports.log, None, Definitions(ports.blobs))
        body = packed(FOLDS[PLAN], entry.state)
        await ports.snapshots.save(plan, Snapshot(entry.position, entry.state.version, body, entry.last_at))
        await archivist(talka, tmp_path).run(LATER_MS)
        assert await ports.snapshots.load(plan) is None
        (file,) = files(tmp_path)
        with Archive(file) as archive:
            await import_execution(archive, log=ports.log, blobs=ports.blobs, shards=ports.shards)
        assert (await talka.histories.plan(execution_id)).version == entry.state.version


async def test_nothing_is_removed_for_a_file_that_is_another(
    nats_server: NatsServer, names: Names, tmp_path: Path
) -> None:
    """A file of the same name that does not hold the execution is neither used nor written over."""
    async with platform(nats_server, names) as talka:
        execution_id = await talka.submit_workflow(waits("w"))
        await over(talka, execution_id)
        version = (await talka.get_execution_status(execution_id)).version
        file = tmp_path / f"{execution_id}.{version}.talka.sqlite"
        file.write_bytes(b"somebody's")
        outcome = await archivist(talka, tmp_path).run(LATER_MS)
        assert execution_id in outcome.failed
        assert file.read_bytes() == b"somebody's"
        assert not (await talka.get_execution_status(execution_id)).archived
        assert files(tmp_path) == [file]


class CountedHistories(Histories):
    """Notes which executions are folded."""

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports.log, ports.blobs, ports.shards, ports.snapshots)
        self.folded: list[str] = []

    async def execution(self, execution_id: str, at: int | None = None) -> ExecutionRecord:
        """Return an execution's state."""
        self.folded.append(execution_id)
        return await super().execution(execution_id, at)


async def test_only_what_has_changed_is_looked_at_again(nats_server: NatsServer, names: Names) -> None:
    """However many are over and wait to be archived, each of them is folded once."""
    async with platform(nats_server, names) as talka:
        first, second = [await talka.submit_workflow(waits(name)) for name in ("first", "second")]
        await over(talka, first)
        await over(talka, second)
        ports = talka.node.ports
        histories = CountedHistories(ports)
        survey = Survey(talka.node.connection, ports, histories)
        assert set((await survey.look(LATER_MS)).standings) == {first, second}
        assert sorted(histories.folded) == sorted([first, second])
        histories.folded.clear()
        await talka.restart(second, from_task="t0")
        await over(talka, second)
        found = await survey.look(LATER_MS)
        assert histories.folded == [second]
        assert all(standing.is_over for standing in found.standings.values())


async def test_archives_of_a_busy_pool_stay_small(
    nats_server: NatsServer, names: Names, tmp_path: Path
) -> None:
    """What the pool did for others meanwhile is not in the file."""
    async with platform(nats_server, names) as talka:
        others = [await talka.submit_workflow(waits(f"other{number}")) for number in range(3)]
        for other in others:
            await over(talka, other)
        one = await talka.submit_workflow(waits("one"))
        await over(talka, one)
        await archivist(talka, tmp_path).run(LATER_MS, [one])
        (file,) = files(tmp_path)
        with Archive(file) as archive:
            pool = LogName(POOL, "-", archive.manifest.pool)
            commits = [decode_commit(pool, stored.body) for stored in await archive.log.read(pool)]
        named = {
            name for commit in commits for _, _, event in commit.events() for name in executions_in(event)
        }
        assert one in named
        assert not named & set(others)
