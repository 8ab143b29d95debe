"""What two executions have in common and where they part: events, definitions, results, and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from talka_core.scheduler.inputs import inputs_of
from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import (
    ExecutionEvent,
    TaskCancelled,
    TaskFailed,
    TaskFellBack,
    TaskIterated,
    TaskRetrying,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from talka_protocols.workflow import Task

_NOT_SAID = frozenset(
    {"finished_at", "started_at", "due_at", "start_by", "limit_ms", "rank", "worker_id", "near"}
    | {"incarnation", "request_id", "signal_id", "child_id", "parent", "workflow", "definition", "fence"}
    | {"pool_version", "hands", "hands_until", "is_shared", "allocation_id", "to_task"}
)
"""Fields that differ between any two runs, or that are compared elsewhere."""

_OF_RESOURCES = ("Allocation", "HandOn", "Permit", "TaskUsage")
"""How events begin that say who holds or used what, and not what was done."""


class Parting(Struct, frozen=True):
    """The first events that differ; a side that has ended has version 0."""

    first_version: int
    first_event: dict[str, Any] | None
    second_version: int
    second_event: dict[str, Any] | None


class Spent(Struct, frozen=True):
    """Where one task's time went in both executions, in seconds; None where it never ran.

    It waited before its last attempt, and ran in all of them.
    """

    task_id: str
    first_waited_s: float | None
    second_waited_s: float | None
    first_ran_s: float | None
    second_ran_s: float | None
    first_attempts: int
    second_attempts: int


class Comparison(Struct, frozen=True):
    """How two executions differ.

    ``changed`` tasks have another definition, by its fields; ``inputs`` got other values, by the
    references that stand for them; ``results`` ended otherwise.
    """

    parting: Parting | None
    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
    inputs: dict[str, tuple[str, ...]]
    results: tuple[str, ...]
    spent: tuple[Spent, ...]


Numbered = Sequence[tuple[int, ExecutionEvent]]


def compare(
    first: ExecutionRecord, second: ExecutionRecord, first_events: Numbered, second_events: Numbered
) -> Comparison:
    """Compare two executions by their states and their numbered events."""
    ours, theirs = first.index.tasks, second.index.tasks
    both = [task_id for task_id in ours if task_id in theirs]
    changed = {task_id: _changes(ours[task_id], theirs[task_id]) for task_id in both}
    inputs = {task_id: _other_inputs(first, second, task_id) for task_id in both}
    ran, other_ran = _ran_ms(first_events), _ran_ms(second_events)
    return Comparison(
        _parting(first_events, second_events),
        tuple(task_id for task_id in ours if task_id not in theirs),
        tuple(task_id for task_id in theirs if task_id not in ours),
        {task_id: fields for task_id, fields in changed.items() if fields},
        {task_id: references for task_id, references in inputs.items() if references},
        tuple(t for t in both if _outcome(first.tasks[t]) != _outcome(second.tasks[t])),
        tuple(_spent(t, first.tasks[t], second.tasks[t], ran, other_ran) for t in both),
    )


_NOTHING: tuple[int, dict[str, Any] | None] = (0, None)


def _parting(first: Numbered, second: Numbered) -> Parting | None:
    for one, other in zip_longest(_said(first), _said(second)):
        if one is None or other is None or one[1] != other[1]:
            (first_version, first_event), (second_version, second_event) = one or _NOTHING, other or _NOTHING
            return Parting(first_version, first_event, second_version, second_event)
    return None


def _said(events: Iterable[tuple[int, ExecutionEvent]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for version, event in events:
        if type(event).__name__.startswith(_OF_RESOURCES):
            continue
        fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
        yield version, {name: value for name, value in fields.items() if name not in _NOT_SAID}


def _changes(first: Task, second: Task) -> tuple[str, ...]:
    return tuple(name for name in Task.__struct_fields__ if getattr(first, name) != getattr(second, name))


def _other_inputs(first: ExecutionRecord, second: ExecutionRecord, task_id: str) -> tuple[str, ...]:
    """Return the references of a task that stood for other values; of one that began in both."""
    if not (first.tasks[task_id].attempt and second.tasks[task_id].attempt):
        return ()
    ours, theirs = _inputs(first, task_id), _inputs(second, task_id)
    return tuple(text for text in {**ours, **theirs} if ours.get(text) != theirs.get(text))


def _inputs(state: ExecutionRecord, task_id: str) -> dict[str, Any]:
    """Return what each reference stands for; of a stored value that is where it lies, by its digest."""
    inputs, excerpts = inputs_of(state, task_id)
    return {text: bytes(value) for text, value in inputs.items()} | excerpts


def _outcome(record: TaskRecord) -> tuple[Any, ...]:
    digest = record.claim.sha256 if record.claim else bytes(record.result)
    return record.status, digest, record.error.code if record.error else ""


def _ran_ms(events: Numbered) -> Counter[str]:
    """Return how long the attempts of each task ran together."""
    began: dict[str, int] = {}
    ran: Counter[str] = Counter()
    for _, event in events:
        if isinstance(event, TaskStarted):
            began[event.task_id] = event.started_at
        elif isinstance(event, _ATTEMPT_ENDS) and event.task_id in began:
            ran[event.task_id] += event.finished_at - began.pop(event.task_id)
    return ran


_ATTEMPT_ENDS = (
    TaskSucceeded,
    TaskFailed,
    TaskTimedOut,
    TaskCancelled,
    TaskRetrying,
    TaskIterated,
    TaskFellBack,
)


def _spent(
    task_id: str, first: TaskRecord, second: TaskRecord, ran: Counter[str], other_ran: Counter[str]
) -> Spent:
    return Spent(
        task_id,
        _waited(first),
        _waited(second),
        _ran(first, ran[task_id]),
        _ran(second, other_ran[task_id]),
        first.attempt,
        second.attempt,
    )


def _waited(record: TaskRecord) -> float | None:
    return (record.started_at - record.ready_at) / 1000 if record.started_at and record.ready_at else None


def _ran(record: TaskRecord, attempts_ms: int) -> float | None:
    """Return how long a task ran; one that waits for something is no attempt that a worker reports."""
    if attempts_ms:
        return attempts_ms / 1000
    is_over = record.started_at and record.finished_at
    return (record.finished_at - record.started_at) / 1000 if is_over else None
