"""Places: the line and column of something in a file, looked up by path when an error needs it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import yaml
from yaml import events

Steps = Sequence[str | int]
"""Keys and indexes that lead from the document to a value."""

_SPACE = re.compile(r"[ \t\r\n]*")


def place_at(text: str, position: int) -> tuple[int, int]:
    """Return the line and column, from 1, of the character at ``position``."""
    line_start = text.rfind("\n", 0, position) + 1
    return text.count("\n", 0, position) + 1, position - line_start + 1


def find_in_json(text: str, path: Steps, *, at_key: bool = False) -> tuple[int, int]:
    """Return line and column of the deepest part of ``path`` that exists in valid JSON ``text``.

    Siblings are skipped by the C decoder, so that this is quick in large files.

    Args:
        text: The file.
        path: Keys and indexes from its beginning.
        at_key: Point at the last key instead of at its value.
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
    return place_at(text, position)


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


class _Frame:
    """An open list or mapping; ``step`` is the key or index of its next value, None before a key."""

    __slots__ = ("is_list", "is_on_path", "step")

    def __init__(self, event: events.NodeEvent, *, is_on_path: bool) -> None:
        self.is_list = isinstance(event, events.SequenceStartEvent)
        self.step: str | int | None = 0 if self.is_list else None
        self.is_on_path = is_on_path

    def advance(self) -> None:
        """Go on to the next value of a list, or the next key of a mapping."""
        self.step = self.step + 1 if isinstance(self.step, int) else None


def find_in_yaml(text: str, path: Steps, *, at_key: bool = False) -> tuple[int, int]:
    """Return line and column of the deepest part of ``path`` that exists in YAML that ``read_yaml`` accepts.

    It reads no further than to there. See ``find_in_json`` for the arguments.
    """
    place = (1, 1)
    frames: list[_Frame] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, events.CollectionEndEvent):
            if frames.pop().is_on_path:
                break
        elif isinstance(event, events.NodeEvent):
            frame = frames[-1] if frames else None
            if frame is not None and frame.step is None and isinstance(event, events.ScalarEvent):
                frame.step = event.value
                if at_key and frame.is_on_path and len(frames) == len(path) and event.value == path[-1]:
                    return start_of(event)
                continue
            is_next = frame is None or (frame.is_on_path and frame.step == path[len(frames) - 1])
            if is_next:
                place = start_of(event)
            is_open = isinstance(event, events.CollectionStartEvent)
            if is_next and (len(frames) == len(path) or not is_open):
                break
            if frame is not None:
                frame.advance()
            if is_open:
                frames.append(_Frame(event, is_on_path=is_next))
    return place


def start_of(event: events.Event) -> tuple[int, int]:
    """Return the line and column, from 1, at which an event of the parser begins."""
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1
