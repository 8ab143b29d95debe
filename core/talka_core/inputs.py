"""Inputs of sub-workflows: ``${input.NAME}`` in a payload of theirs stands for a value of the parent's.

A value that is put in is never read as a reference again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from msgspec import UNSET
from msgspec.structs import replace

from talka_core.references import as_text, escape, mentions
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action
from talka_protocols.workflow import Task, Workflow

INPUT = re.compile(r"(\$?)\$\{\s*input\.([^${}]*?)\s*\}")


def bind(workflow: Workflow, given: Mapping[str, Any]) -> Workflow:
    """Return the sub-workflow with every input put in.

    Raises:
        WorkflowInvalidError: an input is missing or unknown.
    """
    check_names(workflow.inputs, given)
    values = {**workflow.inputs, **given}
    tasks = tuple(_bound_task(task, values) for task in workflow.tasks)
    return replace(workflow, tasks=tasks, inputs={})


def check_names(declared: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse inputs that a sub-workflow does not declare, and the lack of those without a default.

    Raises:
        WorkflowInvalidError: code ``unknown_input`` or ``missing_input``.
    """
    for name in given:
        if name not in declared:
            hint = did_you_mean(name, declared, label="Inputs") or "It takes no inputs."
            raise _error(f"The sub-workflow declares no input {name!r}.", hint, "unknown_input", (name,))
    for name, default in declared.items():
        if default is None and name not in given:
            raise _error(
                f"The input {name!r} of the sub-workflow has no default and was not given.",
                f"Add '{name}: ...' to its inputs.",
                "missing_input",
            )


def check_bound(workflow: Workflow) -> Workflow:
    """Return the workflow unless it still takes inputs: only a task can give them.

    Raises:
        WorkflowInvalidError: code ``missing_input``.
    """
    if workflow.inputs:
        raise _error(
            f"The workflow {workflow.name!r} takes inputs: {', '.join(workflow.inputs)}.",
            "Put them in with talka_core.inputs.bind, or let a task of type workflow run it.",
            "missing_input",
        )
    return workflow


def input_of(text: str) -> str | None:
    """Return the name of the input that a reference's text stands for, or None."""
    return text.removeprefix("input.") if text.startswith("input.") else None


def _bound_task(task: Task, values: Mapping[str, Any]) -> Task:
    changes: dict[str, Any] = {"payload": _bound(task.payload, values)}
    for name in ("fallback", "compensation"):
        action: Action | None = getattr(task, name)
        if action is not None:
            changes[name] = replace(action, payload=_bound(action.payload, values))
    if task.map is not None:
        changes["map"] = replace(task.map, over=_bound(task.map.over, values))
    return replace(task, **changes)


def _bound(node: Any, values: Mapping[str, Any]) -> Any:
    if not mentions(node):
        return node
    if isinstance(node, str):
        return _bound_text(node, values)
    if isinstance(node, dict):
        return {key: _bound(value, values) for key, value in cast("dict[str, Any]", node).items()}
    return [_bound(value, values) for value in cast("list[Any]", node)]


def _bound_text(text: str, values: Mapping[str, Any]) -> Any:
    def value_of(match: re.Match[str]) -> Any:
        # What is escaped, or no input of ours, is read once more when the task starts.
        value = UNSET if match[1] else values.get(match[2], UNSET)
        return match[0] if value is UNSET else escape(value)

    whole = INPUT.fullmatch(text)
    return value_of(whole) if whole else INPUT.sub(lambda match: as_text(value_of(match)), text)


def _error(message: str, hint: str, code: str, path: tuple[str | int, ...] = ()) -> WorkflowInvalidError:
    return WorkflowInvalidError(message, hint=hint, code=code, path=path)
