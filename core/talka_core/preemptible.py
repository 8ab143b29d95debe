"""Which tasks may be preemptible: those that a worker runs, each by itself, and that can begin again."""

from __future__ import annotations

from talka_core.payloads import KINDS
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task, Workflow


def check_preemptible(workflow: Workflow) -> None:
    """Refuse preemptible tasks that could never be stopped for others, or must not be.

    Raises:
        WorkflowInvalidError: with the code ``bad_preemptible``, and the place.
    """
    for position, task in enumerate(workflow.tasks):
        if task.is_preemptible and (reason := _misfit(task)):
            raise WorkflowInvalidError(
                f"Task {task.id!r} is preemptible, and {reason}.",
                hint="Leave `preemptible` out.",
                code="bad_preemptible",
                path=("tasks", position, "preemptible"),
            )


def _misfit(task: Task) -> str:
    if task.is_irreversible:
        return "irreversible: an attempt that was stopped could not begin again"
    if task.gang:
        return f"in the gang {task.gang!r}, whose other members are of no use without it"
    if task.agent_type in KINDS:
        return f"no worker runs tasks of type {task.agent_type!r}"
    return ""
