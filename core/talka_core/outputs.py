"""The fields that each built-in agent type's result is known to have."""

from __future__ import annotations

OUTPUTS: dict[str, frozenset[str] | None] = {
    "command": frozenset({"exit_code", "stdout", "stderr", "truncated"}),
    "http": frozenset({"status", "headers", "body", "json", "truncated"}),
    "nats": frozenset({"headers", "body", "json", "truncated", "stream", "seq", "duplicate"}),
    "approval": frozenset({"choice", "by", "comment", "is_default"}),
    "wait": frozenset(),
    "workflow": None,
    "sleep": None,
    "python": None,
}
"""By agent type; None, like a type that is not listed, means that any field may be there."""
