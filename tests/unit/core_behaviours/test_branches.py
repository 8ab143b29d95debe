"""Goal: a task runs only if its condition holds, and what is left out is no fault.

Method: small graphs run through the closed model; its checks hold after every event.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_protocols.messages import Outcome, Recipient, StartTask
from talka_protocols.policies import Join, OnFailure
from talka_protocols.states import ExecutionState, TaskStatus
from talka_protocols.workflow import ClaimCheck, Dependency, Task, Workflow

S = TaskStatus


def _task(id_: str, **options: Any) -> Task:
    return Task(id_, AGENT_TYPE, **options)


def _begun(*tasks: Task, edges: tuple[tuple[str, str], ...] = ()) -> Model:
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", tasks, tuple(Dependency(*edge) for edge in edges)))
    model.deliver_all()
    return model


def _end(
    model: Model, task_id: str, result: Any = None, outcome: Outcome = Outcome.SUCCEEDED, **more: Any
) -> None:
    run = next(run for run in model.running if run[2] == task_id)
    model.begin(run)
    model.end(run, outcome, Raw(msgspec.json.encode(result)), **more)
    model.deliver_all()


def _state(model: Model) -> Any:
    return model.players[Recipient.SCHEDULER, "e"].state


def _statuses(model: Model) -> dict[str, TaskStatus]:
    return {task_id: record.status for task_id, record in _state(model).tasks.items()}


IF_ELSE = (
    _task("test"),
    _task("yes", when="test.ok"),
    _task("no", when="!test.ok"),
    _task("after_no", dependencies=("no",)),
    _task("merge", dependencies=("yes", "after_no"), join=Join.ANY),
)


@pytest.mark.parametrize(("ok", "left_out"), [(True, {"no", "after_no"}), (False, {"yes"})])
def test_if_and_else_meet_again(ok: bool, left_out: set[str]) -> None:
    """One branch runs, the other is skipped with all behind it, and the merge runs: a success."""
    model = _begun(*IF_ELSE)
    _end(model, "test", {"ok": ok})
    model.finish()
    assert {t for t, status in _statuses(model).items() if status is S.SKIPPED} == left_out
    assert _statuses(model)["merge"] is S.SUCCEEDED
    assert _state(model).status is ExecutionState.SUCCEEDED


def test_what_is_left_out_names_itself_and_its_condition() -> None:
    """Whoever asks why a task was skipped finds the condition, also on what stands behind it."""
    model = _begun(*IF_ELSE)
    _end(model, "test", {"ok": True})
    skipped = {t: (r.because, r.condition) for t, r in _state(model).tasks.items() if r.status is S.SKIPPED}
    assert skipped == {"no": ("no", "!test.ok"), "after_no": ("no", "!test.ok")}


def test_merge_behind_two_empty_branches_is_left_out() -> None:
    """If no branch runs, a merge on any is skipped too, and that is no fault."""
    branches = (_task("a", when="test.n == 1"), _task("b", when="test.n == 2"))
    model = _begun(_task("test"), *branches, _task("end", dependencies=("a", "b"), join=Join.ANY))
    _end(model, "test", {"n": 3})
    model.finish()
    assert set(_statuses(model).values()) == {S.SUCCEEDED, S.SKIPPED}
    assert _state(model).status is ExecutionState.SUCCEEDED


@pytest.mark.parametrize(("outcome", "runs"), [(Outcome.FAILED, True), (Outcome.SUCCEEDED, False)])
def test_condition_over_how_a_task_ended(outcome: Outcome, runs: bool) -> None:
    """A task that joins when all are done may run only because another failed."""
    when = 'tasks["work"].status == "failed" && tasks["work"].error == "unknown"'
    model = _begun(_task("work"), _task("repair", when=when, join=Join.DONE))
    _end(model, "work", outcome=outcome)
    model.finish()
    assert _statuses(model)["repair"] is (S.SUCCEEDED if runs else S.SKIPPED)


def test_condition_without_an_answer_fails_the_task() -> None:
    """The failure holds the expression and the values, and what needs the task is skipped."""
    model = _begun(_task("test"), _task("a", when="test.n > 1"), _task("b", dependencies=("a",)))
    _end(model, "test", {"n": "two"})
    model.finish()
    error = _state(model).tasks["a"].error
    assert error.code == "condition_failed"
    assert "'test.n > 1'" in error.message
    assert 'test.n = "two"' in error.message
    assert _statuses(model) == {"test": S.SUCCEEDED, "a": S.FAILED, "b": S.SKIPPED}
    assert _state(model).status is ExecutionState.FAILED


def test_condition_that_failed_may_be_tolerated() -> None:
    """With ``on_failure: continue`` the rest goes on behind it."""
    gate = _task("a", when="test.n > 1", on_failure=OnFailure.CONTINUE)
    model = _begun(_task("test"), gate, _task("b", dependencies=("a",)))
    _end(model, "test", None)
    model.finish()
    assert _statuses(model)["b"] is S.SUCCEEDED
    assert _state(model).status is ExecutionState.PARTIAL


def test_large_result_is_looked_into_where_its_worker_reported_it() -> None:
    """The worker is told the paths that conditions look at, and their values decide."""
    model = _begun(_task("test"), _task("a", when="test.head.n == 1 && has(test.head.n)"))
    sent = [message for _, message in model.archive if isinstance(message, StartTask)]
    assert sent[0].extract == {"test.head.n": ("head", "n")}
    claim = ClaimCheck("blob", 10**6, "0" * 64)
    _end(model, "test", claim=claim, extracts={"test.head.n": Raw(b"1")})
    model.finish()
    assert _statuses(model)["a"] is S.SUCCEEDED


def test_large_result_that_was_not_reported_is_a_clear_failure() -> None:
    """What is too large to look into is never taken for false."""
    model = _begun(_task("test"), _task("a", when="has(test.rows)"))
    _end(model, "test", claim=ClaimCheck("blob", 10**6, "0" * 64))
    model.finish()
    assert "too large to look into" in _state(model).tasks["a"].error.message


def test_condition_is_judged_again_after_a_commit_was_cut_short() -> None:
    """A scheduler that dies before the branches were judged leaves that to its successor."""
    model = _begun(*IF_ELSE)
    run = next(iter(model.running))
    model.begin(run)
    model.end(run, Outcome.SUCCEEDED, Raw(b'{"ok": true}'))
    index = next(i for i, (to, _) in enumerate(model.soup) if to is Recipient.SCHEDULER)
    model.deliver(index, cut=1)
    model.finish()
    assert _statuses(model)["no"] is S.SKIPPED
    assert _state(model).status is ExecutionState.SUCCEEDED
