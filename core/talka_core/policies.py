"""Checks what the tasks of a definition ask for besides the graph: how they are retried, and fall back."""

from __future__ import annotations

from talka_core.limits import (
    RETRIES,
    SECONDS,
    SECONDS_MAX,
    Bound,
    Path,
    check_agent_type,
    check_number,
    check_optional,
    check_payload,
)
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action, RetryPolicy
from talka_protocols.workflow import Task, Workflow

PATTERNS_MAX = 100
PATTERN_LENGTH_MAX = 200

_PAUSE = Bound(0, SECONDS_MAX)
_FACTOR = Bound(1, 1_000)
_SHARE = Bound(0, 1)


def check_policies(workflow: Workflow) -> None:
    """Refuse policies that are out of range or that contradict themselves; types have been checked.

    Raises:
        WorkflowInvalidError: With the code ``bad_number`` or ``bad_pattern``, and the place.
    """
    for position, task in enumerate(workflow.tasks):
        if task.retry != _PLAIN:
            _check_retry(task, ("tasks", position, "retry"))
        if task.fallback is not None:
            check_action(task.fallback, ("tasks", position, "fallback"), f"The fallback of task {task.id!r}")


def check_action(action: Action, path: Path, what: str) -> None:
    """Refuse something that is to run in a task's name if it could not run as a task."""
    check_agent_type(action.agent_type, (*path, "agent_type"), f"{what}: ")
    check_payload(action.payload, (*path, "payload"), f"{what}: its payload")
    check_optional(action.timeout_seconds, SECONDS, (*path, "timeout_seconds"), f"{what}: ")
    check_number(action.retries, RETRIES, (*path, "retries"), f"{what}: ")


_PLAIN = RetryPolicy()


def _check_retry(task: Task, path: Path) -> None:
    policy, whose = task.retry, f"Task {task.id!r}: "
    check_number(policy.base_seconds, _PAUSE, (*path, "base_seconds"), whose)
    check_number(policy.max_seconds, _PAUSE, (*path, "max_seconds"), whose)
    check_number(policy.factor, _FACTOR, (*path, "factor"), whose)
    check_number(policy.jitter, _SHARE, (*path, "jitter"), whose)
    if policy.base_seconds > policy.max_seconds:
        raise WorkflowInvalidError(
            f"{whose}retry.base_seconds is {policy.base_seconds:g}, above its max_seconds"
            f" of {policy.max_seconds:g}.",
            hint="Raise max_seconds, or begin with a shorter pause.",
            code="bad_number",
            path=(*path, "base_seconds"),
        )
    for name, patterns in (("only", policy.only), ("never", policy.never)):
        _check_patterns(patterns, (*path, name), f"{whose}retry.{name}")


def _check_patterns(patterns: tuple[str, ...], path: Path, what: str) -> None:
    if len(patterns) > PATTERNS_MAX:
        raise WorkflowInvalidError(
            f"{what} has {len(patterns)} patterns, above the limit of {PATTERNS_MAX}.",
            hint="Use '*' for what they have in common.",
            code="bad_pattern",
            path=path,
        )
    for index, pattern in enumerate(patterns):
        if not pattern.strip() or len(pattern) > PATTERN_LENGTH_MAX:
            raise WorkflowInvalidError(
                f"{what} holds {pattern[:60]!r}, which matches no error.",
                hint="Write an error's code (task_timeout), an exception's type (ValueError), or 'http_5*'.",
                code="bad_pattern",
                path=(*path, index),
            )
