"""Goal: no world stands still because those outside have stopped coming."""

from __future__ import annotations

from talka_chaos.interference import relief
from talka_core.history import FOLDS, apply
from talka_protocols import events as e
from talka_protocols.commit import Commit, Decision
from talka_protocols.messages import AnswerApproval
from talka_protocols.subjects import EXECUTION
from talka_protocols.workflow import Task, Workflow


def test_who_waits_when_nobody_comes_any_more_is_answered() -> None:
    """As long as people come by themselves they are left to it."""
    workflow = Workflow("x", "x", (Task("a", "approval", payload={"question": "Go on?"}),))
    waiting = e.TaskWaiting("a", 1, "approval")
    history = (e.ExecutionAccepted(workflow), e.ExecutionStarted(), e.TaskReady("a", ()), waiting)
    fold = FOLDS[EXECUTION]
    state = apply(fold, fold.initial("x"), [Commit(1, 0, 0, (Decision("", history),))])
    assert list(relief(state, is_late=False)) == []
    assert list(relief(state, is_late=True)) == [AnswerApproval("x", "a", "approve")]
