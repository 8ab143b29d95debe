"""The fields that the payloads of the built-in executors have, so that a slip of the pen is refused before anything starts."""

from __future__ import annotations

from typing import Any

from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError

FIELDS: dict[str, tuple[str, ...]] = {
    "command": ("argv", "shell", "env", "cwd", "stdin", "check", "observe"),
    "http": ("url", "method", "headers", "params", "json", "body", "timeout_s", "expected_status"),
    "python": ("call", "arguments", "isolation"),
    "sleep": ("seconds", "result"),
}
"""By agent type. The structs that the executors read are these; a test compares them."""


def check_fields(agent_type: str, payload: dict[str, Any]) -> None:
    """Refuse a field that the executor would refuse; of other executors nothing is known.

    Raises:
        WorkflowInvalidError: code ``bad_payload``; the path leads into the payload.
    """
    known = FIELDS.get(agent_type)
    for name in payload if known else ():
        if known and name not in known:
            raise WorkflowInvalidError(
                f"The payload of a {agent_type} task has no field {name!r}.",
                hint=did_you_mean(name, known, label="Fields"),
                code="bad_payload",
                path=(name,),
            )
