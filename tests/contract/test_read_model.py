"""What every read model promises, in SQLite and in PostgreSQL; also when its projector is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace
from tests.conftest import NatsServer
from tests.readmodel import Stream, history, notifications, projector, rows

from talka_core.auditing import Anchor
from talka_core.readmodel import Changes
from talka_core.readmodel.rows import AllocationRow, AnchorRow
from talka_protocols.commit import Commit, Decision, decode_commit, encode_commit
from talka_protocols.errors import CallerError
from talka_protocols.events import ExecutionArchived
from talka_protocols.ports import StoredCommit
from talka_protocols.states import ExecutionState
from talka_protocols.subjects import EXECUTION, LogName, Names
from talka_services.jetstream.blobs import JetStreamBlobs
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.log import JetStreamLog
from talka_services.projection import JetStreamSource, Projector, View, open_view
from talka_services.projection import projector as projecting
from talka_services.projection.noted import noted_in
from talka_services.projection.views import MovedError

KILLS = 5
PROGRAM = """
import sys
import talka_services.projection.projector as projector
projector.COMMITS_MAX, projector.GATHER_S = 3, 0.01
from talka_services.cli.main import run
run()
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a read model may lie."""
    if request.param == "sqlite":
        return str(tmp_path / "model.sqlite")
    dsn = os.environ.get("TALKA_TEST_POSTGRES")
    if not dsn:
        pytest.skip("TALKA_TEST_POSTGRES names no PostgreSQL server")
    return dsn


@pytest.fixture
def view(place: str) -> Iterator[View]:
    """An empty read model."""
    opened = open_view(place)
    opened.reset("stream")
    yield opened
    opened.close()


@pytest.fixture
def at_once(tmp_path: Path) -> Iterator[View]:
    """A model to compare with."""
    opened = open_view(tmp_path / "at-once.sqlite")
    yield opened
    opened.close()


def many(seeds: range) -> list[StoredCommit]:
    """Return the commits of many histories, each execution under a name of its own."""
    mixed: list[StoredCommit] = []
    for seed in seeds:
        for commit in notifications(history(seed, 8, 60), seed):
            log = commit.log
            key = f"e{seed}" if log.kind == EXECUTION else log.key
            mixed.append(StoredCommit(LogName(log.kind, log.shard, key), len(mixed) + 1, commit.body, ""))
    return mixed


async def store(connection: Connection, commits: list[StoredCommit], positions: dict[LogName, int]) -> None:
    """Append commits to the stream, each behind the last of its log."""
    log = JetStreamLog(connection)
    for commit in commits:
        name = commit.log
        number = f"{name}-{positions.get(name, 0)}"
        positions[name] = await log.append(name, positions.get(name, 0), commit.body, number)


def test_a_model_is_written_wholly_or_not_at_all(view: View) -> None:
    """Who does not know where the model stands changes nothing, not even by half."""
    before = view.standing("stream")
    written = view.record(Changes(), before, 5)
    assert (written.position, view.standing("stream")) == (5, written)
    said = rows(view)
    commits = many(range(1))
    changes = asyncio.run(projector(view, Stream(commits)).fold(commits))
    with pytest.raises(MovedError):
        view.record(changes, before, 9)
    assert (rows(view), view.standing("stream")) == (said, written)
    assert view.record(changes, written, 9).position == 9
    assert rows(view) != said


def test_a_model_is_of_one_log(view: View) -> None:
    """What was made from another log is not mixed with this one; rebuilding begins another generation."""
    before = view.standing("stream")
    with pytest.raises(CallerError, match="another log"):
        view.standing("other")
    after = view.reset("other")
    assert (after.generation, after.position) == (before.generation + 1, 0)
    with pytest.raises(MovedError):
        view.record(Changes(), before, 1)


async def test_what_is_noted_is_asked_by_its_place(place: str, view: View) -> None:
    """What was recorded for this log; another log's is refused, and where no file is there is nothing."""
    changes = Changes()
    changes.put(AnchorRow("execution.0.e", 7, 3, "digest"))
    view.record(changes, view.standing("stream"), 7)
    source = Stream([])
    assert await noted_in(place, source) == {"execution.0.e": {7: Anchor(3, "digest")}}
    assert await noted_in(f"{Path(__file__).parent}/none.sqlite", source) == {}
    view.reset("other")
    with pytest.raises(CallerError, match="another log"):
        await noted_in(place, source)


def test_what_left_the_log_leaves_the_model(view: View) -> None:
    """Notes before a position, and allocations that clients freed before an instant: nothing else."""
    changes = Changes()
    for log, position in (("pool.p", 3), ("pool.p", 4), ("pool.q", 3)):
        changes.put(AnchorRow(log, position, 1, "digest"))
    for pool, name, execution_id, freed_at in (
        ("p", "old", None, 9),
        ("p", "held", None, 0),
        ("p", "late", None, 10),
        ("p", "e/t/1", "e", 9),
        ("q", "old", None, 9),
    ):
        changes.put(AllocationRow(pool, name, execution_id=execution_id, freed_at=freed_at))
    standing = view.record(changes, view.standing("stream"), 4)
    changes = Changes()
    changes.put(AnchorRow("pool.p", 5, 1, "digest"))
    changes.put(AnchorRow("worker.w", 6, 1, "digest"))
    changes.unanchor("pool.p", 4)
    changes.unanchor("worker.w", 7)
    changes.unallocated["p"] = 10
    view.record(changes, standing, 6)
    assert view.select("SELECT log, position FROM {p}anchors ORDER BY log, position") == [
        ("pool.p", 4),
        ("pool.p", 5),
        ("pool.q", 3),
    ]
    left = view.select("SELECT pool, allocation_id FROM {p}allocations ORDER BY pool, allocation_id")
    assert left == [("p", "e/t/1"), ("p", "held"), ("p", "late"), ("q", "old")]


def test_both_databases_say_the_same(view: View, at_once: View) -> None:
    """Page by page or at once, in whichever database: the rows are those of the log."""
    commits = many(range(4))
    asyncio.run(projector(view, Stream(commits, 7)).catch_up())
    asyncio.run(projector(at_once, Stream(commits)).catch_up())
    assert rows(view) == rows(at_once)


async def test_a_long_log_is_read_page_by_page(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is behind gets all commits once and in order, and then follows."""
    monkeypatch.setattr("talka_services.projection.source.PAGE", 20)
    positions: dict[LogName, int] = {}
    commits = many(range(2))
    await store(connection, commits[:-1], positions)
    source = JetStreamSource(connection)
    end, seen = await source.end(), list[StoredCommit]()
    async with asyncio.timeout(30), aclosing(source.follow(3)) as pages:
        async for page in pages:
            seen += page
            if seen[-1].position == end:
                await store(connection, commits[-1:], positions)
            if seen[-1].position > end:
                break
    assert [commit.position for commit in seen] == list(range(4, end + 2))
    assert [commit.body for commit in seen] == [commit.body for commit in commits[3:]]
    assert await source.written_at(end + 1) == 0
    assert await source.written_at(end) > 0


@pytest.mark.slow
async def test_killed_projectors_lose_and_double_nothing(
    place: str, view: View, at_once: View, connection: Connection, nats_server: NatsServer, names: Names
) -> None:
    """However often it is killed while the log grows, the model equals one that is made afterwards."""
    source, blobs, log = JetStreamSource(connection), JetStreamBlobs(connection), JetStreamLog(connection)
    view.reset(await source.identity())
    commits, positions, random = many(range(24)), dict[LogName, int](), Random(5)
    share = len(commits) // KILLS
    seen: list[int] = []
    for number in range(KILLS):
        argv = [sys.executable, "-c", PROGRAM, "service", "projector", "--server", nats_server.url]
        argv += ["--namespace", names.namespace, "--database", place, "--json"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)  # noqa: ASYNC220
        try:
            assert process.stdout is not None
            assert b'"ready"' in await asyncio.to_thread(process.stdout.readline)
            await store(connection, commits[number * share : (number + 1) * share], positions)
            await asyncio.sleep(random.uniform(0.0, 0.05))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        seen.append(view.standing(await source.identity()).position)
    assert seen == sorted(seen)
    assert seen[0] > 0
    assert any(position < (number + 1) * share for number, position in enumerate(seen)), (
        "no kill struck at work"
    )
    await Projector(view, source, log, blobs).catch_up()
    await Projector(at_once, source, log, blobs).catch_up()
    assert rows(view) == rows(at_once)
    assert view.standing(await source.identity()).position == await source.end()


def test_who_only_asks_waits_for_no_projector(tmp_path: Path) -> None:
    """To open a model that is there writes nothing, so a transaction that is under way is no obstacle."""
    place = tmp_path / "model.sqlite"
    kept = open_view(place)
    before = kept.reset("stream")
    writing = sqlite3.connect(place, isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")
    writing.execute("UPDATE projection SET position = 7")
    asked = open_view(place)
    assert asked.standing("stream") == before
    writing.execute("COMMIT")
    assert asked.standing("stream").position == 7
    writing.close()
    asked.close()
    kept.close()


def archived(name: LogName, version: int, position: int) -> StoredCommit:
    """Return the commit that says where an execution lies."""
    fact = ExecutionArchived(
        "r", version - 1, "file:///a.talka", "0" * 64, name.key, ExecutionState.SUCCEEDED
    )
    body = encode_commit(Commit(version, 0, 0, (Decision("m", (fact,)),)))
    return StoredCommit(name, position, body, "")


async def test_states_of_what_is_over_leave_the_memory(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is archived is held no more; of the others so many executions and tasks are as there may be."""
    stream = Stream([each for each in notifications(history(3, 12, 5), 3) if each.log.kind == EXECUTION])
    model = projector(view, stream)
    await model.fold(stream.commits)
    (name,) = {each.log for each in stream.commits}
    assert list(model.held) == [name.key]
    last = decode_commit(name, stream.commits[-1].body)
    await model.fold([archived(name, last.version + len(last), len(stream.commits) + 1)])
    assert list(model.held) == []
    monkeypatch.setattr(projecting, "KEPT", 3)
    beginnings = [
        replace(stream.commits[0], log=LogName(EXECUTION, "0", f"e{number}")) for number in range(5)
    ]
    await model.fold(beginnings)
    assert 1 <= len(model.held) <= 3
