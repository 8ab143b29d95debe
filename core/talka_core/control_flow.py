"""Checks what a definition says about its control flow: joins, conditions, maps and loops."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from talka_core import conditions
from talka_core.conditions import ITERATION, LOOP, RESULT
from talka_core.dataflow import loop_references_of
from talka_core.limits import SECONDS_MAX, TASKS_MAX, Bound, Path, check_number, check_payload
from talka_core.scheduler.waiting import WAITING_TYPES
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import LOOP_ITERATIONS_MAX, Join, Loop, MapOver
from talka_protocols.workflow import Task, Workflow

_ITEM = re.compile(r"(.+)\[\d+\]\Z", re.DOTALL)
_WHOLE = re.compile(r"\s*\$\{[^${}]+\}\s*\Z")
_COUNT = Bound(1, TASKS_MAX, is_whole=True)
_ITERATIONS = Bound(1, LOOP_ITERATIONS_MAX, is_whole=True)
_DELAY = Bound(0, SECONDS_MAX)
_LOOP_VARIABLES = (ITERATION, RESULT)
_TOLERATED = Bound(0, TASKS_MAX, is_whole=True)


def check(workflow: Workflow) -> None:
    """Refuse control flow that could never work; the dependencies are complete.

    Raises:
        WorkflowInvalidError: With the code ``bad_join``, ``bad_condition``, ``bad_number``,
            ``bad_loop``, ``duplicate_id``, ``map_not_a_list``, ``map_too_many`` or ``unknown_output``.
    """
    ids = {task.id: position for position, task in enumerate(workflow.tasks)}
    taken: dict[str, list[str]] = {}
    for task_id in ids:
        if task_id.endswith("]") and (item := _ITEM.match(task_id)):
            taken.setdefault(item[1], []).append(task_id)
    needs = Counter(edge.to_task for edge in workflow.dependencies)
    for position, task in enumerate(workflow.tasks):
        if task.join is not Join.ALL:
            _check_join(task, needs[task.id], ("tasks", position, "join"))
        if task.when:
            _check_when(task, ids, ("tasks", position, "when"))
        if task.map is not None:
            _check_map(task.id, task.map, workflow.constraints.max_tasks, ("tasks", position, "map"))
            _check_items(task.id, taken.get(task.id, ()), ids)
        if task.loop is not None:
            _check_loop(task, task.loop, ("tasks", position, "loop"))


def _check_join(task: Task, needed: int, path: Path) -> None:
    shown = str(task.join)
    if not needed:
        problem = f"joins with {shown!r}, but depends on nothing"
        hint = "Remove the join, or name what it depends on."
    elif isinstance(task.join, Join) or 1 <= task.join <= needed:
        return
    else:
        problem = f"asks for {shown} successes, and depends on {needed} tasks"
        hint = f"Ask for 1 to {needed}."
    raise WorkflowInvalidError(f"Task {task.id!r} {problem}.", hint=hint, code="bad_join", path=path)


def _check_when(task: Task, ids: Mapping[str, int], path: Path) -> None:
    try:
        condition = conditions.parse(task.when, ids)
        conditions.check(task.when, condition.variables, ids)
    except WorkflowInvalidError as error:
        raise _uncompiled(task, task.when, error, path) from None


def _check_loop(task: Task, loop: Loop, path: Path) -> None:
    whose = f"Task {task.id!r}: loop."
    check_number(loop.max_iterations, _ITERATIONS, (*path, "max_iterations"), whose)
    check_number(loop.delay_seconds, _DELAY, (*path, "delay_seconds"), whose)
    if task.agent_type in WAITING_TYPES:
        raise WorkflowInvalidError(
            f"Task {task.id!r} is of type {task.agent_type!r}, which cannot loop.",
            hint="Loop over a task that a worker runs.",
            code="bad_loop",
            path=path,
        )
    try:
        conditions.check(loop.until, _LOOP_VARIABLES)
    except WorkflowInvalidError as error:
        raise _uncompiled(task, loop.until, error, (*path, "until")) from None
    for reference in loop_references_of(task):
        if reference.text != f"{LOOP}.{ITERATION}" and reference.text.split(".")[1:2] != [RESULT]:
            raise WorkflowInvalidError(
                f"Task {task.id!r} refers to ${{{reference.text}}}, which a loop does not have.",
                hint=f"It has ${{{LOOP}.{RESULT}}} and ${{{LOOP}.{ITERATION}}}.",
                code="unknown_output",
                path=(*path[:2], "payload"),
            )


def _uncompiled(task: Task, expression: str, error: WorkflowInvalidError, path: Path) -> WorkflowInvalidError:
    return WorkflowInvalidError(
        f"The condition {expression[:200]!r} of task {task.id!r} does not compile: {error.message}",
        hint=error.hint,
        code=error.code,
        path=path,
    )


def _check_map(task_id: str, rule: MapOver, max_tasks: int, path: Path) -> None:
    whose = f"Task {task_id!r}: map."
    check_number(rule.max_items, _COUNT, (*path, "max_items"), whose)
    check_number(rule.tolerated_failures, _TOLERATED, (*path, "tolerated_failures"), whose)
    if rule.max_parallel is not None:
        check_number(rule.max_parallel, _COUNT, (*path, "max_parallel"), whose)
    check_payload({"over": rule.over}, (*path, "over"), f"The list that task {task_id!r} maps over")
    over: object = rule.over
    if isinstance(over, list):
        items = len(cast("list[object]", over))
        _check_length(task_id, items, min(rule.max_items, max_tasks), (*path, "over"))
    elif not (isinstance(over, str) and _WHOLE.match(over)):
        raise WorkflowInvalidError(
            f"Task {task_id!r} maps over {str(over)[:60]!r}, which is neither a list nor one reference.",
            hint="Write a list, or a reference such as ${split.parts}.",
            code="map_not_a_list",
            path=(*path, "over"),
        )


def _check_length(task_id: str, items: int, most: int, path: Path) -> None:
    if items > most:
        raise WorkflowInvalidError(
            f"Task {task_id!r} maps over {items:,} items, above the limit of {most:,}.",
            hint="Raise max_items and --max-tasks, or map over larger parts.",
            code="map_too_many",
            path=path,
        )


def _check_items(map_id: str, taken: Sequence[str], ids: Mapping[str, int]) -> None:
    for task_id in taken:
        raise WorkflowInvalidError(
            f"Task {task_id!r} has an id that an item of the map {map_id!r} gets.",
            hint="Choose another id for one of the two.",
            code="duplicate_id",
            path=("tasks", ids[task_id], "id"),
        )
