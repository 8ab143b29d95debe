"""Tasks that add tasks: from what an attempt asked for to the graph that has grown.

The task that asks has succeeded only when its extension is settled, so what
needs it waits for that, and the execution cannot be over before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from talka_core import conditions, extension
from talka_core.dataflow import references_of
from talka_core.graph import TaskGraph
from talka_core.scheduler import endings
from talka_core.scheduler.index import EXTENSION
from talka_core.scheduler.state import ExecutionRecord, OpenExtension
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.events import (
    ExecutionEvent,
    ExtensionAccepted,
    ExtensionRefused,
    ExtensionRequested,
    TasksAdded,
    TaskSucceeded,
)
from talka_protocols.messages import AnswerExtension, AttemptFinished, ExtendPlan
from talka_protocols.states import TaskStatus
from talka_protocols.workflow import Dependency, Extension, Task, Workflow, WorkflowConstraints

ADDED_MAX = 100
"""Tasks or dependencies of one ``TasksAdded``."""
QUESTION_BYTES_MAX = 512 * 1024
_ITEM = re.compile(r"(.+)\[\d+\]\Z", re.DOTALL)


def requested(state: ExecutionRecord, message: AttemptFinished, now_ms: int) -> Iterator[ExecutionEvent]:
    """Record what the attempt wants to add, and refuse at once what cannot be."""
    assert message.extension is not None, "only what asks for an extension comes here"
    yield ExtensionRequested(
        message.task_id,
        message.attempt,
        message.finished_at,
        message.extension,
        message.result,
        message.claim,
        message.extracts,
    )
    try:
        _check_room(state, message.extension)
        _check_question(state, message.task_id)
    except WorkflowInvalidError as error:
        yield ExtensionRefused(message.task_id, message.attempt, error.code, str(error))
        yield from settle(state, message.task_id, now_ms)


def answered(state: ExecutionRecord, message: AnswerExtension, now_ms: int) -> Iterator[ExecutionEvent]:
    """Let the graph grow as the planner says, unless it has changed meanwhile so that it cannot."""
    record, asked = state.tasks.get(message.task_id), state.extensions.get(message.task_id)
    if record is None or asked is None or asked.is_settled or record.attempt != message.attempt:
        return
    refusal = message.refusal
    if refusal is not None:
        yield ExtensionRefused(message.task_id, message.attempt, refusal.code, refusal.message)
    else:
        try:
            _check_room(state, asked.extension)
            question = question_of(state, message.task_id)
            found = extension.judge(question.graph, question.pending, asked.extension)
            yield ExtensionAccepted(message.task_id, message.attempt, found)
        except WorkflowInvalidError as error:
            yield ExtensionRefused(message.task_id, message.attempt, error.code, str(error))
    yield from settle(state, message.task_id, now_ms)


def settle(state: ExecutionRecord, task_id: str, now_ms: int) -> Iterator[ExecutionEvent]:
    """Add what was accepted and is not there yet, end the task that asked, and begin what may begin."""
    asked, record = state.extensions[task_id], state.tasks[task_id]
    yield from _added(state, task_id, asked)
    yield TaskSucceeded(
        task_id, record.attempt, asked.finished_at, record.result, record.claim, record.extracts
    )
    yield from endings.follow_up(state, task_id, now_ms)
    yield from endings.begin(state, [t.id for t in asked.extension.tasks if t.id in state.tasks], now_ms)


def settle_all(state: ExecutionRecord, now_ms: int) -> Iterator[ExecutionEvent]:
    """Complete what a commit that was cut short left of settled extensions."""
    for task_id in [task_id for task_id, asked in state.extensions.items() if asked.is_settled]:
        yield from settle(state, task_id, now_ms)


def question_of(state: ExecutionRecord, task_id: str) -> ExtendPlan:
    """Return what the planner is asked about a task's extension, with the graph as it is now."""
    assert state.workflow is not None, "only what was accepted grows"
    asked = state.extensions[task_id].extension
    pending = [t for t, record in state.tasks.items() if record.status is TaskStatus.PENDING]
    wanted = {*pending, *_named(state, asked)}
    graph = Workflow(
        state.workflow.id,
        state.workflow.name,
        tuple(extension.outline(state.index.tasks[t]) for t in state.tasks if t in wanted),
        tuple(Dependency(n, t) for t in pending for n in state.index.predecessors[t] if n in wanted),
        constraints=WorkflowConstraints(max_tasks=max(1, len(wanted) + len(asked.tasks))),
    )
    return ExtendPlan(state.execution_id, task_id, state.tasks[task_id].attempt, asked, graph, tuple(pending))


def _named(state: ExecutionRecord, asked: Extension) -> Iterator[str]:
    """Yield the tasks of the graph that an extension names anywhere."""
    for edge in asked.dependencies:
        yield from (end for end in (edge.from_task, edge.to_task) if end in state.tasks)
    for task in asked.tasks:
        yield from (needed for needed in task.dependencies if needed in state.tasks)
        try:
            found = [reference.task_id for reference in references_of(task, state.tasks)]
            found += [mention.task_id for mention in conditions.parse(task.when, state.tasks).mentions]
        except WorkflowInvalidError:
            continue  # The planner says what is wrong with it.
        yield from (name for name in found if name in state.tasks)


def _check_room(state: ExecutionRecord, asked: Extension) -> None:
    """Refuse ids that are taken, and more tasks than the execution may have.

    Raises:
        WorkflowInvalidError: Code ``duplicate_id`` or ``too_many_tasks``.
    """
    assert state.workflow is not None, "only what was accepted grows"
    for task in asked.tasks:
        item = _ITEM.match(task.id)
        if task.id in state.tasks or (item and item[1] in state.index.tasks):
            raise WorkflowInvalidError(
                f"The graph has a task {task.id!r} already.",
                hint="Make the ids of added tasks from the id of the task that adds them.",
                code="duplicate_id",
            )
    promised = sum(progress.items - progress.added for progress in state.maps.values())
    total, limit = len(state.tasks) + promised + len(asked.tasks), state.workflow.constraints.max_tasks
    if total > limit:
        raise WorkflowInvalidError(
            f"The execution would have {total:,} tasks, above its limit of {limit:,}.",
            hint="Add fewer, or submit the workflow with a higher --max-tasks.",
            code="too_many_tasks",
        )


def _check_question(state: ExecutionRecord, task_id: str) -> None:
    """Refuse what the planner could only be asked in too large a message.

    Raises:
        WorkflowInvalidError: Code ``graph_too_large``.
    """
    size = len(msgspec.json.encode(question_of(state, task_id)))
    if size > QUESTION_BYTES_MAX:
        raise WorkflowInvalidError(
            f"With {len(state.tasks):,} tasks the graph is too large to add to ({size:,} bytes to check).",
            hint="Add a sub-workflow or a map to the definition in place of single tasks.",
            code="graph_too_large",
        )


def _added(state: ExecutionRecord, task_id: str, asked: OpenExtension) -> Iterator[TasksAdded]:
    """Yield what is missing in additions of bounded size: tasks in their order, then what joins them."""
    if not asked.is_accepted:
        return
    tasks = [task for task in _in_order(asked) if task.id not in state.tasks]
    for start in range(0, len(tasks), ADDED_MAX):
        part = tuple(tasks[start : start + ADDED_MAX])
        yield TasksAdded(part, by=task_id, reason=EXTENSION)
    needs = state.index.predecessors
    edges = [edge for edge in asked.dependencies if edge.from_task not in needs[edge.to_task]]
    for start in range(0, len(edges), ADDED_MAX):
        part_of = tuple(edges[start : start + ADDED_MAX])
        yield TasksAdded(dependencies=part_of, by=task_id, reason=EXTENSION)


def _in_order(asked: OpenExtension) -> list[Task]:
    """Return the tasks so that each stands behind those that it refers to."""
    tasks = {task.id: task for task in asked.extension.tasks}
    inner = [(e.from_task, e.to_task) for e in asked.dependencies if {e.from_task, e.to_task} <= tasks.keys()]
    graph = TaskGraph(tasks, inner)
    return [tasks[graph.ids[i]] for level in graph.levels() for i in level]


def refused_in_loop(message: AttemptFinished) -> ExtensionRefused:
    """Refuse what a round of a loop wants to add: the next round would add it again."""
    return ExtensionRefused(
        message.task_id,
        message.attempt,
        "extension_in_loop",
        f"Task {message.task_id!r} is a loop, and a round cannot add tasks.",
    )
