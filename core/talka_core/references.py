"""References: ``${task.field.0}`` inside a payload stands for a part of another task's result.

Rules:

- A reference may stand in any string of the payload, at any depth; keys are never looked at.
- A string that is exactly one reference is replaced by the value itself, of any
  JSON type. Inside a longer string the value becomes text: strings as they
  are, everything else as JSON.
- ``$${`` is an escaped ``${`` and stays text.
- Task ids may hold dots, so a reference means the **longest** task id that it
  starts with; what remains is the path into the result, keys and list
  positions joined by dots. A key that itself holds dots is found too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from talka_core.spelling import did_you_mean
from talka_protocols.errors import CallerError, WorkflowInvalidError

_OPENING = "${"
_encode = msgspec.json.Encoder().encode
_PATTERN = re.compile(r"\$\$\{|\$\{([^${}]*)\}|\$\{")
_WHOLE = re.compile(r"\$\{([^${}]*)\}\Z")


class Reference(Struct, frozen=True):
    """One ``${...}`` of a payload.

    ``text`` is what stands between the braces, without outer spaces;
    ``task_id`` is None when no known task fits; ``path`` leads into the
    result; ``where`` are the keys and indexes of the string in the payload.
    """

    text: str
    task_id: str | None
    path: tuple[str, ...]
    where: tuple[str | int, ...]


class UnresolvedReferenceError(CallerError, ValueError):
    """A result does not hold what a reference names, or its value was not given."""

    code = "unresolved_reference"


def mentions(payload: object) -> bool:
    """Return whether ``payload`` holds a ``${`` anywhere; false means there is nothing to resolve."""
    if isinstance(payload, str):
        return _OPENING in payload
    if isinstance(payload, dict | list | tuple):
        # One pass of the encoder is many times faster than a walk; keys may give a false alarm.
        try:
            return b"${" in _encode(payload)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return True
    return False


def find_references(payload: object, task_ids: Collection[str]) -> tuple[Reference, ...]:
    """Return every reference of ``payload`` in order of appearance, repeats included.

    Args:
        payload: Any JSON value.
        task_ids: The known ids; pass a set or dict, they are looked up often.

    Raises:
        WorkflowInvalidError: A ``${`` is empty or is not closed; ``path`` is
            the place inside the payload.
    """
    found: list[Reference] = []
    if mentions(payload):
        _collect(payload, (), task_ids, found)
    return tuple(found)


def resolve(payload: Any, values: Mapping[str, Any]) -> Any:
    """Return ``payload`` with every reference replaced; the input is left as it is.

    Args:
        payload: Any JSON value.
        values: By the text between the braces (outer spaces removed), what it stands for.

    Raises:
        UnresolvedReferenceError: ``values`` lacks a reference.
    """
    return substitute(payload, lambda text: _value_of(text, values))


def substitute(payload: Any, value_of: Callable[[str], Any]) -> Any:
    """Return ``payload`` with every reference replaced by ``value_of`` its text, escapes undone."""
    if not mentions(payload):
        return payload
    if isinstance(payload, str):
        return _substitute_text(payload, value_of)
    if isinstance(payload, dict):
        return {key: substitute(value, value_of) for key, value in cast("dict[str, Any]", payload).items()}
    return [substitute(value, value_of) for value in cast("list[Any]", payload)]


def bind(payload: Any, values: Mapping[str, Any]) -> Any:
    """Return ``payload`` with the references that begin with one of these names replaced for good.

    What is put in is data: nothing in it is ever taken for a reference. All
    other references stay as they are.

    Raises:
        UnresolvedReferenceError: a value does not hold what is referred to.
    """
    if not mentions(payload):
        return payload
    if isinstance(payload, str):
        return _bind_text(payload, values)
    if isinstance(payload, dict):
        return {key: bind(value, values) for key, value in cast("dict[str, Any]", payload).items()}
    return [bind(value, values) for value in cast("list[Any]", payload)]


def rename(payload: Any, task_ids: Collection[str], task_id: str, other: str) -> Any:
    """Return ``payload`` with what refers to a task referring to another one instead."""
    if not mentions(payload):
        return payload
    if isinstance(payload, dict):
        table = cast("dict[str, Any]", payload)
        return {key: rename(value, task_ids, task_id, other) for key, value in table.items()}
    if not isinstance(payload, str):
        return [rename(value, task_ids, task_id, other) for value in cast("list[Any]", payload)]

    def replacement(match: re.Match[str]) -> str:
        text = (match[1] or "").strip()
        found, _ = split_reference(text, task_ids)
        return f"{_OPENING}{other}{text.removeprefix(task_id)}}}" if found == task_id else match[0]

    return _PATTERN.sub(replacement, payload)


def head_of(text: str) -> str:
    """Return the name that a reference begins with."""
    return text.partition(".")[0]


def extract(result: Any, path: tuple[str, ...]) -> Any:
    """Return the part of ``result`` that ``path`` leads to; an empty path is the whole.

    Raises:
        UnresolvedReferenceError: The result has no such part.
    """
    value, rest, done = result, path, 0
    while rest:
        value, used = _step(value, rest, path[:done])
        rest, done = rest[used:], done + used
    return value


def escape(value: Any) -> Any:
    """Return ``value`` with every ``${`` escaped, so that it is text wherever it is put into a payload."""
    if not mentions(value):
        return value
    if isinstance(value, str):
        return value.replace(_OPENING, "$" + _OPENING)
    if isinstance(value, dict):
        return {key: escape(item) for key, item in cast("dict[str, Any]", value).items()}
    return [escape(item) for item in cast("list[Any]", value)]


def split_reference(text: str, task_ids: Collection[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the longest task id that ``text`` starts with (None if none does), and the path after it."""
    parts = text.split(".")
    for count in range(len(parts), 0, -1):
        candidate = ".".join(parts[:count])
        if candidate in task_ids:
            return candidate, tuple(parts[count:])
    return None, tuple(parts)


def as_text(value: Any) -> str:
    """Return how a value reads inside a longer string: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _collect(
    node: object, where: tuple[str | int, ...], task_ids: Collection[str], found: list[Reference]
) -> None:
    if isinstance(node, str):
        matches = (match for match in _PATTERN.finditer(node) if match[0] != "$${")
        found.extend(_reference(node, match, where, task_ids) for match in matches)
    elif isinstance(node, dict):
        for key, value in cast("dict[str, object]", node).items():
            _collect(value, (*where, key), task_ids, found)
    elif isinstance(node, list | tuple):
        for position, value in enumerate(cast("list[object]", node)):
            _collect(value, (*where, position), task_ids, found)


def _reference(
    node: str, match: re.Match[str], where: tuple[str | int, ...], task_ids: Collection[str]
) -> Reference:
    text = (match[1] or "").strip()
    if not text:
        snippet = node[match.start() : match.start() + 30]
        problem = "is empty" if match[1] is not None else "is not closed by a plain '}'"
        raise WorkflowInvalidError(
            f"The reference that starts at {snippet!r} {problem}.",
            hint="Write ${task.field}; to keep a literal ${, for a shell for instance, write $${.",
            code="bad_reference",
            path=where,
        )
    task_id, path = split_reference(text, task_ids)
    return Reference(text, task_id, path, where)


def _substitute_text(text: str, value_of: Callable[[str], Any]) -> Any:
    whole = _WHOLE.match(text)
    if whole:
        return value_of(whole[1].strip())

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return _OPENING
        return as_text(value_of(match[1].strip())) if match[1] is not None else match[0]

    return _PATTERN.sub(replacement, text)


def _bind_text(text: str, values: Mapping[str, Any]) -> Any:
    def value_of(named: str) -> Any:
        head, *path = named.strip().split(".")
        return escape(extract(values[head], tuple(path)))

    def is_bound(named: str | None) -> bool:
        return named is not None and head_of(named.strip()) in values

    whole = _WHOLE.match(text)
    if whole:
        return value_of(whole[1]) if is_bound(whole[1]) else text

    def replacement(match: re.Match[str]) -> str:
        return as_text(value_of(match[1])) if is_bound(match[1]) else match[0]

    return _PATTERN.sub(replacement, text)


def _value_of(text: str, values: Mapping[str, Any]) -> Any:
    try:
        return values[text]
    except KeyError:
        raise UnresolvedReferenceError(
            f"There is no value for the reference ${{{text}}}.", hint=did_you_mean(text, values)
        ) from None


def _step(value: Any, rest: tuple[str, ...], before: tuple[str, ...]) -> tuple[Any, int]:
    """Return what the first parts of ``rest`` name inside ``value``, and how many parts that took."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        for used in range(1, len(rest) + 1):
            key = ".".join(rest[:used])
            if key in table:
                return table[key], used
        raise _missing(rest[0], before, did_you_mean(rest[0], table, label="It has"))
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        if rest[0].isdecimal() and len(rest[0]) < 10 and int(rest[0]) < len(items):
            return items[int(rest[0])], 1
        raise _missing(rest[0], before, f"It is a list of {len(items)}; positions count from 0.")
    kind = "null" if value is None else type(value).__name__
    raise _missing(rest[0], before, f"It is a value of type {kind}, which has no fields.")


def _missing(part: str, before: tuple[str, ...], hint: str) -> UnresolvedReferenceError:
    place = f"The field {'.'.join(before)!r} of the result" if before else "The result"
    return UnresolvedReferenceError(f"{place} has no {part!r}.", hint=hint)
