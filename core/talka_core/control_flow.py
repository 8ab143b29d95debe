"""Checks what a definition says about its control flow: joins and conditions."""

from __future__ import annotations

from collections import Counter

from talka_core import conditions
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Join
from talka_protocols.workflow import Task, Workflow

Path = tuple[str | int, ...]


def check(workflow: Workflow) -> None:
    """Refuse control flow that could never work; the dependencies are complete.

    Raises:
        WorkflowInvalidError: With the code ``bad_join`` or ``bad_condition``.
    """
    ids = {task.id for task in workflow.tasks}
    needs = Counter(edge.to_task for edge in workflow.dependencies)
    for position, task in enumerate(workflow.tasks):
        if task.join is not Join.ALL:
            _check_join(task, needs[task.id], ("tasks", position, "join"))
        if task.when:
            _check_when(task, ids, ("tasks", position, "when"))


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


def _check_when(task: Task, ids: set[str], path: Path) -> None:
    try:
        condition = conditions.parse(task.when, ids)
        conditions.check(task.when, condition.variables, ids)
    except WorkflowInvalidError as error:
        raise WorkflowInvalidError(
            f"The condition {task.when[:200]!r} of task {task.id!r} does not compile: {error.message}",
            hint=error.hint,
            code=error.code,
            path=path,
        ) from None
