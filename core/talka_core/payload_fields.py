"""The fields that payloads of the built-in executors have, so that a misspelt one is refused in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Workflow

FIELDS: dict[str, tuple[str, ...]] = {
    "command": ("argv", "shell", "env", "cwd", "stdin", "check", "observe"),
    "http": ("url", "method", "headers", "params", "json", "body", "timeout_s", "expected_status"),
    "nats": ("server", "subject", "json", "body", "headers", "expects", "timeout_s"),
    "python": ("call", "arguments", "isolation"),
    "sleep": ("seconds", "result"),
}
"""By agent type. The structs that the executors read are these; a test compares them."""
NEEDED: dict[str, tuple[str, ...]] = {
    "command": ("argv", "shell"),
    "http": ("url",),
    "nats": ("subject",),
    "python": ("call",),
    "sleep": ("seconds",),
}
"""The fields of which a payload must have one, by agent type."""

Place = tuple[str | int, ...]


def check_fields(workflow: Workflow, place: Place = ()) -> Workflow:
    """Return the workflow if no payload in it has a field that its executor would refuse, or lacks one.

    Fallbacks, compensations and sub-workflows count, too. Of other executors nothing is known.

    Raises:
        WorkflowInvalidError: code ``bad_payload``; the path leads to the field, behind ``place``.
    """
    for position, task in enumerate(workflow.tasks):
        here = (*place, "tasks", position)
        _check(task.agent_type, task.payload, f"Task {task.id!r}", here)
        for name, action in (("fallback", task.fallback), ("compensation", task.compensation)):
            if action is not None:
                _check(action.agent_type, action.payload, f"The {name} of task {task.id!r}", (*here, name))
        if task.workflow is not None:
            check_fields(task.workflow, (*here, "workflow"))
    return workflow


def _check(agent_type: str, payload: Mapping[str, Any], whose: str, place: Place) -> None:
    known = FIELDS.get(agent_type)
    unknown = [name for name in payload if name not in known] if known else []
    if known and unknown:
        raise WorkflowInvalidError(
            f"{whose}: The payload of a {agent_type} task has no field {unknown[0]!r}.",
            hint=did_you_mean(unknown[0], known, label="Fields"),
            code="bad_payload",
            path=(*place, "payload", unknown[0]),
        )
    needed = NEEDED.get(agent_type, ())
    if needed and payload.keys().isdisjoint(needed):
        raise WorkflowInvalidError(
            f"{whose}: The payload of a {agent_type} task lacks {' or '.join(map(repr, needed))}.",
            hint=f"Add '{needed[0]}: ...' to its payload.",
            code="bad_payload",
            path=(*place, "payload") if payload else place,
        )
