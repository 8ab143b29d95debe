"""Reads JSON with the standard library, and refuses with their place what it would drop or not survive."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from talka_core.limits import DEPTH_MAX
from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats.places import place_at

JSON_DEPTH_MAX = DEPTH_MAX + 8

VALUES_MAX = 4_000_000
"""How many values a definition has at most; a body of 32 MiB could have four times as many."""

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}\[\]]|[^\s,:{}\[\]"]+', re.DOTALL)
"""Keys with their colons, other strings, brackets, and words such as numbers."""
_CONSTANTS = ("NaN", "Infinity", "-Infinity")


class NotJsonError(WorkflowInvalidError):
    """The text is no JSON at all, so that it may be something else."""


def read_json(text: str, *, file: str | None = None) -> Any:
    """Return what ``text`` holds as dicts, lists and scalars.

    Raises:
        NotJsonError: It is no JSON; with the place.
        WorkflowInvalidError: It repeats a key, holds a number that JSON does
            not have, has too many values, or is nested too deeply for the reader; with the place.
    """
    # A value begins a list or an object, or stands behind a comma: counting them is quick, reading is not.
    if sum(map(text.count, ",[{")) > VALUES_MAX:
        raise WorkflowInvalidError(
            f"The file has more than {VALUES_MAX:,} values.",
            hint="Keep large values in files of their own.",
            code="too_many_values",
            file=file,
        )
    try:
        return json.loads(text, object_pairs_hook=_table, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise NotJsonError(
            f"This is not JSON: {error.msg}.",
            hint="Check the commas, brackets and quotes here and just before.",
            code="not_json",
            file=file,
            line=error.lineno,
            column=error.colno,
        ) from None
    except RecursionError:
        message = f"The file is nested deeper than {JSON_DEPTH_MAX} levels."
        raise _refused(text, _too_deep(text), message, "Flatten it.", "too_deep", file) from None
    except _RepeatedKeyError:
        mark = _repeated(text)
        message = f"The key {_key(mark)!r} is here twice."
        raise _refused(text, mark, message, "Remove one of them.", "duplicate_key", file) from None
    except _ConstantError as error:
        message = f"It holds {error}, which is not JSON."
        raise _refused(text, _constant(text), message, "Write a number or null.", "not_json", file) from None
    except ValueError as error:
        message = f"A number is out of range: {error}."
        raise _refused(text, _long_number(text), message, "Write it as text.", "not_json", file) from None


class _RepeatedKeyError(ValueError):
    """JSON of which the standard library would drop a value."""


class _ConstantError(ValueError):
    """A number that JSON does not have."""


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise _RepeatedKeyError
    return table


def _no_constant(name: str) -> Any:
    raise _ConstantError(name)


def _refused(
    text: str, mark: re.Match[str], message: str, hint: str, code: str, file: str | None
) -> WorkflowInvalidError:
    line, column = place_at(text, mark.start())
    return WorkflowInvalidError(message, hint=hint, code=code, file=file, line=line, column=column)


def _too_deep(text: str) -> re.Match[str]:
    """Return the bracket that goes deeper than any may."""
    depth = 0
    for mark in _MARKS.finditer(text):
        if mark[0] in ("{", "["):
            depth += 1
            if depth > JSON_DEPTH_MAX:
                return mark
        elif mark[0] in ("}", "]"):
            depth -= 1
    raise AssertionError("the reader ran out of stack, so the text is deep")


def _constant(text: str) -> re.Match[str]:
    """Return the word that begins with a constant: it is read before what comes right behind it is seen."""
    return next(mark for mark in _MARKS.finditer(text) if mark[0].startswith(_CONSTANTS))


def _long_number(text: str) -> re.Match[str]:
    """Return the number that has more digits than Python reads."""
    most = sys.get_int_max_str_digits()
    words = (mark for mark in _MARKS.finditer(text) if mark[0][0] in "-0123456789")
    return next(mark for mark in words if len(mark[0]) > most)


def _repeated(text: str) -> re.Match[str]:
    """Return the first key that its object had before."""
    objects: list[set[str]] = []
    for mark in _MARKS.finditer(text):
        if mark[0] in ("{", "["):
            objects.append(set())
        elif mark[0] in ("}", "]"):
            objects.pop()
        elif mark[0][-1] == ":":
            if _key(mark) in objects[-1]:
                return mark
            objects[-1].add(_key(mark))
    raise AssertionError("the reader saw a key twice")


def _key(mark: re.Match[str]) -> str:
    key: str = json.loads(mark[0][:-1])
    return key
