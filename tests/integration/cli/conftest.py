"""A directory with workflows in it, and a platform that is up there."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.integration.cli.shell import ASKING, GOOD, HARD, LONG, MODULE, NESTED, UNDOABLE, Shell, wait_for


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A directory with workflows in it."""
    directory = tmp_path_factory.mktemp("cli")
    files = {
        "hard_tasks.py": MODULE,
        "hard.yaml": HARD,
        "good.yaml": GOOD,
        "long.yaml": LONG,
        "asking.yaml": ASKING,
        "nested.yaml": NESTED,
        "undoable.yaml": UNDOABLE,
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    shell = Shell(directory)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def good(shell: Shell) -> dict[str, Any]:
    """The result of a workflow that succeeded, in the default data directory."""
    result: dict[str, Any] = shell.json("run", "good.yaml", "--workers", "2", "--input", "pause=0.01")
    return result


@pytest.fixture
def platform(shell: Shell) -> Iterator[dict[str, Any]]:
    """`talka up` on a directory of its own and without HTTP, until the test is over."""
    with up(shell, "--no-http") as ready:
        yield ready


@contextmanager
def up(shell: Shell, *words: str) -> Generator[dict[str, Any]]:
    """Run `talka up` on the directory "up", and yield what it says when it is ready."""
    there = ("--workers", "2", "--capacity", "cpu_cores=2", "--data-dir", "up")
    process = shell.start("up", *there, *words, "--json")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    yield json.loads(line)
    assert wait_for(process, signal.SIGTERM) == 0
