"""Turns a parsed document into the file's structs, with errors in people's words.

msgspec says ``Expected `int`, got `str` - at `$.tasks[1].retries` ``; here
that becomes a sentence that names the task and the field, and a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, cast, get_args, get_origin

import msgspec
from msgspec import Struct

from talka_core.limits import TASKS_MAX, check_count
from talka_core.spelling import did_you_mean
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Action, Concurrency, Loop, MapOver, Rate, RetryPolicy
from talka_protocols.workflow import ResourceRequirements, Strategy
from talka_services.formats.document import FORMAT_VERSION, DependencyEntry, TaskEntry, WorkflowFile
from talka_services.strategies import is_custom

_NESTED: dict[str, type[Struct]] = {
    "retry": RetryPolicy,
    "fallback": Action,
    "compensation": Action,
    "map": MapOver,
    "loop": Loop,
    "concurrency": Concurrency,
    "rate": Rate,
}
_PATH = re.compile(r"\.([^.\[\]`]+)|\[(\d+)\]")
_MISMATCH = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_BAD_CHOICE = re.compile(r"Invalid enum value (.+?)(?: - at|$)")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "object": "keys with values",
    "array": "a list",
    "bool": "true or false",
    "null": "nothing",
}
_GIVEN = {"float": "a number with decimals"}


def convert(value: Mapping[str, Any]) -> WorkflowFile:
    """Return the document as a struct.

    Raises:
        WorkflowInvalidError: A field is unknown, missing or of the wrong type; with its path.
    """
    value = _with_custom_strategy(value)
    _check_version(value)
    _check_fields(value, WorkflowFile, (), "A workflow")
    tasks = value.get("tasks")
    if isinstance(tasks, list):
        check_count(len(cast("list[object]", tasks)), TASKS_MAX)
        for position, task in enumerate(cast("list[object]", tasks)):
            _check_task(task, position)
    dependencies = value.get("dependencies")
    if isinstance(dependencies, list):
        for position, edge in enumerate(cast("list[object]", dependencies)):
            _check_fields(edge, DependencyEntry, ("dependencies", position), "A dependency")
    try:
        return msgspec.convert(value, WorkflowFile)
    except msgspec.ValidationError as error:
        raise _in_words(str(error), value) from None


def _with_custom_strategy(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document with a strategy that a package brings in a field of its own."""
    name: object = value.get("strategy")
    if not isinstance(name, str) or name in tuple(Strategy) or not is_custom(name):
        return value
    return {key: each for key, each in value.items() if key != "strategy"} | {"custom_strategy": name}


def path_of(place: str) -> tuple[str | int, ...]:
    """Return the keys and indexes of a place as msgspec writes it: ``$.tasks[1].retries``."""
    return tuple(name or int(index) for name, index in _PATH.findall(place))


def _check_version(value: Mapping[str, Any]) -> None:
    version: object = value.get("talka")
    if version is None:
        raise WorkflowInvalidError(
            "This is no Talka workflow: it has no key 'talka'.",
            hint=f"Start it with 'talka: {FORMAT_VERSION}', the version of the format.",
            code="missing_field",
        )
    if not isinstance(version, int) or version is True or version != FORMAT_VERSION:
        raise WorkflowInvalidError(
            f"The version of the format is {version!r}; this Talka reads version {FORMAT_VERSION}.",
            hint=f"Write 'talka: {FORMAT_VERSION}', or use a newer Talka.",
            code="unknown_version",
            path=("talka",),
        )


def _check_task(task: object, position: int) -> None:
    path = ("tasks", position)
    if not isinstance(task, dict):
        return
    entry = cast("dict[str, Any]", task)
    _check_fields(entry, TaskEntry, path, f"Task {entry.get('id', position + 1)!r}")
    _check_fields(
        entry.get("resources"),
        ResourceRequirements,
        (*path, "resources"),
        "The requirements",
        "custom_resources: {...}",
    )
    for name, kind in _NESTED.items():
        _check_fields(entry.get(name), kind, (*path, name), f"The {name} of task {entry.get('id')!r}")


def _check_fields(
    value: object, kind: type[Struct], path: tuple[str | int, ...], what: str, free: str = ""
) -> None:
    """Refuse the first key of ``value`` that ``kind`` does not have; other types are left to msgspec."""
    if not isinstance(value, dict):
        return
    known = kind.__struct_encode_fields__
    for name in cast("dict[str, Any]", value):
        if name not in known:
            hint = did_you_mean(name, known, label="Fields")
            raise WorkflowInvalidError(
                f"{what} has no field {name!r}.",
                hint=f"{hint} Others go under {free}." if free else hint,
                code="unknown_field",
                path=(*path, name),
            )


def _in_words(message: str, value: Mapping[str, Any]) -> WorkflowInvalidError:
    path = path_of(message.partition(" - at `")[2])
    what = _described(path, value)
    missing = _MISSING.search(message)
    if missing:
        return WorkflowInvalidError(
            f"{what} has no {missing[1]!r}.",
            hint=f"Add '{missing[1]}: ...'.",
            code="missing_field",
            path=path,
        )
    mismatch = _MISMATCH.search(message)
    if mismatch:
        hint = _type_hint(mismatch[1], mismatch[2])
        return WorkflowInvalidError(
            f"{what} must be {_spoken(mismatch[1])}, not {_GIVEN.get(mismatch[2], _spoken(mismatch[2]))}.",
            hint=hint,
            code="wrong_type",
            path=path,
        )
    choice = _BAD_CHOICE.search(message)
    if choice:
        return _bad_choice(what, choice[1].strip("'\""), path)
    return WorkflowInvalidError(f"{what}: {message.partition(' - at')[0]}.", code="wrong_type", path=path)


def _bad_choice(what: str, given: str, path: tuple[str | int, ...]) -> WorkflowInvalidError:
    field = next(
        f for f in msgspec.structs.fields(WorkflowFile if len(path) == 1 else TaskEntry) if f.name == path[-1]
    )
    choices = [str(choice) for choice in _choices(field)]
    return WorkflowInvalidError(
        f"{what} is {given!r}, but must be one of {', '.join(choices)}.",
        hint=did_you_mean(given, choices, label="Choices"),
        code="unknown_choice",
        path=path,
    )


def _choices(field: msgspec.structs.FieldInfo) -> Iterable[object]:
    """Return what a field with an enumeration can be, be it optional or not."""
    if isinstance(field.default, StrEnum):
        return type(field.default)
    kinds = get_args(field.type) if get_origin(field.type) is not Annotated else get_args(field.type)[:1]
    inner = [kind for outer in kinds for kind in (get_args(outer) or (outer,))]
    return next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, StrEnum))


def _described(path: tuple[str | int, ...], value: Mapping[str, Any]) -> str:
    """Return what ``path`` names, in words: ``The retries of task 'fetch'``."""
    if not path:
        return "The workflow"
    if path[0] == "tasks" and len(path) > 1:
        task: Any = value["tasks"][path[1]]
        task_id: Any = cast("dict[str, Any]", task).get("id") if isinstance(task, dict) else None
        whose = f"task {task_id!r}" if isinstance(task_id, str) else f"task number {int(path[1]) + 1}"
        inner = ".".join(str(part) for part in path[2:])
        return (
            f"The {inner} of {whose}" if inner else whose.capitalize() if task_id is None else f"T{whose[1:]}"
        )
    return f"The {'.'.join(str(part) for part in path)} of the workflow"


def _type_hint(expected: str, given: str) -> str:
    if expected.startswith("str") and given in {"int", "float", "bool"}:
        return "Put it in quotes."
    if expected.startswith("array") and given == "str":
        return "Put it in brackets: [...]."
    if expected.startswith(("int", "float")) and given == "str":
        return "Remove the quotes and the unit, if it has any."
    return ""


def _spoken(types: str) -> str:
    return " or ".join(
        _WORDS.get(name, name) for name in types.split(" | ") if name != "null" or types == "null"
    )
