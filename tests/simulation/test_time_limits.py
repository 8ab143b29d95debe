"""Goal: the judge of time limits reads the same clock from events alone as the scheduler keeps in its state.

Method: histories of one task whose limit stands still and begins anew, judged before and after it has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from talka_chaos.control import pauses
from talka_chaos.graphs import AGENT_TYPE
from talka_core.history import FOLDS, apply
from talka_core.scheduler import SCHEDULER
from talka_core.scheduler.clock import EARLY_MS, has_passed
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.policies import Then
from talka_protocols.subjects import EXECUTION, LogName
from talka_protocols.workflow import Task, Workflow, WorkflowConfig

BEGIN_MS = 1_700_000_000_000
LIMIT_MS = 5_000
LOG = LogName(EXECUTION, "0", "e")
Step = tuple[int, Sequence[Any]]

ACCEPTED: Step = (
    0,
    [
        e.ExecutionAccepted(Workflow("e", "e", (Task("t", AGENT_TYPE),), (), WorkflowConfig(timeout=5.0))),
        e.ExecutionStarted(),
    ],
)
ENDED_WHILE_STANDING: Step = (9_000, [e.ExecutionCancelRequested("drawn"), e.ExecutionCancelled()])
ROLLBACK = e.RollbackStarted(2, ("t",), Then.CONTINUE)
ROLLED_BACK = e.ExecutionRolledBack(2, Then.CONTINUE)

HISTORIES: dict[str, tuple[list[Step], int]] = {
    "started": ([], 5_000),
    "stood": ([(1_000, [e.TimeLimitStopped()]), (4_000, [e.TimeLimitResumed()])], 8_000),
    "restarted after it ended while its time stood still": (
        [(1_000, [e.TimeLimitStopped()]), ENDED_WHILE_STANDING, (20_000, [e.ExecutionRestarted(("t",))])],
        25_000,
    ),
    "restarted after its time had passed": (
        [
            (5_000, [e.ExecutionTimeoutReached(LIMIT_MS), e.ExecutionTimedOut()]),
            (20_000, [e.ExecutionRestarted(("t",))]),
        ],
        25_000,
    ),
    "restarted after a longer limit was given": (
        [
            (1_000, [e.ExecutionPaused(), e.TimeLimitStopped()]),
            (2_000, [e.ExecutionResumed("q", 60_000), e.TimeLimitResumed()]),
            ENDED_WHILE_STANDING,
            (20_000, [e.ExecutionRestarted(("t",))]),
        ],
        25_000,
    ),
    "rolled back while its time stood still": (
        [(1_000, [e.TimeLimitStopped()]), (3_000, [ROLLBACK]), (7_000, [ROLLED_BACK])],
        12_000,
    ),
    "stood again after a restart": (
        [
            (1_000, [e.TimeLimitStopped()]),
            ENDED_WHILE_STANDING,
            (20_000, [e.ExecutionRestarted(("t",))]),
            (21_000, [e.TimeLimitStopped()]),
            (24_000, [e.TimeLimitResumed()]),
        ],
        28_000,
    ),
}


def _history(steps: Sequence[Step]) -> list[Commit[Any]]:
    commits: list[Commit[Any]] = []
    version = 1
    for after_ms, events in steps:
        commits.append(Commit(version, BEGIN_MS + after_ms, 1, (Decision("q", tuple(events)),)))
        version += len(events)
    return commits


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("early_ms", [0, EARLY_MS, EARLY_MS + 1])
def test_limit_is_judged_by_the_clock_that_the_scheduler_keeps(name: str, early_ms: int) -> None:
    """An end in time is no finding, one that came too early is, and the scheduler says the same."""
    steps, due_ms = HISTORIES[name]
    at_ms = due_ms - early_ms
    reached: Step = (at_ms, [e.ExecutionTimeoutReached(LIMIT_MS)])
    state = apply(FOLDS[EXECUTION], SCHEDULER.initial("e"), _history([ACCEPTED, *steps]))
    is_due = has_passed(state, BEGIN_MS + at_ms)
    assert is_due is (early_ms <= EARLY_MS)
    findings = list(pauses(LOG, _history([ACCEPTED, *steps, reached])))
    assert len(findings) == (0 if is_due else 1), findings


def test_limit_that_stands_still_ends_nothing() -> None:
    """However much time has passed since a restart, an end while the limit stands still is a finding."""
    stopped: Step = (21_000, [e.TimeLimitStopped()])
    again: Step = (20_000, [e.ExecutionRestarted(("t",))])
    reached: Step = (90_000, [e.ExecutionTimeoutReached(LIMIT_MS)])
    findings = list(pauses(LOG, _history([ACCEPTED, ENDED_WHILE_STANDING, again, stopped, reached])))
    assert len(findings) == 1
