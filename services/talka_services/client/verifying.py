"""What ``replay --verify`` holds a recorded history against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import msgspec

from talka_core.history import FOLDS, agrees, apply, packed, violations
from talka_protocols.commit import Commit
from talka_protocols.errors import BrokenHistoryError, UnknownExecutionError
from talka_protocols.events import Event, ExecutionArchived, ExecutionEvent
from talka_protocols.states import (
    EXECUTION_TRANSITIONS,
    FINAL_EXECUTION_STATES,
    FINAL_TASK_STATUSES,
    ExecutionState,
    TaskStatus,
)
from talka_protocols.subjects import EXECUTION

if TYPE_CHECKING:
    from talka_core.scheduler import ExecutionRecord, TaskRecord
    from talka_protocols.ports import Snapshot, Snapshots
    from talka_services.client.histories import Histories

FOLD = FOLDS[EXECUTION]
UNENDED = frozenset(TaskStatus) - FINAL_TASK_STATUSES - {TaskStatus.PENDING, TaskStatus.READY}
Commits = Sequence[tuple[int, Commit[Event]]]


class Recorded(Protocol):
    """Where an execution is on record."""

    @property
    def histories(self) -> Histories:
        """Return what its log is read by."""
        ...

    @property
    def snapshots(self) -> Snapshots:
        """Return where its snapshots are."""
        ...


class Verdict(NamedTuple):
    """What was found: a sentence for each violation, and what was checked."""

    violations: tuple[str, ...]
    checks: str


async def verify_execution(records: Recorded, execution_id: str) -> Verdict:
    """Fold an execution's whole log again and check it.

    Versions have no gaps; time does not go back; every transition is one that
    the tables allow; two folds give the same state, and so does the stored
    snapshot at its version; and the final status fits the tasks'.

    Raises:
        UnknownExecutionError: there is no such execution.
    """
    histories = records.histories
    name = histories.name(execution_id)
    # The log is read after the snapshot, so that it has its event however fast it grows.
    snapshot = await records.snapshots.load(name)
    try:
        commits = await histories.commits(name)
    except BrokenHistoryError as error:
        return Verdict((str(error),), "nothing could be read")
    if not commits:
        raise UnknownExecutionError(execution_id)
    commits = [*_since_beginning(commits)]
    found = list(_order(commits))
    count = sum(len(commit) for _, commit in commits)
    try:
        state = _fold(execution_id, commits)
        if packed(FOLD, state) != packed(FOLD, _fold(execution_id, commits)):
            found.append("two folds of the same log give different states")
        found += _transitions(execution_id, commits)
        found += _ending(state)
        if snapshot is not None and snapshot.version >= commits[0][1].version:
            found += _compared(snapshot, execution_id, commits)
    except BrokenHistoryError as error:
        return Verdict((*found, str(error)), f"{count} events in {len(commits)} commits")
    compared = "no stored snapshot" if snapshot is None else "the stored snapshot"
    return Verdict(tuple(found), f"{count} events in {len(commits)} commits, {compared}")


def _fold(execution_id: str, commits: Commits, until: int | None = None) -> ExecutionRecord:
    bodies = [commit for _, commit in commits]
    return cast("ExecutionRecord", apply(FOLD, FOLD.initial(execution_id), bodies, until))


def _since_beginning(commits: Commits) -> Commits:
    """Return a log from its first event on, or, where that is archived, from the fact that says so."""
    firsts = [next((event for _, _, event in commit.events()), None) for _, commit in commits]
    begun = [place for place, (_, commit) in enumerate(commits) if commit.version == 1]
    archived = [place for place, event in enumerate(firsts) if isinstance(event, ExecutionArchived)]
    return commits[(begun or archived or [0])[-1] :]


def _order(commits: Commits) -> Iterator[str]:
    """Check what the fold does not look at: positions, numbering across commits, and time."""
    is_archived = any(isinstance(event, ExecutionArchived) for _, _, event in commits[0][1].events())
    expected = commits[0][1].version if is_archived else 1
    for _, commit in commits:
        if commit.version != expected:
            yield f"the commit at event {commit.version} should begin at event {expected}"
        expected = commit.version + len(commit)
    for (position, earlier), (next_position, later) in pairwise(commits):
        if next_position <= position:
            yield f"the commit at event {later.version} lies before the one at event {earlier.version}"
        if later.at < earlier.at:
            yield f"time goes back by {earlier.at - later.at} ms at event {later.version}"


def _transitions(execution_id: str, commits: Commits) -> Iterator[str]:
    """Check every step of every task, and of the execution itself."""
    bodies: Any = [commit for _, commit in commits]
    yield from violations(cast("ExecutionRecord", FOLD.initial(execution_id)), bodies)
    state: Any = FOLD.initial(execution_id)
    for _, commit in commits:
        for version, _cause, event in cast("Commit[ExecutionEvent]", commit).events():
            before: ExecutionState | None = state.status
            FOLD.evolve(state, event, commit.at)
            after: ExecutionState | None = state.status
            if before is after or before is None:
                continue
            if after not in EXECUTION_TRANSITIONS.get(before, frozenset[ExecutionState]()):
                yield f"event {version}: the execution went from {before} to {after}"


def _ending(state: ExecutionRecord) -> Iterator[str]:
    """Check that a final status says what the tasks say."""
    if state.status not in FINAL_EXECUTION_STATES or state.archived is not None:
        return
    for task_id, task in state.tasks.items():
        if task.status in UNENDED:
            yield f"the execution is {state.status}, but task {task_id!r} is {task.status}"
        elif state.status is ExecutionState.SUCCEEDED and not _is_no_fault(task):
            yield f"the execution succeeded, but task {task_id!r} is {task.status}"
    if state.status is ExecutionState.FAILED and all(map(_is_no_fault, state.tasks.values())):
        yield "the execution failed, but every task succeeded"


def _is_no_fault(task: TaskRecord) -> bool:
    return task.status is TaskStatus.SUCCEEDED or task.is_tolerated


def _compared(snapshot: Snapshot, execution_id: str, commits: Commits) -> Iterator[str]:
    """Compare a stored snapshot with the fold up to its version."""
    there = _fold(execution_id, commits, snapshot.version)
    if there.version != snapshot.version:
        yield f"the stored snapshot is of event {snapshot.version}, which the log does not have"
    elif not _is_same(there, snapshot):
        yield f"the stored snapshot of event {snapshot.version} differs from the state folded there"


def _is_same(state: ExecutionRecord, snapshot: Snapshot) -> bool:
    try:
        return agrees(FOLD, state, snapshot.body)
    except msgspec.DecodeError:
        return False
