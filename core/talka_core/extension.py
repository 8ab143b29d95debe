"""Whether a running graph may grow as one of its tasks asks: cycles, ids, references, limits."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from talka_core import validation
from talka_core.outputs import OUTPUTS
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Dependency, Extension, Task, Workflow

EXISTING = "existing"
"""The agent type of a task that is part of the graph already, where nothing depends on what it really is."""


def outline(task: Task) -> Task:
    """Return what additions need to know of a task that is part of the graph already."""
    has_known_fields = task.map is None and bool(OUTPUTS.get(task.agent_type))
    return Task(task.id, task.agent_type if has_known_fields else EXISTING, writes=task.writes)


def judge(graph: Workflow, pending: Collection[str], extension: Extension) -> tuple[Dependency, ...]:
    """Return the dependencies that the extension brings, the detected ones included.

    Args:
        graph: Outlines of the tasks that it may touch, and the dependencies among them.
        pending: Those tasks of the graph that have not started.
        extension: What is to be added.

    Raises:
        WorkflowInvalidError: It cannot be added; the graph would have a cycle,
            for instance, or a task that has started would get a new dependency.
    """
    grown = replace(
        graph,
        tasks=(*graph.tasks, *extension.tasks),
        dependencies=(*graph.dependencies, *extension.dependencies),
    )
    known = {(edge.from_task, edge.to_task) for edge in graph.dependencies}
    added = {task.id for task in extension.tasks}
    found = tuple(
        edge for edge in validation.check(grown).dependencies if (edge.from_task, edge.to_task) not in known
    )
    for edge in found:
        if edge.to_task not in added and edge.to_task not in pending:
            raise WorkflowInvalidError(
                f"Task {edge.to_task!r} has started, so it cannot wait for {edge.from_task!r} any more.",
                hint="Add dependencies only to tasks that wait for the one that adds them.",
                code="task_has_started",
            )
    return found
