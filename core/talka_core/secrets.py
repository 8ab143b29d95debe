"""Secrets: ``${secret.NAME}`` in a payload stands for a value that only the task's worker knows.

The reference is what is recorded; the value is put in at the worker, and is
taken out again of whatever the task prints, returns, saves or fails with.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Iterator
from typing import Any, cast
from urllib.parse import quote, quote_plus

import msgspec

from talka_core.references import Reference, find_references, head_of
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Task

SECRET = "secret"  # noqa: S105  (what a reference begins with)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
MASK = "***"
_ESCAPED = re.compile("%..")
_URL_SAFE = str.maketrans("+/", "-_")
MASKED_CHARS_MIN = 4
"""Shorter values, and shorter lines of longer ones, would mask half of every text."""


def secret_of(text: str) -> str | None:
    """Return the name of the secret that a reference's text stands for, or None."""
    head, _, name = text.partition(".")
    return name if head == SECRET else None


def is_secret(reference: Reference) -> bool:
    """Tell whether a reference stands for a secret; where a task has that id, it means the task."""
    return reference.task_id is None and head_of(reference.text) == SECRET


def check_secrets(task: Task, task_ids: Collection[str], *, runs_at_worker: bool) -> None:
    """Refuse secrets with names that cannot be, and those that nobody but a worker would have to know.

    Raises:
        WorkflowInvalidError: code ``bad_secret``; the path leads into the task.
    """
    mapped = () if task.map is None else find_references(task.map.over, task_ids)
    fallback = () if task.fallback is None else find_references(task.fallback.payload, task_ids)
    places = (
        (("map", "over"), mapped, False),
        (("payload",), find_references(task.payload, task_ids), runs_at_worker),
        (("fallback", "payload"), fallback, True),
    )
    for place, references, is_allowed in places:
        for reference in filter(is_secret, references):
            path = (*place, *reference.where)
            shown = f"${{{reference.text}}}"
            if NAME.fullmatch(secret_of(reference.text) or "") is None:
                raise WorkflowInvalidError(
                    f"{shown} names no secret.",
                    hint="Write ${secret.NAME}; a name has letters, digits, '_' and '-'.",
                    code="bad_secret",
                    path=path,
                )
            if not is_allowed:
                raise WorkflowInvalidError(
                    f"{shown} stands where no worker puts it in.",
                    hint="Secrets stand in payloads of tasks that a worker runs, in a sub-workflow too.",
                    code="bad_secret",
                    path=path,
                )


class Redactor:
    """Takes values out of text and of data: as they are, in JSON, HTML, base64, hexadecimal, and in URLs."""

    def __init__(self, values: Collection[str]) -> None:
        found = {form for value in values for form in _forms(value) if len(form) >= MASKED_CHARS_MIN}
        self._forms = sorted(found, key=lambda form: (-len(form), form))
        self._bytes = [form.encode() for form in self._forms]
        self._in_json = {msgspec.json.encode(form)[1:-1] for form in self._forms}
        self._pattern = re.compile("|".join(map(re.escape, self._forms))) if self._forms else None

    @property
    def is_idle(self) -> bool:
        """Tell whether there is nothing to take out."""
        return not self._forms

    def text(self, text: str) -> str:
        """Return the text with every value masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def data(self, value: object) -> Any:
        """Return a JSON value with every secret in it masked, in keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            table = cast("dict[str, Any]", value)
            return {self.text(key): self.data(item) for key, item in table.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in cast("list[Any]", value)]
        if isinstance(value, int | float) and str(value) in self._forms:
            return MASK
        return value

    def json(self, encoded: bytes) -> bytes:
        """Return a JSON text with every secret in it masked; one without any comes back as it is."""
        # What is escaped in a text there, as JSON in JSON is, stands escaped twice.
        if not any(form in encoded for form in self._in_json):
            return encoded
        return msgspec.json.encode(self.data(msgspec.json.decode(encoded)))

    def raw(self, data: bytes) -> bytes:
        """Return bytes of any kind with every value masked."""
        for form in self._bytes:
            data = data.replace(form, MASK.encode())
        return data

    def is_in(self, data: bytes) -> bool:
        """Tell whether any value occurs."""
        return any(form in data for form in self._bytes)

    def held_back(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a value."""
        longest = max(map(len, self._bytes), default=1) - 1
        for count in range(min(longest, len(data)), 0, -1):
            end = data[-count:]
            if any(form.startswith(end) for form in self._bytes):
                return count
        return 0


class RedactedStream:
    """Masks values in a stream that comes in pieces; what may be half of one waits for the next piece."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, and return what is certain."""
        data = self._redactor.raw(self._rest + data)
        count = self._redactor.held_back(data)
        self._rest = data[len(data) - count :]
        return data[: len(data) - count]

    def close(self) -> bytes:
        """Return what was held back."""
        rest, self._rest = self._rest, b""
        return rest


def _forms(value: str) -> Iterator[str]:
    for text in {value, value.strip(), *value.splitlines()}:
        if not text:
            continue
        yield text
        yield msgspec.json.encode(text).decode()[1:-1]
        yield quote(text, safe="")
        yield base64.b64encode(text.encode()).decode().rstrip("=")
    # What a program puts around it, as a user's name in a header, comes with the whole of it.
    for text in {value, value.strip()}:
        yield from _parts_of_base64(text.encode())
        yield json.dumps(text)[1:-1]
        yield html.escape(text)
        for quoted in (quote(text, safe=""), quote(text), quote_plus(text)):
            yield quoted
            yield _ESCAPED.sub(lambda escaped: escaped[0].lower(), quoted)
        yield from (text.encode().hex(), text.encode().hex().upper())


def _parts_of_base64(data: bytes) -> Iterator[str]:
    """Return what base64 makes of it wherever it stands in what is encoded, in both alphabets.

    The first and last sign are left out where they hold bits of what stands beside it.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        part = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield part
        yield part.translate(_URL_SAFE)
