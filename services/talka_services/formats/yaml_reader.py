"""Reads YAML 1.2 from the events of libyaml's parser, with positions and bounds.

Events instead of a loader because only so are depth, aliases and duplicate
keys refused before anything was built, and because plain words such as ``no``
and ``12:30`` stay text, as YAML 1.2 says and people expect.
"""

from __future__ import annotations

import re
from typing import Any, cast

import yaml
from yaml import events

from talka_core.limits import DEPTH_MAX
from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats.json_reader import VALUES_MAX
from talka_services.formats.places import start_of

YAML_DEPTH_MAX = DEPTH_MAX + 8
ALIASED_VALUES_MAX = 200_000
"""How many values all aliases together may stand for; beyond it a small file could fill the memory."""

_INT = re.compile(r"[-+]?[0-9]{1,300}\Z")
_BASED = re.compile(r"0o[0-7]{1,300}\Z|0x[0-9a-fA-F]{1,300}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL: dict[str, Any] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | {sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
    | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))
)
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null", "map", "seq"))
_MERGE = "<<"


def read_yaml(text: str, *, file: str | None = None) -> Any:
    """Return the one document of ``text`` as dicts, lists and scalars.

    Raises:
        WorkflowInvalidError: It is not YAML, holds several documents, repeats a
            key, or goes beyond the bounds of depth and aliases; with its place.
    """
    return _Reader(file).read(text)


class _Frame:
    """An open list or mapping, with the key that waits for its value."""

    __slots__ = ("anchor", "is_merge", "key", "merged", "start", "value")

    def __init__(self, value: dict[str, Any] | list[Any], anchor: str | None, start: int) -> None:
        self.value = value
        self.anchor = anchor
        self.start = start
        self.key: str | None = None
        self.is_merge = False
        self.merged: list[tuple[Any, events.Event]] = []


class _Reader:
    def __init__(self, file: str | None) -> None:
        self._file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0
        self._aliased = 0
        self._result: Any = None

    def read(self, text: str) -> Any:
        documents = 0
        try:
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                if isinstance(event, events.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self._error("There is a second document.", event, "Keep one workflow a file.")
                elif isinstance(event, events.NodeEvent | events.CollectionEndEvent):
                    self._take(event)
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from None
        return self._result

    def _take(self, event: events.Event) -> None:
        if self._values > VALUES_MAX:
            message = f"The file has more than {VALUES_MAX:,} values."
            raise self._error(message, event, "Keep large values in files of their own.", "too_many_values")
        if isinstance(event, events.CollectionEndEvent):
            self._close()
        elif isinstance(event, events.ScalarEvent):
            self._values += 1
            frame = self._stack[-1] if self._stack else None
            if frame is not None and frame.key is None and isinstance(frame.value, dict):
                self._take_key(frame, frame.value, event)
                return
            value = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            self._add(value, event)
        elif isinstance(event, events.AliasEvent):
            self._add(self._alias(event), event)
        else:
            self._open(cast("events.CollectionStartEvent", event))

    def _open(self, event: events.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _CORE_TAGS:
            raise self._error(f"The tag {event.tag!r} is not supported.", event, "Remove it.")
        if len(self._stack) >= YAML_DEPTH_MAX:
            raise self._error(
                f"The file is nested deeper than {YAML_DEPTH_MAX} levels.", event, "Flatten it.", "too_deep"
            )
        value: dict[str, Any] | list[Any] = [] if isinstance(event, events.SequenceStartEvent) else {}
        self._values += 1
        self._add(value, event)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._stack.append(_Frame(value, event.anchor, self._values))

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.value, dict):
            for merged, event in frame.merged:
                self._merge(frame.value, merged, event)
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, self._values - frame.start + 1)

    def _take_key(self, frame: _Frame, table: dict[str, Any], event: events.ScalarEvent) -> None:
        key = event.value
        if key in table:
            raise self._error(
                f"The key {key!r} is here twice.", event, "Remove one of them.", "duplicate_key"
            )
        if event.anchor:
            self._anchors[event.anchor] = (key, 1)
        frame.key = key
        frame.is_merge = key == _MERGE and event.implicit[0]

    def _add(self, value: Any, event: events.Event) -> None:
        if not self._stack:
            self._result = value
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        if frame.key is None:
            raise self._error("A key is not plain text.", event, "Use a word as the key.")
        key, frame.key = frame.key, None
        if frame.is_merge:
            # A list of mappings is still empty here, so the merge waits for the end of its own mapping.
            frame.merged.append((value, event))
        else:
            frame.value[key] = value

    def _merge(self, table: dict[str, Any], value: Any, event: events.Event) -> None:
        sources = cast("list[object]", value if isinstance(value, list) else [value])
        if not sources or not all(isinstance(source, dict) for source in sources):
            raise self._error("'<<' merges mappings only.", event, "Give it an alias of a mapping.")
        for source in cast("list[dict[str, Any]]", sources):
            for key, item in source.items():
                table.setdefault(key, item)

    def _alias(self, event: events.AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise self._error(
                f"The alias *{event.anchor} names no finished anchor.", event, "Define it above."
            )
        value, size = self._anchors[event.anchor]
        self._values += size
        self._aliased += size
        if self._aliased > ALIASED_VALUES_MAX:
            raise self._error(
                f"The aliases stand for more than {ALIASED_VALUES_MAX:,} values.",
                event,
                "Write the values out, or generate the file.",
                "too_many_aliases",
            )
        return value

    def _scalar(self, event: events.ScalarEvent) -> Any:
        text, tag = event.value, event.tag
        if tag in _STRING_TAGS or (tag is None and not event.implicit[0]):
            return text
        if tag is not None and tag not in _CORE_TAGS:
            raise self._error(f"The tag {tag!r} is not supported.", event, "Remove it, or quote the value.")
        if text in _SPECIAL:
            return _SPECIAL[text]
        first = text[0]
        if first.isdecimal() or first in "+-.":
            if _INT.match(text):
                return int(text)
            if _FLOAT.match(text):
                return float(text)
            if _BASED.match(text):
                return int(text, 0)
        return text

    def _error(
        self, message: str, event: events.Event, hint: str = "", code: str = "not_yaml"
    ) -> WorkflowInvalidError:
        line, column = start_of(event)
        return WorkflowInvalidError(message, hint=hint, code=code, file=self._file, line=line, column=column)

    def _not_yaml(self, error: yaml.YAMLError) -> WorkflowInvalidError:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        context = getattr(error, "context", None)
        return WorkflowInvalidError(
            f"This is not YAML: {problem}{f' ({context})' if context else ''}.",
            hint="Check the indentation, brackets and quotes here and just above.",
            code="not_yaml",
            file=self._file,
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
        )
