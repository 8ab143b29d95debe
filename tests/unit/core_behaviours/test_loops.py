"""Goal: a loop runs its task again until its condition holds, never more often than allowed.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.messages import CancelExecution, Outcome, Recipient, StartTask
from talka_protocols.policies import Join, Loop, MapOver, OnFailure
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck, Task, Workflow

S = TaskStatus


def _loop(until: str = "result.ok", rule: dict[str, Any] | None = None, **options: Any) -> Task:
    return Task("poll", AGENT_TYPE, loop=Loop(until, **(rule or {})), **options)


def _begun(*tasks: Task) -> Model:
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks))
    model.deliver_all()
    return model


def _round(model: Model, result: Any = None, outcome: Outcome = Outcome.SUCCEEDED, **more: Any) -> None:
    """End the attempt that runs, and let the next one begin if there is one."""
    run = next(run for run in model.running if run[2].startswith("poll"))
    model.begin(run)
    model.end(run, outcome, Raw(msgspec.json.encode(result)), **more)
    model.deliver_all()
    for timer in [timer for timer in model.timers if timer[2].startswith("retry/")]:
        model.fire(timer)
        model.deliver_all()


def _end(model: Model, task_id: str) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, Raw(b"1"))
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _record(model: Model) -> Any:
    return _state(model).tasks["poll"]


def _starts(model: Model) -> list[StartTask]:
    starts = {message.attempt: message for _, message in model.archive if isinstance(message, StartTask)}
    return list(starts.values())


def test_runs_until_its_condition_holds() -> None:
    """Three rounds are three attempts, and the last result is the task's."""
    model = _begun(_loop(), Task("after", AGENT_TYPE, payload={"n": "${poll.n}"}))
    for n in (1, 2):
        _round(model, {"ok": False, "n": n})
        assert (_record(model).iteration, _record(model).status) == (n, S.SCHEDULED)
    _round(model, {"ok": True, "n": 3})
    assert _record(model).status is S.SUCCEEDED
    assert (_record(model).attempt, msgspec.json.decode(_record(model).result)) == (3, {"ok": True, "n": 3})
    model.finish()
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_each_round_sees_what_the_last_one_returned() -> None:
    """In the first round there is nothing yet: null, and no round is over."""
    payload = {"seen": "${loop.result}", "cursor": "${loop.result.next}", "round": "${loop.iteration}"}
    model = _begun(_loop("result.next == 9", payload=payload))
    _round(model, {"next": 5})
    first, second = (
        {text: msgspec.json.decode(value) for text, value in start.inputs.items()} for start in _starts(model)
    )
    assert first == {"loop.result": None, "loop.result.next": None, "loop.iteration": 0}
    assert second == {"loop.result": {"next": 5}, "loop.result.next": 5, "loop.iteration": 1}
    _round(model, {"next": 9})
    model.finish()


@pytest.mark.parametrize(
    ("when", "status"),
    [
        ("poll.n == 1", S.FAILED),
        ("poll == null", S.SCHEDULED),
        ('tasks["poll"].status == "succeeded"', S.SKIPPED),
    ],
)
def test_others_see_no_result_before_the_loop_is_over(when: str, status: TaskStatus) -> None:
    """Who joins any may start between two rounds; a condition sees null, as of all that has not succeeded."""
    after = Task("after", AGENT_TYPE, dependencies=("poll", "other"), join=Join.ANY, when=when)
    model = _begun(_loop(), Task("other", AGENT_TYPE), after)
    _round(model, {"ok": False, "n": 1})
    _end(model, "other")
    record = _state(model).tasks["after"]
    assert record.status is status
    if status is S.FAILED:
        assert record.error.message.endswith("The values: poll is scheduled.")
    _round(model, {"ok": True, "n": 2})
    model.finish()


def test_others_take_in_no_result_before_the_loop_is_over() -> None:
    """A reference to all of it is null; one to a part is not there, and the attempt says so."""
    payload = {"all": "${poll}", "part": "${poll.n}"}
    after = Task("after", AGENT_TYPE, dependencies=("poll", "other"), join=Join.ANY, payload=payload)
    model = _begun(_loop(), Task("other", AGENT_TYPE), after)
    _round(model, {"ok": False, "n": 1})
    _end(model, "other")
    sent = (message for _, message in model.archive if isinstance(message, StartTask))
    start = next(start for start in sent if start.task.id == "after")
    assert {text: bytes(value) for text, value in start.inputs.items()} == {"poll": b"null"}
    _round(model, {"ok": True, "n": 2})
    model.finish()


def test_the_bound_fails_the_task() -> None:
    """The failure says what did not hold, and what needs the task sees no earlier round's result."""
    model = _begun(_loop(rule={"max_iterations": 2}, on_failure=OnFailure.CONTINUE))
    _round(model, {"ok": False})
    _round(model, {"ok": False})
    error = _record(model).error
    assert error.code == "loop_exhausted"
    assert error.message == (
        "'result.ok' did not hold within 2 rounds. The values: result = {\"ok\":false}, iteration = 2."
    )
    assert bytes(_record(model).result) == b"null"
    model.finish()
    assert _state(model).status is ExecutionState.PARTIAL


def test_each_round_has_its_own_retries() -> None:
    """A failure in one round leaves the next round all of its retries."""
    model = _begun(_loop("iteration == 2", retries=1))
    for outcome in (Outcome.FAILED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SUCCEEDED):
        _round(model, outcome=outcome)
    assert (_record(model).status, _record(model).attempt) == (S.SUCCEEDED, 4)
    model.finish()


def test_the_last_retry_of_a_round_decides() -> None:
    """A round that fails for good ends the loop."""
    model = _begun(_loop("iteration == 9"))
    _round(model)
    _round(model, outcome=Outcome.FAILED)
    assert _record(model).status is S.FAILED
    assert bytes(_record(model).result) == b"null"
    model.finish()


def test_a_pause_lies_between_rounds() -> None:
    """The next round is due after the delay, by a timer."""
    model = _begun(_loop(rule={"delay_seconds": 30}))
    before = model.now_ms
    run = next(iter(model.running))
    model.end(run, Outcome.SUCCEEDED, Raw(b'{"ok": false}'))
    model.deliver_all()
    assert _record(model).status is S.RETRYING
    assert model.timers[Recipient.SCHEDULER, "e", "retry/poll/1"] == before + 30_000
    _state(model).index.tasks["poll"] = _loop("true")
    model.finish()


def test_condition_without_an_answer_fails_the_task() -> None:
    """It is never taken for another round."""
    model = _begun(_loop("result.n > 1"))
    _round(model, {"n": "many"})
    error = _record(model).error
    assert error.code == "condition_failed"
    assert 'result = {"n":"many"}, iteration = 1' in error.message
    model.finish()


def test_large_result_is_looked_into_where_its_worker_reported_it() -> None:
    """The worker is told the paths that the condition and the payload look at."""
    model = _begun(_loop("result.ok", payload={"rows": "${loop.result.rows}"}))
    assert _starts(model)[0].extract == {"loop.result.ok": ("ok",), "loop.result.rows": ("rows",)}
    claim = ClaimCheck("blob", 10**6, "0" * 64)
    _round(model, claim=claim, extracts={"loop.result.ok": Raw(b"false")})
    assert _starts(model)[1].excerpts["loop.result.rows"].claim == claim
    _round(model, claim=claim, extracts={"loop.result.ok": Raw(b"true")})
    assert (_record(model).status, _record(model).claim) == (S.SUCCEEDED, claim)
    model.finish()


def test_cancelling_ends_a_loop_between_its_rounds() -> None:
    """No further round begins, and nothing of an earlier one is left as the result."""
    model = _begun(_loop())
    run = next(iter(model.running))
    model.end(run, Outcome.SUCCEEDED, Raw(b'{"ok": false}'))
    model.deliver_all()
    model.tell(Recipient.SCHEDULER, CancelExecution("e", ""))
    model.finish()
    assert (_record(model).status, bytes(_record(model).result)) == (S.CANCELLED, b"null")


def test_round_that_returns_while_it_is_stopped_is_the_last() -> None:
    """A loop whose condition does not hold is cancelled, although its round succeeded."""
    model = _begun(_loop())
    run = next(iter(model.running))
    model.begin(run)
    model.deliver_all()
    model.tell(Recipient.SCHEDULER, CancelExecution("e", ""))
    model.running[run] = False
    model.end(run, Outcome.SUCCEEDED, Raw(b'{"ok": false}'))
    model.finish()
    assert _record(model).status is S.CANCELLED


def test_items_of_a_map_loop_each_for_themselves() -> None:
    """A map of loops is a loop for each item."""
    task = Task(
        "poll", AGENT_TYPE, map=MapOver([1, 2]), loop=Loop("iteration == 2"), payload={"n": "${item}"}
    )
    model = _begun(task)
    model.finish()
    assert [_state(model).tasks[f"poll[{i}]"].attempt for i in (0, 1)] == [2, 2]
    assert _state(model).status is ExecutionState.SUCCEEDED


@pytest.mark.parametrize("cut", range(1, 6))
def test_loop_survives_a_crash_at_every_event(cut: int) -> None:
    """However much of the decision that ended a round was stored, the loop goes on."""
    model = _begun(_loop("iteration == 3"))
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED)
    index = next(i for i, (to, _) in enumerate(model.soup) if to is Recipient.SCHEDULER)
    model.deliver(index, cut=cut)
    model.finish()
    assert (_record(model).status, _record(model).attempt) == (S.SUCCEEDED, 3)


@pytest.mark.parametrize(
    ("loop", "code", "place"),
    [
        (Loop("result.ok ="), "bad_condition", ("loop", "until")),
        (Loop(""), "bad_condition", ("loop", "until")),
        (Loop("other.ok"), "bad_condition", ("loop", "until")),
        (Loop("true", max_iterations=0), "bad_number", ("loop", "max_iterations")),
        (Loop("true", max_iterations=10**6), "bad_number", ("loop", "max_iterations")),
        (Loop("true", delay_seconds=-1.0), "bad_number", ("loop", "delay_seconds")),
    ],
)
def test_loops_are_checked_before_anything_runs(loop: Loop, code: str, place: tuple[str, ...]) -> None:
    """The place in the definition is told."""
    with pytest.raises(WorkflowInvalidError) as caught:
        check(Workflow("w", "w", (Task("poll", AGENT_TYPE, loop=loop),)))
    assert (caught.value.code, caught.value.path) == (code, ("tasks", 0, *place))


def test_what_a_loop_does_not_have_is_refused() -> None:
    """Only the last result and the number of rounds can be referred to."""
    with pytest.raises(WorkflowInvalidError, match=r"\$\{loop.result\} and \$\{loop.iteration\}") as caught:
        check(Workflow("w", "w", (_loop(payload={"x": "${loop.count}"}),)))
    assert caught.value.code == "unknown_output"


def test_waits_cannot_loop() -> None:
    """What no worker runs has no result to loop over."""
    task = Task("w", "wait", payload={"seconds": 1}, loop=Loop("true"))
    with pytest.raises(WorkflowInvalidError, match="cannot loop") as caught:
        check(Workflow("w", "w", (task,)))
    assert caught.value.code == "bad_loop"
