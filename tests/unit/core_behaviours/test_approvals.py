"""Goal: a person's answer ends the task that asked, once, and a deadline does so in their place.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.validation import check
from talka_protocols import events as e
from talka_protocols.commit import decode_commit
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import AnswerApproval, Recipient
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Task, Workflow

QUESTION = {"question": "Plant the beans?"}


def _begun(payload: dict[str, Any]) -> Model:
    tasks = (Task("ask", "approval", payload=payload), Task("plant", AGENT_TYPE, dependencies=("ask",)))
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", tasks)))
    while model.soup:
        model.deliver(0)
    return model


def _answer(model: Model, choice: str, *, task_id: str = "ask", cut: int | None = None) -> None:
    message = AnswerApproval("e", task_id, choice, "Ada", "as ever")
    model.tell(Recipient.SCHEDULER, message, cut)


def _task(model: Model, task_id: str = "ask") -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state.tasks[task_id]


def _events(model: Model, kind: type) -> list[Any]:
    player = model.players[Recipient.SCHEDULER, "e"]
    commits = [decode_commit(player.name, body) for body in player.commits]
    return [event for c in commits for _, _, event in c.events() if isinstance(event, kind)]


@pytest.mark.parametrize("cut", [None, 1, 2])
def test_approval_is_the_result(cut: int | None) -> None:
    """Who chose what and why is recorded, wherever the commit is cut."""
    model = _begun(QUESTION)
    _answer(model, "approve", cut=cut)
    model.finish()
    assert msgspec.json.decode(_task(model).result) == {
        "choice": "approve",
        "by": "Ada",
        "comment": "as ever",
        "is_default": False,
    }
    assert _task(model, "plant").status is TaskStatus.SUCCEEDED


@pytest.mark.parametrize("cut", [None, 1])
def test_rejection_fails_the_task(cut: int | None) -> None:
    """What needs it is skipped, and the error says who rejected it and why."""
    model = _begun(QUESTION)
    _answer(model, "reject", cut=cut)
    model.finish()
    error = _task(model).error
    assert (error.code, error.message) == ("approval_rejected", "It was rejected by Ada: as ever")
    assert _task(model, "plant").status is TaskStatus.SKIPPED


def test_choices_of_ones_own_are_just_returned() -> None:
    """Only the two default choices mean yes and no."""
    model = _begun({**QUESTION, "choices": ["beans", "reject"]})
    _answer(model, "reject")
    assert msgspec.json.decode(_task(model).result)["choice"] == "reject"


def test_question_shows_what_was_found_out() -> None:
    """References in the question are resolved when the task begins to wait."""
    tasks = (
        Task("first", "approval", payload={**QUESTION, "choices": ["beans", "corn"]}),
        Task("ask", "approval", payload={"question": "Really ${first.choice}?", "assignees": ["Bo"]}),
    )
    model = Model({"w1": 8.0})
    model.submit(check(Workflow("e", "e", tasks)))
    while model.soup:
        model.deliver(0)
    _answer(model, "corn", task_id="first")
    asked = msgspec.json.decode(_task(model).asked)
    assert asked == {"question": "Really corn?", "choices": ["approve", "reject"], "assignees": ["Bo"]}


def test_second_and_impossible_answers_are_refused_by_an_event() -> None:
    """The first answer stands; each refusal says why."""
    model = _begun(QUESTION)
    _answer(model, "perhaps")
    _answer(model, "approve", task_id="nobody")
    _answer(model, "approve", task_id="plant")
    _answer(model, "approve")
    _answer(model, "reject")
    codes = [refusal.code for refusal in _events(model, e.RequestRefused)]
    assert codes == ["unknown_choice", "unknown_task", "not_waiting", "not_waiting"]
    assert len(_events(model, e.ApprovalAnswered)) == 1
    assert _task(model).status is TaskStatus.SUCCEEDED


def _deadline(model: Model) -> tuple[Recipient, str, str]:
    return next(timer for timer in model.timers if timer[2].startswith("wait/"))


@pytest.mark.parametrize(
    ("default", "status"),
    [(None, TaskStatus.TIMED_OUT), ("approve", TaskStatus.SUCCEEDED), ("reject", TaskStatus.FAILED)],
)
def test_deadline_answers_with_the_default(default: str | None, status: TaskStatus) -> None:
    """Without one the task has timed out; with one it ends as if somebody had given it."""
    payload = {**QUESTION, "timeout_seconds": 60} | ({"default": default} if default else {})
    model = _begun(payload)
    model.fire(_deadline(model))
    assert _task(model).status is status
    assert [answer.is_default for answer in _events(model, e.ApprovalAnswered)] == [True] * bool(default)


def test_answer_after_the_deadline_is_refused_although_its_timer_is_late() -> None:
    """An answer that comes too late never counts: the task ends by its deadline first."""
    model = _begun({**QUESTION, "timeout_seconds": 60})
    model.now_ms = model.timers[_deadline(model)] + 1
    _answer(model, "approve")
    assert _task(model).status is TaskStatus.TIMED_OUT
    assert [refusal.code for refusal in _events(model, e.RequestRefused)] == ["not_waiting"]
    model.finish()


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({}, ()),
        ({"question": " "}, ("question",)),
        ({**QUESTION, "choices": []}, ("choices",)),
        ({**QUESTION, "choices": ["a", "a"]}, ("choices",)),
        ({**QUESTION, "choices": "yes"}, ("choices",)),
        ({**QUESTION, "default": "aprove"}, ("default",)),
        ({**QUESTION, "timeout_seconds": -1}, ("timeout_seconds",)),
        ({**QUESTION, "deadline": 5}, ("deadline",)),
    ],
)
def test_bad_payload_is_refused_before_anything_is_stored(payload: Any, place: tuple[str, ...]) -> None:
    """The place leads into the payload."""
    with pytest.raises(WorkflowInvalidError) as refused:
        check(Workflow("e", "e", (Task("ask", "approval", payload=payload),)))
    assert refused.value.path == ("tasks", 0, "payload", *place)
