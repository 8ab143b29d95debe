"""Places: the line and column of everything in a file, looked up by path when an error needs one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_SPACE = re.compile(r"[ \t\r\n]*")


class Place:
    """Where a value starts (line and column from 1), where its keys stand, and its parts' places."""

    __slots__ = ("column", "keys", "line", "parts")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.keys: dict[str, tuple[int, int]] = {}
        self.parts: dict[str | int, Place] = {}

    def find(self, path: Sequence[str | int], *, at_key: bool = False) -> tuple[int, int]:
        """Return the line and column of the deepest part of ``path`` that exists.

        Args:
            path: Keys and indexes from here.
            at_key: Point at the last key instead of at its value.
        """
        place = self
        for depth, step in enumerate(path):
            if at_key and depth == len(path) - 1 and step in place.keys:
                return place.keys[str(step)]
            if step not in place.parts:
                break
            place = place.parts[step]
        return place.line, place.column


def find_in_json(text: str, path: Sequence[str | int], *, at_key: bool = False) -> tuple[int, int]:
    """Return line and column of the deepest part of ``path`` that exists in valid JSON ``text``.

    Siblings are skipped by the C decoder, so that this is quick in large files.
    """
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    for depth, step in enumerate(path):
        entered = _enter(decoder, text, position, step)
        if entered is None:
            break
        key_position, position = entered
        if at_key and depth == len(path) - 1:
            position = key_position
    line_start = text.rfind("\n", 0, position) + 1
    return text.count("\n", 0, position) + 1, position - line_start + 1


def _enter(decoder: json.JSONDecoder, text: str, position: int, step: str | int) -> tuple[int, int] | None:
    """Return the positions of the key (or item) and of the value that ``step`` names, if it is there."""
    opening = text[position]
    if opening not in "{[" or (opening == "{") != isinstance(step, str):
        return None
    position = _skip(text, position + 1)
    count = 0
    while text[position] not in "}]":
        key_position, key = position, count
        if opening == "{":
            name, position = decoder.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)
            if name == step:
                return key_position, position
        elif key == step:
            return position, position
        _, position = decoder.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
        count += 1
    return None


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()
