"""Goal: a failed task is tried again when its policy says so, after the pause that it says."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.graphs import AGENT_TYPE
from talka_chaos.model import Model
from talka_core.retry import delay_ms, may_retry
from talka_protocols.events import TaskFailure
from talka_protocols.messages import AttemptEnded, AttemptFinished, Outcome, Recipient
from talka_protocols.policies import RetryPolicy
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Task, Workflow

JSON = TaskFailure("task_failed", "", kinds=("json.decoder.JSONDecodeError", "ValueError", "Exception"))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (RetryPolicy(), True),
        (RetryPolicy(only=("ValueError",)), True),
        (RetryPolicy(only=("JSONDecodeError",)), True),
        (RetryPolicy(only=("json.*",)), True),
        (RetryPolicy(only=("KeyError", "task_failed")), True),
        (RetryPolicy(only=("KeyError",)), False),
        (RetryPolicy(only=("Value",)), False),
        (RetryPolicy(never=("ValueError",)), False),
        (RetryPolicy(never=("*Error",)), False),
        (RetryPolicy(only=("ValueError",), never=("JSON*",)), False),
        (RetryPolicy(never=("task_timeout", "http_4*")), True),
    ],
)
def test_which_errors_are_worth_another_attempt(policy: RetryPolicy, expected: bool) -> None:
    """A pattern matches the whole code or a whole class name, also of a base class; ``never`` wins."""
    assert may_retry(policy, JSON) is expected


def test_pauses_grow_to_their_bound() -> None:
    """Without jitter the pauses are exactly base, base times factor and so on up to the largest."""
    policy = RetryPolicy(base_seconds=0.5, factor=3, max_seconds=10, jitter=0)
    assert [delay_ms("e", "t", n, policy) for n in (1, 2, 3, 4, 1000)] == [500, 1500, 4500, 10_000, 10_000]


def test_jitter_shortens_and_is_the_same_every_time() -> None:
    """The jitter takes away at most its share, differs between tasks and not between replays."""
    policy = RetryPolicy(base_seconds=1, jitter=0.25)
    pauses = [delay_ms("e", f"t{i}", 1, policy) for i in range(50)]
    assert pauses == [delay_ms("e", f"t{i}", 1, policy) for i in range(50)]
    assert min(pauses) >= 750
    assert max(pauses) <= 1_000
    assert len(set(pauses)) > 10


def _fail(model: Model, error: TaskFailure, outcome: Outcome = Outcome.FAILED) -> Any:
    """Let the running attempt of task ``a`` fail, and return the task's record."""
    run = next(iter(model.running))
    del model.running[run]
    worker_id, execution_id, task_id, attempt = run
    now = model.now_ms
    report = AttemptFinished(execution_id, task_id, attempt, worker_id, now, now, outcome, error=error)
    model.tell(Recipient.WORKER, AttemptEnded(worker_id, report))
    while model.soup:
        model.deliver(0)
    return model.players[Recipient.SCHEDULER, "e"].state.tasks[task_id]


def _model(policy: RetryPolicy) -> Model:
    model = Model({"w1": 8.0})
    model.submit(Workflow("e", "e", (Task("a", AGENT_TYPE, retries=5, retry=policy),)))
    while model.soup:
        model.deliver(0)
    return model


def test_what_must_not_be_retried_fails_at_once() -> None:
    """An error that the policy excludes ends the task although retries are left, and another does not."""
    model = _model(RetryPolicy(never=("ValueError",), base_seconds=4, jitter=0))
    record = _fail(model, TaskFailure("task_failed", "", kinds=("OSError",)))
    assert (record.status, record.due_at) == (TaskStatus.RETRYING, model.now_ms + 4_000)
    model.fire(next(timer for timer in model.timers if timer[2].startswith("retry/")))
    while model.soup:
        model.deliver(0)
    record = _fail(model, JSON)
    assert (record.status, record.attempt, record.error) == (TaskStatus.FAILED, 2, JSON)
    model.finish()


def test_a_time_out_is_an_error_with_a_code() -> None:
    """Rules about errors hold for an attempt that ran too long, by the code of its failure."""
    error = TaskFailure("task_timeout", "")
    model = _model(RetryPolicy(never=("task_timeout",)))
    assert _fail(model, error, Outcome.TIMED_OUT).status is TaskStatus.TIMED_OUT
    model = _model(RetryPolicy(only=("task_timeout",)))
    assert _fail(model, error, Outcome.TIMED_OUT).status is TaskStatus.RETRYING
    model.finish()
