"""Goal: of an archived execution the log may lose everything before the fact that says so.

Method: generated histories that came to their end are archived; the whole log, what is left of it, and
what is left after a purge that was interrupted fold to the same state, which nothing sets going again.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.readmodel import history

from talka_core.behaviour import Send, step
from talka_core.history import FOLDS, advance, apply, packed, unpacked
from talka_core.scheduler import SCHEDULER, ExecutionRecord
from talka_core.scheduler.archiving import ARCHIVED
from talka_core.status import status_of
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.events import ExecutionArchived, RequestRefused
from talka_protocols.messages import Recipient
from talka_protocols.subjects import EXECUTION, LogName

seeds = st.integers(0, 300_000).map(lambda number: 3 * number + 1)
"""Those whose histories come to their end."""
FOLD = FOLDS[EXECUTION]
LOG = LogName(EXECUTION, "0", "e")
NOW_MS = 1_800_000_000_000


def _ended(seed: int, size: int, disturbances: int) -> tuple[ExecutionRecord, list[bytes]]:
    """Return a generated execution that is over, unless its seed says otherwise, and its log."""
    player = history(seed, size, disturbances).players[Recipient.SCHEDULER, "e"]
    return player.state, [*player.commits]


def _request(state: ExecutionRecord) -> m.ArchiveExecution:
    return m.ArchiveExecution("e", "r", state.version, "file:///archive/e", "0" * 64, "e")


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seeds, st.integers(1, 12), st.integers(0, 80), st.data())
def test_what_is_left_says_the_same_as_all(
    seed: int, size: int, disturbances: int, data: st.DataObject
) -> None:
    """Wherever an interrupted purge left the beginning of the log, it folds to the same state."""
    state, bodies = _ended(seed, size, disturbances)
    before = status_of(state)
    events, effects = step(SCHEDULER, state, _request(state), NOW_MS)
    assert [type(event) for event in events] == [ExecutionArchived]
    assert not effects
    assert not list(SCHEDULER.resume(state))
    assert SCHEDULER.is_over(state)
    after = status_of(state)
    assert (after.status, after.counts, after.total) == (before.status, before.counts, before.total)
    assert after.archived == "file:///archive/e"
    commits = [decode_commit(LOG, body) for body in bodies]
    kept = data.draw(st.integers(0, len(commits)))
    left = FOLD.initial("e")
    apply(FOLD, left, commits[:kept])
    advance(FOLD, left, state.version, events[0], NOW_MS)
    assert packed(FOLD, left) == packed(FOLD, state)
    restored = unpacked(FOLD, packed(FOLD, state))
    FOLD.restore(restored)
    assert packed(FOLD, restored) == packed(FOLD, state)
    # What was brought back from an archive begins with the first event again.
    apply(FOLD, left, commits)
    assert status_of(left) == before


@pytest.mark.parametrize(
    "message",
    [
        m.RestartExecution("e", request_id="x", from_task="a"),
        m.RollBackExecution("e", 1, request_id="x"),
        m.PauseExecution("e", "x"),
        m.ResumeExecution("e", "x"),
        m.SignalExecution("e", "name", "signal"),
        m.ArchiveExecution("e", "x", 1, "elsewhere", "", "e"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_an_archived_execution_refuses_what_would_change_it(message: m.SchedulerMessage) -> None:
    """Nothing sets an archived execution going again; the refusal says where it lies, once."""
    state, _ = _ended(1, 3, 0)
    step(SCHEDULER, state, _request(state), NOW_MS)
    events, _ = step(SCHEDULER, state, message, NOW_MS)
    (refused,) = events
    assert isinstance(refused, RequestRefused)
    assert refused.code == ARCHIVED
    assert "file:///archive/e" in refused.message
    assert SCHEDULER.is_over(state)


def test_an_archived_execution_is_never_started_again() -> None:
    """The planner that hands it over once more is told that it is recorded; a request is heard once."""
    state, _ = _ended(1, 3, 0)
    asked = _request(state)
    step(SCHEDULER, state, asked, NOW_MS)
    events, effects = step(SCHEDULER, state, m.StartExecution("e"), NOW_MS)
    assert not events
    assert [effect for _, effect in effects] == [
        Send(Recipient.PLANNER, m.ExecutionRecorded("e"), notice=True)
    ]
    assert step(SCHEDULER, state, asked, NOW_MS) == ([], [])


def test_only_what_the_archive_holds_wholly_may_go() -> None:
    """An execution that is not over, or that has changed since it was exported, is refused."""
    running = SCHEDULER.initial("e")
    (refused,), _ = step(SCHEDULER, running, _request(running), NOW_MS)
    assert isinstance(refused, RequestRefused)
    assert refused.code == "not_over"
    state, _ = _ended(1, 3, 0)
    asked = m.ArchiveExecution("e", "r", state.version - 1, "file:///archive/e", "", "e")
    (refused,), _ = step(SCHEDULER, state, asked, NOW_MS)
    assert isinstance(refused, RequestRefused)
    assert refused.code == "changed"
