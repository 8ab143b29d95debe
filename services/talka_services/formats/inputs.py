"""Inputs: ``${input.NAME}`` anywhere in a Talka file stands for a value given at the start.

A file declares its inputs with their defaults (null: must be given). A value
from the command line is text; it is read as JSON when that loses nothing
(``5``, ``true``, ``[1, 2]``, but not ``1.10`` or ``007``) and the default is
not text. A value put into a payload is never read as a reference again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from talka_core.inputs import INPUT
from talka_core.limits import DEPTH_MAX
from talka_core.references import as_text, escape, mentions
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError

WITH_REFERENCES = frozenset({"payload", "map", "compensation"})
"""The fields of a task in which references stay, to be read once more when it runs."""
_DEPTH_MAX = DEPTH_MAX + 8
ACTIONS = frozenset({"fallback", "compensation"})
"""Fields of a task that have a payload of their own."""


def parse_inputs(pairs: Iterable[str]) -> dict[str, str]:
    """Return ``K=V`` pairs as a dict.

    Raises:
        WorkflowInvalidError: A pair has no ``=`` or no key, or a key comes twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise _error(
                f"The input {pair!r} is not of the form KEY=VALUE.", "Write --input key=value.", "bad_input"
            )
        if key.strip() in values:
            raise _error(f"The input {key.strip()!r} is given twice.", "Give it once.", "bad_input")
        values[key.strip()] = value
    return values


def bind_inputs(document: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the document of a Talka file with every ``${input.NAME}`` replaced; the original stays as it is.

    Args:
        document: As read, before its fields are checked.
        inputs: Values by name; texts are read as the module says, others are taken as they are.

    Raises:
        WorkflowInvalidError: An input is missing, is not declared, or is used without being declared.
    """
    declared: object = document.get("inputs")
    if declared is not None and not isinstance(declared, dict):
        raise _error(
            "The inputs of the workflow must be keys with values.",
            "Write the default after each name.",
            "wrong_type",
            ("inputs",),
        )
    values = _values(cast("dict[str, Any]", declared or {}), inputs or {})
    bound: dict[str, Any] = {}
    for key, value in document.items():
        if key == "tasks" and isinstance(value, list):
            tasks = cast("list[object]", value)
            bound[key] = [_bind_task(task, values, ("tasks", i)) for i, task in enumerate(tasks)]
        else:
            bound[key] = value if key == "inputs" else _bind(value, values, (key,), is_payload=False)
    return bound


def protect(node: Any) -> Any:
    """Return a part of a document that is no payload, so that binding inputs leaves it as it is now."""
    if not mentions(node):
        return node
    if isinstance(node, str):
        return INPUT.sub(lambda match: "$" + match[0], node)
    if isinstance(node, dict):
        return {key: protect(value) for key, value in cast("dict[str, Any]", node).items()}
    return [protect(value) for value in cast("list[object]", node)]


def _values(declared: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    for name in inputs:
        if name not in declared:
            hint = did_you_mean(name, declared, label="Inputs")
            raise _error(
                f"The workflow declares no input {name!r}.",
                hint or "It takes no inputs.",
                "unknown_input",
                ("inputs",),
            )
    values: dict[str, Any] = {}
    for name, default in declared.items():
        if name in inputs:
            values[name] = _read(inputs[name], default)
        elif default is None:
            raise _error(
                f"The input {name!r} has no default and was not given.",
                f"Give it with --input {name}=VALUE.",
                "missing_input",
                ("inputs", name),
            )
        else:
            values[name] = default
    return values


def _read(given: Any, default: Any) -> Any:
    if not isinstance(given, str) or isinstance(default, str):
        return given
    try:
        value: Any = json.loads(given, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return given
    # Only what reads back the same is a number: 1.10 is a version, 007 an agent.
    is_compound = given.lstrip().startswith(("{", "["))
    return value if is_compound or json.dumps(value) == given.strip() else given


def _no_number(name: str) -> Any:
    """Let NaN and Infinity, which JSON does not have, stay text."""
    raise ValueError(name)


def _bind_task(task: Any, values: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    if not isinstance(task, dict):
        return task
    # A sub-workflow has inputs of its own, which are bound when it begins.
    return {
        key: value
        if key == "workflow"
        else _bind_task(value, values, (*path, key))
        if key in ACTIONS
        else _bind(value, values, (*path, key), is_payload=key in WITH_REFERENCES)
        for key, value in cast("dict[str, Any]", task).items()
    }


def _bind(node: object, values: Mapping[str, Any], path: tuple[str | int, ...], *, is_payload: bool) -> Any:
    if isinstance(node, str):
        return _bind_text(node, values, path, is_payload=is_payload) if "${" in node else node
    if isinstance(node, dict | list) and len(path) > _DEPTH_MAX:
        raise _error(
            f"The file is nested deeper than {_DEPTH_MAX} levels.", "Flatten it.", "too_deep", path[:2]
        )
    if isinstance(node, dict):
        return {
            key: _bind(value, values, (*path, key), is_payload=is_payload)
            for key, value in cast("dict[str, Any]", node).items()
        }
    if isinstance(node, list):
        items = cast("list[object]", node)
        return [_bind(value, values, (*path, i), is_payload=is_payload) for i, value in enumerate(items)]
    return node


def _bind_text(text: str, values: Mapping[str, Any], path: tuple[str | int, ...], *, is_payload: bool) -> Any:
    def value_of(match: re.Match[str]) -> Any:
        if match[1]:
            # An escaped one stays escaped in a payload, because that is read once more when the task starts.
            return match[0] if is_payload else match[0][1:]
        name = match[2]
        if name not in values:
            raise _error(
                f"${{input.{name}}} is used, but the workflow declares no input {name!r}.",
                did_you_mean(name, values, label="Inputs") or f"Add 'inputs: {{{name}: null}}'.",
                "unknown_input",
                path,
            )
        return escape(values[name]) if is_payload else values[name]

    whole = INPUT.fullmatch(text)
    return value_of(whole) if whole else INPUT.sub(lambda match: as_text(value_of(match)), text)


def _error(message: str, hint: str, code: str, path: tuple[str | int, ...] = ()) -> WorkflowInvalidError:
    return WorkflowInvalidError(message, hint=hint, code=code, path=path)
