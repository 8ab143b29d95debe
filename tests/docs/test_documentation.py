"""Runs what the documentation shows, and holds what it says against the code.

Fenced blocks: ``file=NAME`` is written to that file, ``bash run`` is run by
bash, ``python`` by Python, all of one page in order in one scratch directory.
Other bash blocks need what a test does not have; their commands are checked.
"""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from tests.docs.patience import communicate

from talka_services.cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "decisions").glob("*.md"))]
EXAMPLES = sorted(path for path in (DOCS / "examples").iterdir() if path.suffix in {".yaml", ".py"})
SOURCES = [path for part in ("protocols", "core", "services") for path in (ROOT / part).rglob("*.py")]

BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
COMMAND = re.compile(r"`(?:.*/)?(talka [^`\n]+)`|^(?:.*/)?(talka [^\n|;)&>]+)", re.MULTILINE)
CODE = re.compile(r"(?:\b|_)code ?= ?\"(\w+)\"|TaskFailure\(\s*\"(\w+)\"", re.IGNORECASE)
TIME_SCALE = "0.05"
LIMIT_S = 60
SHOWN_PORT = "14222"
OF_EVERY_COMMAND = {"--help", "--install-completion"}


class Block(NamedTuple):
    """A fenced block: its language, the words behind it, and its text."""

    language: str
    words: str
    text: str

    @property
    def file(self) -> str | None:
        """Return the name of the file that it is to be written to."""
        named = re.search(r"file=(\S+)", self.words)
        return named[1] if named else None

    @property
    def is_run(self) -> bool:
        """Tell whether it is to be run."""
        if self.language == "python":
            return self.file is None
        return self.language == "bash" and "run" in self.words.split()


def name_of(path: Path) -> str:
    return path.stem


def blocks(page: Path) -> Iterator[Block]:
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(match[1], match[2], match[3])


def environment() -> dict[str, str]:
    """Return an environment in which ``talka`` and ``python`` are this interpreter's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TALKA_")}
    return ours | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(argv: list[str], directory: Path) -> None:
    """Run a program to its end; what it leaves running is killed with its session."""
    process = subprocess.Popen(
        argv,
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output = communicate(process, LIMIT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, f"{shlex.join(argv)}\n{output}"


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


RUNNABLE = [page for page in PAGES if any(block.is_run for block in blocks(page))]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path) -> None:
    """Every runnable block of a page ends without an error, in the order of the page."""
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.is_run and block.language == "bash":
            text = block.text.replace(SHOWN_PORT, free_port())
            run(["bash", "-euo", "pipefail", "-c", text], tmp_path)
        elif block.is_run:
            (tmp_path / "shown.py").write_text(block.text, encoding="utf-8")
            run([sys.executable, "-W", "error", "shown.py"], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_every_example_runs_as_its_first_lines_say(example: Path, tmp_path: Path) -> None:
    """The command that an example names validates and runs it."""
    text = example.read_text(encoding="utf-8")
    shown = re.search(r"(talka run [^\n`]+)", text)
    assert shown, f"{example.name} says how it is run"
    argv = shlex.split(shown[1])
    run(["talka", "validate", *argv[2:]], ROOT)
    run([*argv, "--time-scale", TIME_SCALE, "--data-dir", str(tmp_path)], ROOT)


def shown_commands(page: Path) -> Iterator[list[str]]:
    """Yield each ``talka`` command of a page as words, without comments."""
    for match in COMMAND.finditer(page.read_text(encoding="utf-8")):
        shown = (match[1] or match[2]).partition(" #")[0]
        yield shown.replace("(", " ").replace(")", " ").replace('"', "").replace("'", "").split()


@cache
def all_commands() -> Any:
    """Return the tree of all commands, which takes a good part of a second to make."""
    return typer.main.get_command(app)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_shown_command_and_flag_exists(page: Path) -> None:
    """Whatever a page calls a command of Talka is one, with flags that it has."""
    for words in shown_commands(page):
        command = all_commands()
        rest = words[1:]
        while rest and hasattr(command, "commands") and re.fullmatch(r"[a-z][a-z-]*,?", rest[0]):
            name = rest.pop(0).strip(",")
            assert name in command.commands, f"{page.name}: {' '.join(words)}"
            command = command.commands[name]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        for flag in (word.partition("=")[0] for word in rest if word.startswith("--")):
            assert flag in flags | OF_EVERY_COMMAND, f"{page.name}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links between pages name files that exist, and headings that these have."""
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
            }
            assert anchor[1:] in slugs, f"{page.name} links to {path}{anchor}"


def test_every_error_code_is_explained() -> None:
    """The table of error codes names exactly those that the code gives out."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## By error code")[2]
    explained = {
        code for row in re.findall(r"^\| (`.+?) \|", page, re.MULTILINE) for code in row.split("`")[1::2]
    }
    explained |= {"caller", "task", "platform", "workflow_invalid", "talka"}
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    found = {one or other for one, other in CODE.findall(source)}
    assert found - {"unknown"} <= explained, "codes that the page does not explain"
    assert not [code for code in explained if f'"{code}"' not in source], "codes that nothing gives out"


def test_the_diagrams_are_as_the_tables_are() -> None:
    """The states and events in concepts.md are those of the code."""
    module = runpy.run_path(str(DOCS / "diagrams.py"))
    page = (DOCS / "concepts.md").read_text(encoding="utf-8")
    assert module["drawn"](page) == page, "run python docs/diagrams.py"
