"""Source: a definition's text, what it holds, and where in it something stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from talka_core.validation import CHILD_DEPTH_MAX
from talka_protocols.errors import WorkflowInvalidError
from talka_services.formats.json_reader import NotJsonError, read_json
from talka_services.formats.places import find_in_json, find_in_yaml
from talka_services.formats.yaml_reader import read_yaml

YAML_BYTES_MAX = 32 * 1024 * 1024
JSON_BYTES_MAX = 128 * 1024 * 1024

_AT_KEY = frozenset({"unknown_field"})


class Source:
    """One parsed file or text.

    Attributes:
        value: The document as dicts, lists and scalars.
        file: The name that errors give, or None.
    """

    def __init__(self, text: str, value: dict[str, Any], file: str | None, *, is_json: bool) -> None:
        self.value = value
        self.file = file
        self._text = text
        self._is_json = is_json
        self._included: dict[tuple[str | int, ...], Source] = {}

    @property
    def is_wfformat(self) -> bool:
        """Whether this looks like a WfCommons instance and not like a Talka file."""
        return "talka" not in self.value and isinstance(self.value.get("workflow"), dict)

    def include(self, depth: int = 0) -> Source:
        """Read the files of sub-workflows into the document, so that each stands where it is named.

        Raises:
            WorkflowInvalidError: A file cannot be read, or they include each other without end.
        """
        self._include_in(self.value, (), depth)
        return self

    def _include_in(self, document: dict[str, Any], place: tuple[str | int, ...], depth: int) -> None:
        tasks: object = document.get("tasks")
        for position, task in enumerate(cast("list[object]", tasks) if isinstance(tasks, list) else ()):
            if not isinstance(task, dict):
                continue
            entry = cast("dict[str, Any]", task)
            where = (*place, "tasks", position)
            named, inner = entry.get("workflow_file"), entry.get("workflow")
            if isinstance(named, str):
                if inner is not None or depth >= CHILD_DEPTH_MAX:
                    raise self.located(_not_included(entry, (*where, "workflow_file")))
                child = read_file(Path(self.file or "").parent / named).include(depth + 1)
                self._included[(*where, "workflow")] = child
                entry["workflow"] = child.value
                del entry["workflow_file"]
            elif isinstance(inner, dict):
                self._include_in(cast("dict[str, Any]", inner), (*where, "workflow"), depth + 1)

    def located(self, error: WorkflowInvalidError) -> WorkflowInvalidError:
        """Return the error with the file, line and column that its path leads to."""
        if error.line is not None:
            return error
        for place, child in self._included.items():
            if error.path[: len(place)] == place:
                rest = error.path[len(place) :]
                return child.located(
                    WorkflowInvalidError(error.message, hint=error.hint, code=error.code, path=rest)
                )
        find = find_in_json if self._is_json else find_in_yaml
        line, column = find(self._text, error.path, at_key=error.code in _AT_KEY)
        return WorkflowInvalidError(
            error.message,
            hint=error.hint,
            code=error.code,
            path=error.path,
            file=self.file,
            line=line,
            column=column,
        )


def _not_included(entry: dict[str, Any], place: tuple[str | int, ...]) -> WorkflowInvalidError:
    if "workflow" in entry:
        return WorkflowInvalidError(
            f"Task {entry.get('id')!r} has both 'workflow' and 'workflow_file'.",
            hint="Leave one of them out.",
            code="unknown_field",
            path=place,
        )
    return WorkflowInvalidError(
        f"Files of sub-workflows include each other, or are nested deeper than {CHILD_DEPTH_MAX} levels.",
        hint="A workflow cannot be part of itself.",
        code="too_deep",
        path=place,
    )


def read_file(path: str | Path, *, shown: str | None = None) -> Source:
    """Read and parse a file.

    Args:
        path: A Talka file or a WfFormat instance.
        shown: The name that errors give, when it is not ``path``.

    Raises:
        WorkflowInvalidError: It is missing, a directory, unreadable, too large, empty or malformed.
    """
    name = shown or str(path)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(JSON_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _unreadable("There is no such file.", "Check the name and the directory.", name) from None
    except IsADirectoryError:
        raise _unreadable("This is a directory.", "Name a workflow file in it.", name) from None
    except OSError as error:
        raise _unreadable(f"It cannot be read: {error.strerror}.", "Check its permissions.", name) from error
    return read_text(content, file=name)


def read_text(content: str | bytes, *, file: str | None = None) -> Source:
    """Parse the text of a definition: JSON if it is that, else YAML.

    Raises:
        WorkflowInvalidError: It is too large, empty, no text or malformed.
    """
    size = len(content) if isinstance(content, bytes) else len(content.encode(errors="replace"))
    if size > JSON_BYTES_MAX:
        raise _too_large(size, JSON_BYTES_MAX, file)
    text = _decoded(content, file) if isinstance(content, bytes) else content
    if not text.strip():
        raise WorkflowInvalidError(
            "The file is empty.",
            hint="A workflow starts with 'talka: 1', a 'name' and 'tasks'.",
            code="empty_file",
            file=file,
        )
    is_named_json = bool(file) and str(file).lower().endswith(".json")
    if is_named_json or text.lstrip()[0] == "{":
        try:
            return Source(text, _as_object(read_json(text, file=file), file), file, is_json=True)
        except NotJsonError:
            # A flow mapping also starts with a brace, so YAML is tried unless the name says JSON.
            if is_named_json:
                raise
    if size > YAML_BYTES_MAX:
        raise _too_large(size, YAML_BYTES_MAX, file)
    return Source(text, _as_object(read_yaml(text, file=file), file), file, is_json=False)


def _decoded(content: bytes, file: str | None) -> str:
    hint = "A workflow file is YAML or JSON in UTF-8."
    if b"\0" in content[:65_536]:
        raise WorkflowInvalidError("This is a binary file, not text.", hint=hint, code="not_text", file=file)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise WorkflowInvalidError(
            f"The byte 0x{content[error.start]:02x} is not UTF-8 text.",
            hint=hint,
            code="not_text",
            file=file,
            line=line,
            column=error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1,
        ) from None


def _as_object(value: Any, file: str | None) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    kind = "one value"
    if value is None:
        kind = "nothing but comments"
    elif isinstance(value, list):
        kind = "a list"
    raise WorkflowInvalidError(
        f"The file holds {kind}, not a workflow.",
        hint="A workflow starts with 'talka: 1', a 'name' and 'tasks'.",
        code="wrong_type",
        file=file,
        line=1,
        column=1,
    )


def _unreadable(message: str, hint: str, file: str) -> WorkflowInvalidError:
    return WorkflowInvalidError(message, hint=hint, code="unreadable_file", file=file)


def _too_large(size: int, limit: int, file: str | None) -> WorkflowInvalidError:
    return WorkflowInvalidError(
        f"The file has {size:,} bytes or more, above the limit of {limit:,}.",
        hint="Write large workflows as JSON, keep large values in files of their own, or split it.",
        code="file_too_large",
        file=file,
    )
