"""Goal: a snapshot holds everything: reading it back gives the same state."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from talka_core.behaviour import step
from talka_core.history import FOLDS, packed, unpacked
from talka_core.scheduler import SCHEDULER
from talka_protocols import messages as m
from talka_protocols.messages import Outcome
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Task, Workflow


@pytest.mark.parametrize("result", [b"null", b"7", b'{"a":[1,2]}', b'"text"'])
def test_results_survive_a_snapshot(result: bytes) -> None:
    """An execution with results of any shape is read back from its snapshot as it was."""
    state = SCHEDULER.initial("e")
    script: list[Any] = [
        m.StartExecution("e", Workflow("w", "w", (Task("a", "work"),))),
        m.GrantAllocation("e", "a", 1, "e/a/1", "w1", 1),
        m.AttemptFinished("e", "a", 1, "w1", 1_000, 2_000, Outcome.SUCCEEDED, Raw(result)),
    ]
    for message in script:
        step(SCHEDULER, state, message, 1_000)
    fold = FOLDS[EXECUTION]
    again = unpacked(fold, packed(fold, state))
    fold.restore(again)
    assert packed(fold, again) == packed(fold, state)
    assert bytes(again.tasks["a"].result) == result
