"""A loop: a task that runs again until a condition on its own result holds.

Each round is an attempt of its own with fresh retries; between rounds the
task waits as it does before a retry.
"""

from __future__ import annotations

from typing import Any

import msgspec

from talka_core.conditions import ITERATION, RESULT, ConditionError, holds, loop_text, paths_of
from talka_core.scheduler.branching import SHOWN_MAX, excerpt
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.events import TaskCancelled, TaskFailed, TaskFailure, TaskIterated, TaskSucceeded
from talka_protocols.messages import AttemptFinished
from talka_protocols.policies import Loop


def after_round(
    state: ExecutionRecord, message: AttemptFinished, now_ms: int
) -> TaskSucceeded | TaskIterated | TaskFailed | TaskCancelled:
    """Return what a round that succeeded comes to: the end of the loop, or another round."""
    loop, record = state.index.tasks[message.task_id].loop, state.tasks[message.task_id]
    assert loop is not None, "only loops have rounds"
    iteration = record.iteration + 1
    at = (message.task_id, message.attempt, message.finished_at)
    try:
        is_done = holds(loop.until, {RESULT: _result(loop, message), ITERATION: iteration})
    except ConditionError as error:
        sentence = f"The condition {loop.until!r} has no answer: {error} {_shown(message, iteration)}"
        return TaskFailed(*at, TaskFailure(error.code, sentence))
    if is_done:
        return TaskSucceeded(*at, message.result, message.claim, message.extracts)
    if record.is_stopping or state.is_stopping:
        return TaskCancelled(*at, record.because)
    if iteration >= loop.max_iterations:
        sentence = f"{loop.until!r} did not hold within {iteration} rounds. {_shown(message, iteration)}"
        return TaskFailed(*at, TaskFailure("loop_exhausted", sentence))
    due_at = now_ms + round(loop.delay_seconds * 1000)
    return TaskIterated(*at, iteration, due_at, message.result, message.claim, message.extracts)


def _result(loop: Loop, message: AttemptFinished) -> Any:
    """Return what the condition looks at.

    Raises:
        ConditionError: It was not reported, because it is too large.
    """
    if message.claim is None:
        return msgspec.json.decode(message.result)
    paths = paths_of(loop.until, RESULT)
    return excerpt(message.extracts, {loop_text(path): path for path in paths})


def _shown(message: AttemptFinished, iteration: int) -> str:
    value = "not at hand" if message.claim else bytes(message.result).decode()[:SHOWN_MAX]
    return f"The values: result = {value}, iteration = {iteration}."
