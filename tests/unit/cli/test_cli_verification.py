"""``replay --verify`` finds what is wrong with a history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from talka_core.builder import WorkflowBuilder
from talka_core.history import FOLDS, apply, packed
from talka_protocols.commit import Commit, Decision, encode_commit
from talka_protocols.events import (
    ExecutionAccepted,
    ExecutionEvent,
    ExecutionStarted,
    ExecutionSucceeded,
    TaskQueued,
    TaskReady,
    TaskScheduled,
    TaskStarted,
    TaskSucceeded,
)
from talka_protocols.ports import Snapshot, StoredCommit
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.workflow import Task
from talka_services.cli.records import Records
from talka_services.client.verifying import Verdict, verify_execution
from talka_services.exports import Archive, export_execution
from talka_services.memory import MemoryBlobs, MemoryLog, MemorySnapshots

NAME = LogName(EXECUTION, "0", "x")
EVENTS: tuple[ExecutionEvent, ...] = (
    ExecutionAccepted(WorkflowBuilder("w").add_task(Task("a", "sleep", payload={"seconds": 0})).build()),
    ExecutionStarted(),
    TaskReady("a"),
    TaskQueued("a", 1),
    TaskScheduled("a", 1, "w1", "x/a/1", 1),
    TaskStarted("a", 1, 1000),
    TaskSucceeded("a", 1, 1010),
    ExecutionSucceeded(),
)


def history(events: Sequence[ExecutionEvent] = EVENTS) -> list[Commit[ExecutionEvent]]:
    """Return a history of one event a commit, a millisecond apart."""
    return [
        Commit(number, 1000 + number, 1, (Decision("test", (event,)),))
        for number, event in enumerate(events, 1)
    ]


async def verdict_of(commits: Sequence[Commit[ExecutionEvent]], snapshot: Snapshot | None = None) -> Verdict:
    """Store a history and verify it."""
    records = Records(MemoryLog(), MemoryBlobs(), MemorySnapshots(), 1, "default")
    position = 0
    for number, commit in enumerate(commits):
        position = await records.log.append(NAME, position, encode_commit(commit), str(number))
    if snapshot is not None:
        await records.snapshots.save(NAME, snapshot)
    return await verify_execution(records, "x")


async def test_a_true_history_has_no_violations() -> None:
    """What the platform records passes."""
    assert (await verdict_of(history())).violations == ()


async def growing() -> Records:
    """Return records whose owner commits and takes a snapshot the moment that the log has been read."""
    fold, commits = FOLDS[EXECUTION], history()
    snapshots = MemorySnapshots()

    class Growing(MemoryLog):
        async def read(self, log: LogName, after: int = 0) -> Sequence[StoredCommit]:
            found = await super().read(log, after)
            if len(found) == len(commits) - 1:
                last = await self.append(NAME, found[-1].position, encode_commit(commits[-1]), "last")
                body = packed(fold, apply(fold, fold.initial("x"), commits))
                await snapshots.save(NAME, Snapshot(last, len(commits), body))
            return found

    log = Growing()
    position = 0
    for number, commit in enumerate(commits[:-1]):
        position = await log.append(NAME, position, encode_commit(commit), str(number))
    return Records(log, MemoryBlobs(), snapshots, 1, "default")


async def test_a_history_that_grows_while_it_is_verified_passes() -> None:
    """A snapshot that is newer than what was read of the log is no violation."""
    records = await growing()
    assert (await verify_execution(records, "x")).violations == ()
    assert (await verify_execution(records, "x")).checks == "8 events in 8 commits, the stored snapshot"


async def test_a_history_that_grows_while_it_is_exported_passes(tmp_path: Path) -> None:
    """The file holds no snapshot of an event that it does not have."""
    records, path = await growing(), tmp_path / "x.talka"
    await export_execution(
        "x",
        path,
        log=records.log,
        blobs=records.blobs,
        snapshots=records.snapshots,
        namespace="default",
        shards=1,
    )
    with Archive(path) as archive:
        exported = Records(archive.log, archive.blobs, archive.snapshots, 1, "default", is_live=False)
        verdict = await verify_execution(exported, "x")
    assert verdict == Verdict((), "7 events in 7 commits, no stored snapshot")


async def test_a_snapshot_of_an_earlier_version_is_compared_by_what_that_knew() -> None:
    """A field that it had not is no violation, whatever its value is now; an entry that is missing is one."""
    fold = FOLDS[EXECUTION]
    state = apply(fold, fold.initial("x"), history()[:6])
    assert state.tasks["a"].began_version, "what the earlier version did not know has a value now"
    known = msgspec.json.decode(packed(fold, state))
    del known["tasks"]["a"]["began_version"], known["archived"]
    assert (await verdict_of(history(), Snapshot(6, 6, msgspec.json.encode(known)))).violations == ()
    known["tasks"]["a"]["attempt"] = 2
    assert len((await verdict_of(history(), Snapshot(6, 6, msgspec.json.encode(known)))).violations) == 1
    known["tasks"] = {}
    assert len((await verdict_of(history(), Snapshot(6, 6, msgspec.json.encode(known)))).violations) == 1


async def test_a_true_snapshot_passes_and_a_changed_one_does_not() -> None:
    """A snapshot must equal the state that is folded at its version."""
    fold = FOLDS[EXECUTION]
    body = packed(fold, apply(fold, fold.initial("x"), history()[:6]))
    assert (await verdict_of(history(), Snapshot(6, 6, body))).violations == ()
    changed = Snapshot(6, 6, body.replace(b'"w1"', b'"w2"'))
    (sentence,) = (await verdict_of(history(), changed)).violations
    assert "snapshot of event 6" in sentence
    (sentence,) = (await verdict_of(history(), Snapshot(9, 99, body))).violations
    assert "event 99" in sentence


async def test_a_snapshot_of_an_earlier_version_passes() -> None:
    """A field that the state has gained since is no difference; what cannot be read is one."""
    fold = FOLDS[EXECUTION]
    body = packed(fold, apply(fold, fold.initial("x"), history()[:6]))
    earlier = body.replace(b'"is_replanned":false,', b"")
    assert earlier != body
    assert (await verdict_of(history(), Snapshot(6, 6, earlier))).violations == ()
    (sentence,) = (await verdict_of(history(), Snapshot(6, 6, body[:-1]))).violations
    assert "snapshot of event 6" in sentence


async def test_a_missing_commit_is_found() -> None:
    """Versions have no gaps."""
    commits = history()
    del commits[4]
    assert any("should begin at event 5" in sentence for sentence in (await verdict_of(commits)).violations)


async def test_time_that_goes_back_is_found() -> None:
    """A later event is not earlier."""
    commits = history()
    commits[5] = replace(commits[5], at=5)
    assert any("time goes back" in sentence for sentence in (await verdict_of(commits)).violations)


@pytest.mark.parametrize(
    ("left_out", "words"),
    [((3, 4, 5), "task 'a' went from ready to succeeded"), ((6,), "task 'a' is running")],
)
async def test_a_step_that_no_table_allows_is_found(left_out: tuple[int, ...], words: str) -> None:
    """Every transition of a task is one of the table, and an execution is over only when its tasks are."""
    events = [event for position, event in enumerate(EVENTS) if position not in left_out]
    verdict = await verdict_of(history(events))
    assert any(words in sentence for sentence in verdict.violations), verdict


async def test_bytes_that_are_no_commit_are_a_violation() -> None:
    """A log that cannot be read is told as such."""
    log = MemoryLog()
    await log.append(NAME, 0, b"no commit", "1")
    verdict = await verify_execution(Records(log, MemoryBlobs(), MemorySnapshots(), 1, "default"), "x")
    assert len(verdict.violations) == 1
