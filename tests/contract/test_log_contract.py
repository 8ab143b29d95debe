"""What every `Log` promises, run over every implementation."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.contract.simulated import Immortal, calm_world

from talka_chaos.ports import SimLog
from talka_protocols.errors import CallerError, ConflictError
from talka_protocols.ports import Log
from talka_protocols.subjects import LogName, Names
from talka_services.jetstream.connection import Connection
from talka_services.jetstream.log import JetStreamLog
from talka_services.memory import MemoryLog
from talka_services.recorder_log import RecorderLog, popo_log, postgres_log, sqlite_log

NAME = LogName("execution", "3", "one")
OTHER = LogName("execution", "4", "two")


def _postgres() -> str:
    dsn = os.environ.get("TALKA_TEST_POSTGRES")
    if not dsn:
        pytest.skip("TALKA_TEST_POSTGRES names no PostgreSQL server")
    return dsn


def _recorder_log(which: str, directory: Path) -> RecorderLog:
    if which == "popo":
        return popo_log()
    if which == "sqlite":
        return sqlite_log(directory / "log.sqlite")
    return postgres_log(_postgres(), table=f"test_{uuid4().hex}")


@pytest.fixture(
    params=[
        "memory",
        "simulated",
        "jetstream",
        "popo",
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
    ]
)
async def log(
    request: pytest.FixtureRequest, tmp_path: Path, connection: Connection, names: Names
) -> AsyncIterator[Log]:
    """Each implementation in turn, empty."""
    if request.param == "memory":
        yield MemoryLog()
    elif request.param == "simulated":
        yield SimLog(calm_world(names), Immortal())
    elif request.param == "jetstream":
        yield JetStreamLog(connection)
    else:
        recorder_log = _recorder_log(request.param, tmp_path)
        yield recorder_log
        await recorder_log.close()


@pytest.mark.postgres
def test_processes_that_open_a_fresh_database_at_once_share_its_tables() -> None:
    """Whoever comes first makes the table and the others find it, none is refused."""
    program = """
import os, sys
from talka_services.recorder_log import postgres_log
log = postgres_log(os.environ["TALKA_TEST_POSTGRES"], table=sys.argv[1])
log.recorder.datastore.close()
"""
    _postgres()
    for _ in range(3):
        argv = [sys.executable, "-c", program, f"race_{uuid4().hex}"]
        openers = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(6)]
        errors = [opener.communicate(timeout=60)[1] for opener in openers]
        assert [opener.returncode for opener in openers] == [0] * 6, errors


async def fill(log: Log, name: LogName, count: int) -> list[int]:
    """Append commits and return their positions."""
    positions = [0]
    for number in range(count):
        positions.append(await log.append(name, positions[-1], b"%d" % number, f"{name.key}-{number}"))
    return positions[1:]


async def test_log_gives_back_what_was_appended(log: Log) -> None:
    """Commits come back in order with their bytes, ids and growing positions."""
    positions = await fill(log, NAME, 3)
    commits = await log.read(NAME)
    assert [commit.position for commit in commits] == positions == sorted(set(positions))
    assert [commit.body for commit in commits] == [b"0", b"1", b"2"]
    assert [commit.commit_id for commit in commits] == ["one-0", "one-1", "one-2"]
    assert {commit.log for commit in commits} == {NAME}


async def test_log_reads_only_what_lies_behind(log: Log) -> None:
    """Reading behind a position leaves out everything up to it, and behind the end there is nothing."""
    positions = await fill(log, NAME, 3)
    assert [commit.body for commit in await log.read(NAME, positions[0])] == [b"1", b"2"]
    assert list(await log.read(NAME, positions[2])) == []


async def test_log_is_empty_at_first(log: Log) -> None:
    """A log that was never written to has no commits and no name."""
    assert list(await log.read(NAME)) == []
    assert list(await log.names("execution")) == []


@pytest.mark.parametrize("after", ["before the end", "behind the end"])
async def test_log_refuses_a_wrong_position(log: Log, after: str) -> None:
    """An append that does not name the last position is refused and changes nothing."""
    positions = await fill(log, NAME, 2)
    wrong = positions[0] if after == "before the end" else positions[1] + 1
    with pytest.raises(ConflictError):
        await log.append(NAME, wrong, b"late", "late")
    assert len(await log.read(NAME)) == 2


async def test_log_recognises_its_own_append(log: Log) -> None:
    """The same commit sent again returns its position and is not written twice."""
    first = await log.append(NAME, 0, b"body", "id-1")
    assert await log.append(NAME, 0, b"body", "id-1") == first
    assert len(await log.read(NAME)) == 1


async def test_log_recognises_its_own_append_behind_those_to_other_logs(log: Log) -> None:
    """What was written elsewhere meanwhile does not matter: it is the end of its own log."""
    first = await log.append(NAME, 0, b"body", "id-1")
    await fill(log, OTHER, 3)
    assert await log.append(NAME, 0, b"body", "id-1") == first
    second = await log.append(NAME, first, b"next", "id-2")
    assert second > first
    assert [commit.body for commit in await log.read(NAME)] == [b"body", b"next"]


async def test_log_refuses_what_is_too_large(log: Log) -> None:
    """A body over the limit is refused before anything is stored; one of just that size is stored."""
    most: int | None = getattr(log, "max_bytes", None)
    if most is None:
        pytest.skip("it has no limit of its own")
    with pytest.raises(CallerError, match="over the limit"):
        await log.append(NAME, 0, b"x" * (most + 1), "large")
    assert list(await log.read(NAME)) == []
    position = await log.append(NAME, 0, b"x" * most, "fits")
    assert [commit.position for commit in await log.read(NAME)] == [position]


async def test_log_does_not_take_a_later_commit_for_its_own(log: Log) -> None:
    """Once somebody else wrote behind our commit, sending it again is a conflict."""
    first = await log.append(NAME, 0, b"body", "id-1")
    await log.append(NAME, first, b"other", "id-2")
    with pytest.raises(ConflictError):
        await log.append(NAME, 0, b"body", "id-1")


async def test_log_lets_one_of_many_writers_win(log: Log) -> None:
    """Of several appends behind the same position exactly one succeeds."""
    results = await asyncio.gather(
        *(log.append(NAME, 0, b"x", f"writer-{number}") for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, ConflictError) for result in results) == 7
    assert len(await log.read(NAME)) == 1


async def test_logs_do_not_touch_each_other(log: Log) -> None:
    """Writing to one log leaves the last position of another as it is."""
    first = await fill(log, NAME, 2)
    await fill(log, OTHER, 3)
    await log.append(NAME, first[-1], b"more", "more")
    assert [commit.body for commit in await log.read(OTHER)] == [b"0", b"1", b"2"]


async def test_log_names_those_that_hold_commits(log: Log) -> None:
    """Names are listed by kind, and by shard where one is given."""
    for name in (NAME, OTHER, LogName("pool", "-", "default")):
        await fill(log, name, 1)
    assert list(await log.names("execution")) == [NAME, OTHER]
    assert list(await log.names("execution", "4")) == [OTHER]
    assert list(await log.names("plan")) == []


async def test_log_is_followed_without_gap(log: Log) -> None:
    """Following yields what is there behind the position, then what is appended meanwhile."""
    positions = await fill(log, NAME, 3)
    seen: list[bytes] = []
    if isinstance(log, RecorderLog):
        seen.extend([commit.body async for commit in log.follow(NAME, positions[0])])
        assert seen == [b"1", b"2"]
        return

    async def collect() -> None:
        async for commit in log.follow(NAME, positions[0]):
            seen.append(commit.body)
            if len(seen) == 4:
                return

    task = asyncio.create_task(collect())
    third = await log.append(NAME, positions[2], b"3", "one-3")
    await log.append(NAME, third, b"4", "one-4")
    await asyncio.wait_for(task, 20)
    assert seen == [b"1", b"2", b"3", b"4"]


async def test_log_reads_thousands_of_commits(log: Log) -> None:
    """A long log comes back whole and in order."""
    await fill(log, NAME, 1500)
    assert [commit.body for commit in await log.read(NAME)] == [b"%d" % number for number in range(1500)]


async def test_log_reads_all_of_some_kinds(log: Log) -> None:
    """All commits of the wanted kinds come by position, whichever log they are in, and then it ends."""
    last = {NAME: 0, OTHER: 0, LogName("plan", "3", "one"): 0}
    for number, name in enumerate([*last] * 3):
        last[name] = await log.append(name, last[name], b"%d" % number, f"{name}-{number}")
    heaps = [heap async for heap in log.read_all(("execution",))]
    commits = [commit for heap in heaps for commit in heap.commits]
    assert {commit.body for commit in commits} == {b"0", b"1", b"3", b"4", b"6", b"7"}
    assert {commit.log for commit in commits} == {NAME, OTHER}
    assert [commit.position for commit in commits] == sorted(commit.position for commit in commits)
    assert heaps[-1].following == 0


async def test_log_reads_all_of_nothing(log: Log) -> None:
    """Where nothing was ever appended, reading all of it ends at once."""
    assert [commit async for heap in log.read_all(("execution",)) for commit in heap.commits] == []
