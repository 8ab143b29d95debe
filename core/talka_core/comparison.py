"""What two executions have in common and where they part: events, definitions, results, and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from talka_core.scheduler.state import ExecutionRecord, TaskRecord
from talka_protocols.events import ExecutionEvent
from talka_protocols.workflow import Task

_NOT_SAID = frozenset(
    {"finished_at", "started_at", "due_at", "rank", "worker_id", "incarnation", "request_id", "workflow"}
    | {"definition", "fence", "pool_version", "hands", "hands_until", "allocation_id", "to_task"}
)
"""Fields that differ between any two runs, or that are compared elsewhere."""

_OF_RESOURCES = ("Allocation", "HandOn", "Permit")
"""How events begin that say who holds what, and not what was done."""


class Parting(Struct, frozen=True):
    """The first events that differ; a side that has ended has version 0."""

    first_version: int
    first_event: dict[str, Any] | None
    second_version: int
    second_event: dict[str, Any] | None


class Spent(Struct, frozen=True):
    """Where one task's time went in both executions, in seconds; None where it never ran."""

    task_id: str
    first_waited_s: float | None
    second_waited_s: float | None
    first_ran_s: float | None
    second_ran_s: float | None


class Comparison(Struct, frozen=True):
    """How two executions differ; ``changed`` tasks have another definition, ``results`` another outcome."""

    parting: Parting | None
    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
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
    return Comparison(
        _parting(first_events, second_events),
        tuple(task_id for task_id in ours if task_id not in theirs),
        tuple(task_id for task_id in theirs if task_id not in ours),
        {task_id: fields for task_id, fields in changed.items() if fields},
        tuple(t for t in both if _outcome(first.tasks[t]) != _outcome(second.tasks[t])),
        tuple(_spent(t, first.tasks[t], second.tasks[t]) for t in both),
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


def _outcome(record: TaskRecord) -> tuple[Any, ...]:
    digest = record.claim.sha256 if record.claim else bytes(record.result)
    return record.status, digest, record.error.code if record.error else ""


def _spent(task_id: str, first: TaskRecord, second: TaskRecord) -> Spent:
    return Spent(task_id, _waited(first), _waited(second), _ran(first), _ran(second))


def _waited(record: TaskRecord) -> float | None:
    return (record.started_at - record.ready_at) / 1000 if record.started_at and record.ready_at else None


def _ran(record: TaskRecord) -> float | None:
    is_over = record.started_at and record.finished_at
    return (record.finished_at - record.started_at) / 1000 if is_over else None
