"""The overview keeps up with every log, whatever it has read ahead, and starts anew when it was cut off."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from talka_core.history import FOLDS, apply
from talka_protocols.commit import Commit, Decision, encode_commit
from talka_protocols.errors import ServerUnavailableError
from talka_protocols.events import ExecutionAccepted, ExecutionCancelled, ExecutionPaused, ExecutionStarted
from talka_protocols.ports import StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.workflow import Task, Workflow
from talka_services.gateway import overview as module
from talka_services.gateway.overview import Overview, Standing

WORK = Workflow("work", "work", (Task("a", "sleep"),))


class Stream:
    """Logs in one stream, as the server has them; what arrives of it is up to the test."""

    def __init__(self) -> None:
        self.commits: list[StoredCommit] = []
        self.arriving: asyncio.Queue[list[StoredCommit] | Exception] = asyncio.Queue()
        self.loads = 0

    def append(self, name: str, *events: Any) -> StoredCommit:
        """Record events in an execution's log."""
        version = 1 + sum(len(self.decode(each)) for each in self.commits if each.log.key == name)
        commit = Commit(version, 1000 * version, 1, (Decision("m", events),))
        log = LogName(EXECUTION, "0", name)
        stored = StoredCommit(log, 10 + len(self.commits), encode_commit(commit), "")
        self.commits.append(stored)
        return stored

    def decode(self, commit: StoredCommit) -> Commit[Any]:
        """Read one commit."""
        from talka_protocols.commit import decode_commit  # noqa: PLC0415

        return decode_commit(commit.log, commit.body)

    # As ``News`` does it.

    async def begin(self) -> int:
        """Begin behind what is there."""
        return await self.end()

    async def end(self) -> int:
        """Return the position of the newest commit."""
        return self.commits[-1].position if self.commits else 0

    async def next(self) -> list[StoredCommit]:
        """Return what the test lets arrive."""
        found = await self.arriving.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def close(self) -> None:
        """Read no more."""

    # As ``Histories`` does it.

    async def names(self, _kind: str) -> list[str]:
        """Return the names of all executions."""
        return sorted({each.log.key for each in self.commits})

    async def latest(self, name: str) -> tuple[Any, int]:
        """Fold a log as the server has it, which may be ahead of what has arrived."""
        self.loads += 1
        own = [each for each in self.commits if each.log.key == name]
        state = FOLDS[EXECUTION].initial(name)
        apply(FOLDS[EXECUTION], state, [self.decode(each) for each in own])
        return state, own[-1].position

    async def decoded(self, commit: StoredCommit) -> Commit[Any]:
        """Read one commit."""
        return self.decode(commit)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream in place of the server's."""
    found = Stream()

    def in_place(_connection: object, _kind: str) -> Stream:
        return found

    monkeypatch.setattr(module, "News", in_place)
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    return found


def over(stream: Stream) -> Overview:
    connection: Any = None
    histories: Any = stream
    return Overview(connection, histories)


async def test_what_was_recorded_before_it_was_asked_is_in_it(stream: Stream) -> None:
    """It waits for the stream's end, and lists what is over beside what runs."""
    stream.append("a", ExecutionAccepted(WORK), ExecutionStarted())
    overview = over(stream)
    order, position = await overview.standings()
    assert ([name for _, name in order], position) == (["a"], 10)
    paused = stream.append("a", ExecutionPaused())
    begun = stream.append("b", ExecutionAccepted(WORK))
    asking = asyncio.create_task(overview.standings())
    await asyncio.sleep(0)
    assert not asking.done()
    stream.arriving.put_nowait([paused, begun])
    order, position = await asking
    assert ({name for _, name in order}, position) == ({"a", "b"}, 12)
    assert overview.standing("a").status.status == "paused"
    await overview.close()


async def test_a_commit_that_was_read_ahead_hides_no_change_of_others(stream: Stream) -> None:
    """The log of a new execution is read as a whole, past commits of others that have not arrived yet."""
    stream.append("a", ExecutionAccepted(WORK), ExecutionStarted())
    overview = over(stream)
    await overview.standings()
    begun = stream.append("b", ExecutionAccepted(WORK))
    stream.arriving.put_nowait([begun])
    async with aclosing(overview.changes(10)) as changes:
        coming = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        paused = stream.append("a", ExecutionPaused())
        more = stream.append("b", ExecutionStarted())
        first = await coming
        assert [each.status.execution_id for each in first] == ["b"]
        coming = asyncio.ensure_future(anext(changes))
        stream.arriving.put_nowait([paused, more])
        assert {each.status.execution_id: each.status.version for each in await coming} == {"a": 3, "b": 2}
    await overview.close()


async def test_what_is_over_is_read_again_if_it_goes_on(stream: Stream) -> None:
    stream.append("a", ExecutionAccepted(WORK), ExecutionStarted(), ExecutionCancelled())
    overview = over(stream)
    await overview.standings()
    assert (overview.standing("a").status.is_final, stream.loads) == (True, 1)
    stream.arriving.put_nowait([stream.append("a", ExecutionPaused())])
    await overview.standings()
    assert (overview.standing("a").status.version, stream.loads) == (4, 2)
    await overview.close()


async def test_it_begins_anew_when_reading_was_cut_off(stream: Stream) -> None:
    """Whoever asks afterwards gets what is there, and watchers go on where they were."""
    stream.append("a", ExecutionAccepted(WORK), ExecutionStarted())
    overview = over(stream)
    found: list[Standing] = []
    async with aclosing(overview.changes(0)) as changes:
        found += await anext(changes)
        coming = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        stream.append("a", ExecutionPaused())
        stream.arriving.put_nowait(ServerUnavailableError("It is away."))
        found += await coming
    assert [(each.position, each.status.version) for each in found] == [(10, 2), (11, 3)]
    assert (await overview.standings())[1] == 11
    await overview.close()


async def test_a_server_that_does_not_send_is_an_error_and_no_old_list(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAUGHT_UP_S", 0.01)
    stream.append("a", ExecutionAccepted(WORK))
    overview = over(stream)
    await overview.standings()
    stream.append("a", ExecutionStarted())
    with pytest.raises(ServerUnavailableError, match="newest commit"):
        await overview.standings()
    await overview.close()
