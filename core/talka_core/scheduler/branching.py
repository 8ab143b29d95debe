"""Whether a task whose join is met runs at all: its condition over what the others came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from talka_core.conditions import RESULT, TASKS, Condition, ConditionError, Mention, holds
from talka_core.references import UnresolvedReferenceError, extract
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import ExecutionEvent, TaskFailed, TaskFailure, TaskSkipped

SHOWN_MAX = 100
"""Characters of a value that a failure shows."""


def judge(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """End a task whose condition is false or has no answer; yield nothing where it may run."""
    condition = state.index.conditions.get(task_id)
    if condition is None:
        return
    try:
        if not holds(condition.expression, _values(state, condition)):
            yield TaskSkipped(task_id, task_id, condition.expression)
    except ConditionError as error:
        shown = ", ".join(_shown(state, mention) for mention in condition.mentions)
        sentence = f"The condition {condition.expression!r} has no answer: {error}"
        values = f"The values: {shown}." if shown else ""
        failure = TaskFailure(error.code, f"{sentence} {values}".strip())
        yield TaskFailed(task_id, state.tasks[task_id].attempt, now_ms, failure)


def _values(state: ExecutionRecord, condition: Condition) -> dict[str, Any]:
    """Return the variables of a condition; each task is decoded once.

    Raises:
        ConditionError: What it looks at was not kept, because the result is too large.
    """
    wanted: dict[str, list[Mention]] = {}
    for mention in condition.mentions:
        wanted.setdefault(mention.task_id, []).append(mention)
    results = {task_id: _result(state.tasks[task_id], found) for task_id, found in wanted.items()}
    values: dict[str, Any] = {name: results[name] for name in condition.variables if name != TASKS}
    values[TASKS] = {task_id: _described(state.tasks[task_id], result) for task_id, result in results.items()}
    return values


def _described(record: TaskRecord, result: Any) -> dict[str, Any]:
    error = record.error.code if record.error else ""
    return {"status": record.status.value, RESULT: result, "error": error}


def _result(record: TaskRecord, looked_at: list[Mention]) -> Any:
    """Return a task's result; of a large one only what the worker reported because it is looked at."""
    if not record.is_over or all(mention.path is None for mention in looked_at):
        return None
    if record.claim is None:
        return msgspec.json.decode(record.result)
    return excerpt(
        record.extracts, {mention.text: mention.path for mention in looked_at if mention.path is not None}
    )


def excerpt(extracts: Mapping[str, msgspec.Raw], paths: Mapping[str, tuple[str, ...]]) -> Any:
    """Return a large result with nothing in it but the parts at ``paths``.

    Raises:
        ConditionError: A part is not there, or was too large to be reported.
    """
    tree: dict[str, Any] = {}
    whole: set[tuple[str, ...]] = set()
    for text, path in sorted(paths.items(), key=lambda entry: len(entry[1])):
        if text not in extracts or not path:
            raise ConditionError(f"{text} is not in the result, or is too large to look into.")
        if any(path[:length] in whole for length in range(len(path))):
            continue
        whole.add(path)
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = msgspec.json.decode(extracts[text])
    return tree


def _shown(state: ExecutionRecord, mention: Mention) -> str:
    record = state.tasks[mention.task_id]
    if mention.path is None or not record.is_over:
        return f"{mention.task_id} is {record.status.value}"
    if mention.text in record.extracts:
        value = bytes(record.extracts[mention.text])
    elif record.claim is not None:
        return f"{mention.text} is not at hand"
    else:
        try:
            value = msgspec.json.encode(extract(msgspec.json.decode(record.result), mention.path))
        except UnresolvedReferenceError:
            return f"{mention.text} is not there"
    return f"{mention.text} = {value.decode()[:SHOWN_MAX]}"
