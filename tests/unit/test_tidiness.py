"""Goal: every room of the house stays small enough to be read at a sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FOLDERS = ("protocols", "core", "services", "chaos", "tests", "docs")


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_no_file_is_long() -> None:
    """No Python file has more than 400 lines."""
    lines = {file.relative_to(ROOT): len(file.read_text().splitlines()) for file in _files()}
    assert {str(file): count for file, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_no_function_is_long() -> None:
    """No function has more than 60 lines, docstring included."""
    found: dict[str, int] = {}
    for file in _files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    found[f"{file.relative_to(ROOT)}:{node.name}"] = lines
    assert found == {}
