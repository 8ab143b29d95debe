"""A map: one task becomes a task for each item of a list, and waits for them.

The items are tasks like all others, so retries, time-outs and lost workers
are theirs; the map holds nothing and ends with the last of them. Items beyond
``max_parallel`` join the graph only when an earlier one has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from talka_core.references import UnresolvedReferenceError, bind, rename
from talka_core.scheduler.index import MAP
from talka_core.scheduler.inputs import resolved
from talka_core.scheduler.state import ExecutionRecord
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import TaskFailed, TaskFailure, TasksAdded, TaskSucceeded, TaskWaiting
from talka_protocols.policies import Join, MapOver, OnFailure
from talka_protocols.states import FINAL_TASK_STATUSES, TaskStatus
from talka_protocols.workflow import INLINE_BYTES_MAX, Task

ADDED_TASKS_MAX = 100
ADDED_BYTES_MAX = 128 * 1024
"""Bounds of one ``TasksAdded``, so that a commit is never too large."""
SHOWN_MAX = 3


def begun(state: ExecutionRecord, task_id: str, now_ms: int) -> TaskWaiting | TaskFailed:
    """Let a ready map wait for its items, or fail if there are none to be had."""
    attempt = state.tasks[task_id].attempt + 1
    try:
        items = _items(state, task_id)
        _check_count(state, task_id, len(items))
        for index in range(len(items)):
            _item(state, task_id, items, index)
    except (UnresolvedReferenceError, WorkflowInvalidError) as error:
        return TaskFailed(task_id, attempt, now_ms, TaskFailure(error.code, str(error)))
    return TaskWaiting(task_id, attempt, MAP, data=Raw(msgspec.json.encode(len(items))))


def next_items(state: ExecutionRecord, map_id: str) -> Sequence[Task]:
    """Return the items that may begin now and are no tasks yet."""
    progress, limit = state.maps[map_id], _rule(state, map_id).max_parallel
    if state.tasks[map_id].status is not TaskStatus.WAITING or is_lost(state, map_id):
        return ()
    most = progress.items if limit is None else min(progress.items, progress.ended + limit)
    if progress.added >= most:
        return ()
    items = _items(state, map_id)
    return [_item(state, map_id, items, index) for index in _missing(state, map_id, most - progress.added)]


def _missing(state: ExecutionRecord, map_id: str, count: int) -> Iterator[int]:
    """Yield the first items that are no tasks yet.

    Where a map keeps items of an earlier run, those that it lacks may stand anywhere.
    """
    progress, known = state.maps[map_id], state.tasks
    first = progress.added if progress.taken_in_order else 0
    indices = range(first, progress.items)
    return islice((index for index in indices if item_id(map_id, index) not in known), count)


def item_id(map_id: str, index: int) -> str:
    """Name the task of one item."""
    return f"{map_id}[{index}]"


def ordered(state: ExecutionRecord, map_id: str) -> list[str]:
    """Return the items that are tasks, as they stand in the list."""
    ids = (item_id(map_id, index) for index in range(state.maps[map_id].items))
    return [id_ for id_ in ids if id_ in state.tasks]


def added(map_id: str, tasks: Sequence[Task]) -> Iterator[TasksAdded]:
    """Yield the tasks as additions, none of which is too large for a commit."""
    part: list[Task] = []
    size = 0
    for task in tasks:
        task_bytes = len(msgspec.json.encode(task))
        if part and (len(part) == ADDED_TASKS_MAX or size + task_bytes > ADDED_BYTES_MAX):
            yield TasksAdded(tuple(part), by=map_id, reason=MAP)
            part, size = [], 0
        part.append(task)
        size += task_bytes
    if part:
        yield TasksAdded(tuple(part), by=map_id, reason=MAP)


def is_lost(state: ExecutionRecord, map_id: str) -> bool:
    """Tell whether the map cannot succeed any more, or was ended from outside."""
    is_over = state.tasks[map_id].status in FINAL_TASK_STATUSES
    is_done = state.tasks[map_id].status is TaskStatus.SUCCEEDED
    return not is_done and (is_over or state.maps[map_id].failed > _rule(state, map_id).tolerated_failures)


def ended(state: ExecutionRecord, map_id: str, now_ms: int) -> Iterator[TaskSucceeded | TaskFailed]:
    """End a map whose items have all ended."""
    progress, record = state.maps[map_id], state.tasks[map_id]
    is_failed = is_lost(state, map_id)
    awaited = progress.added if is_failed else progress.items
    if record.status is not TaskStatus.WAITING or progress.ended < awaited:
        return
    if is_failed:
        yield TaskFailed(map_id, record.attempt, now_ms, _failure(state, map_id))
    else:
        yield TaskSucceeded(map_id, record.attempt, now_ms, _result(state, map_id))


def _rule(state: ExecutionRecord, map_id: str) -> MapOver:
    rule = state.index.tasks[map_id].map
    assert rule is not None, "only maps have items"
    return rule


def _items(state: ExecutionRecord, map_id: str) -> list[Any]:
    """Return what is mapped over, the same whenever it is asked for.

    Raises:
        UnresolvedReferenceError: A result does not hold it, or is too large to be looked into.
        WorkflowInvalidError: It is no list.
    """
    rule = _rule(state, map_id)
    items: list[Any] | str = resolved(state, map_id, rule.over)
    if not isinstance(items, list):
        raise WorkflowInvalidError(
            f"Task {map_id!r} maps over {rule.over!r}, which is of type {type(items).__name__} and no list.",
            hint="Refer to a list, such as ${split.parts}.",
            code="map_not_a_list",
        )
    return items


def _check_count(state: ExecutionRecord, map_id: str, count: int) -> None:
    assert state.workflow is not None, "only what was accepted runs"
    most = _rule(state, map_id).max_items
    promised = sum(progress.items - progress.added for progress in state.maps.values())
    room = state.workflow.constraints.max_tasks - len(state.tasks) - promised
    if count > most or count - len(state.index.items.get(map_id, ())) > room:
        limit = f"max_items is {most:,}" if most < room else f"the execution's max_tasks leaves {room:,}"
        raise WorkflowInvalidError(
            f"Task {map_id!r} maps over {count:,} items, and {limit}.",
            hint="Raise that limit, or map over larger parts.",
            code="map_too_many",
        )


def _payload(state: ExecutionRecord, map_id: str, items: list[Any], index: int) -> dict[str, Any]:
    values = {"item": items[index], "index": index}
    try:
        payload: dict[str, Any] = bind(state.index.tasks[map_id].payload, values)
    except UnresolvedReferenceError as error:
        raise UnresolvedReferenceError(
            f"Item {index} of task {map_id!r}: {error.message}", hint=error.hint
        ) from None
    return payload


def _item(state: ExecutionRecord, map_id: str, items: list[Any], index: int) -> Task:
    """Return the task of one item: the map's own definition without what the map has done already."""
    task, own_id = state.index.tasks[map_id], item_id(map_id, index)
    values = {"item": items[index], "index": index}
    fallback, compensation = task.fallback, task.compensation
    if fallback is not None:
        fallback = replace(fallback, payload=bind(fallback.payload, values))
    if compensation is not None:
        # What undoes an item is to see what that returned, and not its map.
        own = rename(compensation.payload, state.tasks, map_id, own_id)
        compensation = replace(compensation, payload=bind(own, values))
    return replace(
        task,
        id=own_id,
        fallback=fallback,
        compensation=compensation,
        payload=_payload(state, map_id, items, index),
        map=None,
        when="",
        join=Join.ALL,
        dependencies=(),
        reads=(),
        writes=(),
        on_failure=OnFailure.SKIP,
        group="",
    )


def _failure(state: ExecutionRecord, map_id: str) -> TaskFailure:
    progress, rule = state.maps[map_id], _rule(state, map_id)
    failed = [item for item in ordered(state, map_id) if state.tasks[item].error is not None]
    shown = "; ".join(f"{item}: {_reason(state, item)}" for item in failed[:SHOWN_MAX])
    more = "; ..." if len(failed) > SHOWN_MAX else ""
    sentence = (
        f"{len(failed)} of {progress.items} items failed, and {rule.tolerated_failures} may. {shown}{more}"
    )
    return TaskFailure("map_failed", sentence)


def _reason(state: ExecutionRecord, item: str) -> str:
    error = state.tasks[item].error
    return error.message[:200] if error else ""


def _result(state: ExecutionRecord, map_id: str) -> Raw:
    """Return the items' results in order; null for one that failed.

    A result that is not inline is named by its task and size, and so are all
    of them where they would be too large together.
    """
    items = ordered(state, map_id)
    records = [state.tasks[item] for item in items]
    inline = sum(len(bytes(record.result)) + 1 for record in records if record.claim is None)
    is_large = inline > INLINE_BYTES_MAX
    parts: list[Any] = []
    for item, record in zip(items, records, strict=True):
        if record.status is not TaskStatus.SUCCEEDED:
            parts.append(None)
        elif record.claim is not None or is_large:
            size = record.claim.bytes if record.claim else len(bytes(record.result))
            parts.append({"task": item, "bytes": size})
        else:
            parts.append(record.result)
    return Raw(msgspec.json.encode(parts))
