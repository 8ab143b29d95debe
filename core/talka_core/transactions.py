"""Checks what undoes a task: a compensation may refer to its task and to what that needed."""

from __future__ import annotations

from collections.abc import Mapping

from talka_core.dataflow import MAP_NAMES
from talka_core.graph import TaskGraph
from talka_core.limits import SECONDS_MAX, Bound, Path, check_number, check_payload
from talka_core.references import find_references, head_of
from talka_core.scheduler.names import UNDO
from talka_core.scheduler.waiting import WAITING_TYPES
from talka_core.secrets import is_secret
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action
from talka_protocols.workflow import Task, Workflow

_RETRIES = Bound(0, 1000, is_whole=True)
_SECONDS = Bound(0, SECONDS_MAX, is_open=True)


def check_transactions(workflow: Workflow, agent_types: frozenset[str] | None) -> None:
    """Refuse compensations that could never run; the workflow's dependencies are complete and acyclic.

    Raises:
        WorkflowInvalidError: With the code ``bad_compensation``, or that of the same fault in a task.
    """
    graph: TaskGraph | None = None
    for position, task in enumerate(workflow.tasks):
        if task.id.startswith(UNDO):
            raise WorkflowInvalidError(
                f"The task id {task.id!r} begins with {UNDO!r}, as those of compensations do.",
                hint="Choose another id.",
                code="bad_id",
                path=("tasks", position, "id"),
            )
        if task.compensation is not None:
            graph = graph or TaskGraph.of(workflow)
            path: Path = ("tasks", position, "compensation")
            _check_action(task, task.compensation, path, agent_types)
            _check_references(task, task.compensation, path, graph)


def _check_action(task: Task, action: Action, path: Path, agent_types: frozenset[str] | None) -> None:
    whose = f"The compensation of task {task.id!r}"
    if task.is_irreversible:
        raise WorkflowInvalidError(
            f"Task {task.id!r} is irreversible and has a compensation.",
            hint="Leave one of the two out.",
            code="bad_compensation",
            path=path,
        )
    if agent_types is not None and action.agent_type not in agent_types | WAITING_TYPES:
        raise WorkflowInvalidError(
            f"{whose} has the agent type {action.agent_type!r}, which no worker offers.",
            hint=did_you_mean(action.agent_type, sorted(agent_types | WAITING_TYPES), label="Offered"),
            code="unknown_agent_type",
            path=(*path, "agent_type"),
        )
    check_number(action.retries, _RETRIES, (*path, "retries"), f"{whose}: ")
    if action.timeout_seconds is not None:
        check_number(action.timeout_seconds, _SECONDS, (*path, "timeout_seconds"), f"{whose}: ")
    check_payload(action.payload, (*path, "payload"), f"The payload of the compensation of task {task.id!r}")


def _check_references(task: Task, action: Action, path: Path, graph: TaskGraph) -> None:
    known: Mapping[str, int] = graph.index
    references = find_references(action.payload, known)
    if not references:
        return
    usable = graph.upstream([task.id]) | {task.id}
    for reference in references:
        if task.map is not None and head_of(reference.text) in MAP_NAMES:
            continue
        if is_secret(reference):
            continue
        if reference.task_id not in usable:
            raise WorkflowInvalidError(
                f"The compensation of task {task.id!r} refers to ${{{reference.text}}},"
                " which is no result of the task itself or of what it needs.",
                hint=did_you_mean(reference.text, sorted(usable), label="It may refer to"),
                code="bad_compensation",
                path=(*path, "payload", *reference.where),
            )
