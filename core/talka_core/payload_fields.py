"""The fields that payloads of the built-in executors have, so that a misspelt one is refused in time."""

from __future__ import annotations

from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Workflow

FIELDS: dict[str, tuple[str, ...]] = {
    "command": ("argv", "shell", "env", "cwd", "stdin", "check", "observe"),
    "http": ("url", "method", "headers", "params", "json", "body", "timeout_s", "expected_status"),
    "python": ("call", "arguments", "isolation"),
    "sleep": ("seconds", "result"),
}
"""By agent type. The structs that the executors read are these; a test compares them."""


def check_fields(workflow: Workflow) -> Workflow:
    """Return the workflow if no payload has a field that its executor would refuse.

    Of other executors nothing is known.

    Raises:
        WorkflowInvalidError: code ``bad_payload``; the path leads to the field.
    """
    for position, task in enumerate(workflow.tasks):
        known = FIELDS.get(task.agent_type)
        unknown = [name for name in task.payload if name not in known] if known else []
        if known and unknown:
            raise WorkflowInvalidError(
                f"Task {task.id!r}: The payload of a {task.agent_type} task has no field {unknown[0]!r}.",
                hint=did_you_mean(unknown[0], known, label="Fields"),
                code="bad_payload",
                path=("tasks", position, "payload", unknown[0]),
            )
    return workflow
