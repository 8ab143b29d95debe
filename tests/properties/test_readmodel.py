"""Goal: the read model says what the histories say, and says the same however it came about.

Method: generated histories, read in pages of any size, by projectors that are
interrupted before, within and after any write, against one that read them at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from eventsourcing.persistence import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.readmodel import Stream, history, notifications, projector, rows

from talka_core.readmodel import Changes
from talka_core.scheduler import ExecutionRecord
from talka_core.scheduler.archiving import summary
from talka_core.status import status_of
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision, decode_commit, encode_commit
from talka_protocols.messages import ArchiveExecution, Recipient
from talka_protocols.ports import StoredCommit
from talka_services.projection import Standing
from talka_services.projection.views import SQLiteView

seeds = st.integers(0, 1_000_000)


class FaultyView(SQLiteView):
    """A database that fails now and then: before a write, within it, or after it was lasting."""

    def __init__(self, path: str, random: Random) -> None:
        super().__init__(path)
        self.random = random
        self.faults = 0

    def _fail(self, share: float) -> None:
        if self.random.random() < share:
            self.faults += 1
            raise OperationalError("as drawn")

    def record(self, changes: Changes, before: Standing, position: int) -> Standing:
        """Write, perhaps; and answer, perhaps."""
        self._fail(0.15)
        written = super().record(changes, before, position)
        self._fail(0.15)
        return written

    def _write(self, cursor: Any, table: str, changes: Changes) -> None:
        self._fail(0.05)
        super()._write(cursor, table, changes)


def opened(path: Path) -> SQLiteView:
    view = SQLiteView(str(path))
    view.make()
    return view


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seeds, st.integers(1, 12), st.integers(0, 120), st.integers(1, 9))
def test_a_model_is_the_same_whatever_interrupted_it(
    seed: int, size: int, disturbances: int, page: int
) -> None:
    """Nothing is lost or doubled: an interrupted model equals one that was made at once."""
    commits = notifications(history(seed, size, disturbances), seed)
    with TemporaryDirectory() as directory:
        at_once, faulty = opened(Path(directory, "a")), FaultyView(f"{directory}/b", Random(seed))
        faulty.make()

        async def interrupted() -> None:
            while True:
                try:
                    # Each is a process of its own, with nothing in memory.
                    await projector(faulty, Stream(commits, page)).catch_up()
                except OperationalError:
                    continue
                return

        asyncio.run(projector(at_once, Stream(commits)).catch_up())
        asyncio.run(interrupted())
        assert rows(faulty) == rows(at_once)
        at_once.close()
        faulty.close()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seeds, st.integers(1, 12), st.integers(0, 120))
def test_rows_say_what_the_states_say(seed: int, size: int, disturbances: int) -> None:
    """Executions and tasks stand as the scheduler's fold says, and attempts are those of the log."""
    model = history(seed, size, disturbances)
    commits = notifications(model, seed)
    with TemporaryDirectory() as directory:
        view = opened(Path(directory, "a"))
        asyncio.run(projector(view, Stream(commits, 3)).catch_up())
        player = model.players.get((Recipient.SCHEDULER, "e"))
        state: ExecutionRecord = player.state if player is not None else ExecutionRecord("e")
        tasks = view.select("SELECT task_id, status, attempt, finished_at FROM {p}tasks")
        assert {task: rest for task, *rest in tasks} == {
            task: [record.status, record.attempt, record.finished_at] for task, record in state.tasks.items()
        }
        shown = view.select("SELECT status, total, done FROM {p}executions")
        status = status_of(state)
        assert shown == ([(status.status, status.total, status.done)] if state.version else [])
        events = (
            [event for body in player.commits for *_, event in decode_commit(player.name, body).events()]
            if player
            else []
        )
        _compare_attempts(view, events)
        view.close()


def _compare_attempts(view: SQLiteView, events: list[Any]) -> None:
    begun = {
        (event.task_id, event.attempt)
        for event in events
        if isinstance(event, e.TaskQueued | e.TaskScheduled | e.TaskWaiting)
    }
    found = view.select("SELECT task_id, attempt, outcome FROM {p}attempts")
    assert {(task, attempt) for task, attempt, _ in found} == begun
    outcomes = Counter(outcome for *_, outcome in found)
    told = Counter(type(event).__name__ for event in events)
    assert outcomes["retried"] == told["TaskRetrying"]
    assert outcomes["lost"] == told["TaskAttemptLost"]


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seeds.map(lambda number: 3 * number + 1), st.integers(1, 12), st.integers(0, 80), st.integers(1, 9))
def test_a_model_made_anew_knows_of_the_archived_what_the_old_one_does(
    seed: int, size: int, disturbances: int, page: int
) -> None:
    """What archiving leaves in the log gives the same rows as all that was there, but for positions."""
    model = history(seed, size, disturbances)
    state: ExecutionRecord = model.players[Recipient.SCHEDULER, "e"].state
    whole = notifications(model, seed)
    name = next(commit.log for commit in whole if commit.log.kind == "execution")
    asked = ArchiveExecution("e", "r", state.version, "file:///e", "", "e")
    body = encode_commit(Commit(state.version + 1, 2**40, 1, (Decision("", (summary(state, asked),)),)))
    pool = [commit for commit in whole if commit.log.kind == "pool"]
    left = pool[len(pool) // 2 :]
    with TemporaryDirectory() as directory:
        kept, anew = opened(Path(directory, "a")), opened(Path(directory, "b"))
        for view, commits in ((kept, whole), (anew, left)):
            stream = [*commits, StoredCommit(name, 0, body, "")]
            numbered = [StoredCommit(c.log, at, c.body, "") for at, c in enumerate(stream, 1)]
            asyncio.run(projector(view, Stream(numbered, page)).catch_up())
        for table in ("tasks", "attempts", "allocations"):
            assert not anew.select(f"SELECT * FROM {{p}}{table} WHERE execution_id = 'e'")
        columns = "SELECT status, total, done, archived, document FROM {p}executions WHERE execution_id = 'e'"
        assert kept.select(columns) == anew.select(columns)
        assert kept.select(columns)[0][:4] == (
            status_of(state).status,
            len(state.tasks),
            status_of(state).done,
            "file:///e",
        )
        for table in ("tasks", "attempts", "allocations"):
            assert not kept.select(f"SELECT * FROM {{p}}{table} WHERE execution_id = 'e'")
        kept.close()
        anew.close()


def test_two_projectors_of_one_model_do_the_work_once(tmp_path: Path) -> None:
    """Whoever comes second looks again where the model stands, and the model is as one alone makes it."""
    commits = notifications(history(7, 10, 80), 7)
    alone, shared, other = opened(tmp_path / "a"), opened(tmp_path / "b"), opened(tmp_path / "b")

    async def both() -> None:
        await asyncio.gather(
            projector(shared, Stream(commits, 2)).catch_up(), projector(other, Stream(commits, 3)).catch_up()
        )

    asyncio.run(projector(alone, Stream(commits)).catch_up())
    asyncio.run(both())
    assert rows(shared) == rows(alone)


def test_a_model_that_is_emptied_under_a_projector_is_whole_again(tmp_path: Path) -> None:
    """Rebuilding begins another generation, so what a running projector has in mind is not written."""
    commits = notifications(history(8, 10, 80), 8)
    view, alone = opened(tmp_path / "a"), opened(tmp_path / "b")

    class Emptied(Stream):
        """Empties the model once, while its page is on the way."""

        is_emptied = False

        async def follow(self, after: int) -> AsyncGenerator[Sequence[StoredCommit]]:
            """Yield pages."""
            async for page in super().follow(after):
                yield page
                if not self.is_emptied and page[-1].position > 10:
                    self.is_emptied = True
                    view.reset("stream")

    asyncio.run(projector(view, Emptied(commits, 4)).catch_up())
    asyncio.run(projector(alone, Stream(commits)).catch_up())
    assert rows(view) == rows(alone)
    assert view.standing("stream") == Standing(2, len(commits), "stream")
