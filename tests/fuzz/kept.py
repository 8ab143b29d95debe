"""Keeps of what fuzzing has found what reaches new code: ``python -m tests.fuzz.kept .fuzz``.

The smallest come first, and only so many of a target are kept, so that the corpus stays small enough to be
read in every run of the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus

NEW_MAX = 24
BYTES_MAX = 4_096
FILES_MAX = 160
Line = tuple[str, int, int]
"""A file, and a line after another one in it."""


def main() -> None:
    """Add to the corpus of each target whose findings are in the folder."""
    for name in TARGETS:
        found = Path(sys.argv[1]) / name
        if found.is_dir():
            kept = list(_kept(name, sorted(found.iterdir(), key=lambda path: path.stat().st_size)))
            for body in kept:
                (CORPUS / name / f"found-{sha256(body).hexdigest()[:12]}").write_bytes(body)
            print(f"{name}: {len(kept)} kept")  # noqa: T201


def _kept(name: str, paths: list[Path]) -> Iterator[bytes]:
    target, known, count = TARGETS[name], set[Line](), 0
    for body in corpus(name):
        known |= reached(target, body)
        count += 1
    left = min(NEW_MAX, FILES_MAX - count)
    for path in paths:
        if left <= 0 or path.stat().st_size > BYTES_MAX:
            return
        body = path.read_bytes()
        lines = reached(target, body)
        if not lines <= known:
            known |= lines
            left -= 1
            yield body


def reached(target: Target, body: bytes) -> set[Line]:
    """Return the steps from line to line of our own code that reading an input takes."""
    lines = set[Line]()
    before: dict[int, int] = {}

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        file = frame.f_code.co_filename
        if "talka_" not in file:
            return None
        if event == "line":
            lines.add((file, before.get(id(frame), 0), frame.f_lineno))
            before[id(frame)] = frame.f_lineno
        elif event == "call":
            before.pop(id(frame), None)
        return trace

    sys.settrace(trace)
    try:
        target(body)
    finally:
        sys.settrace(None)
    return lines


if __name__ == "__main__":
    main()
