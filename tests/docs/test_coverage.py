"""Every command that the documentation shows is run by its tests, or stands here with the reason why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer
from tests.docs.test_documentation import EXAMPLES, PAGES, ROOT, blocks, shown_commands

from talka_services.cli.main import app

ELSEWHERE = {
    "test_alerts": ("alerts ack", "alerts list"),
    "test_archiving": ("archive", "service archiver"),
    "test_audit": ("audit",),
    "test_commands": ("cancel", "pools", "restart"),
    "test_forecast_commands": ("eta",),
    "test_gateway_commands": ("service gateway",),
    "test_keys": ("keys list", "keys new", "keys public", "keys rotate", "keys use"),
    "test_platform_commands": (
        "pause",
        "release",
        "reprioritize",
        "reserve cancel",
        "reserve create",
        "reserve list",
        "resume",
        "schedule show",
    ),
    "test_read_model": ("service projector",),
    "test_scaling": ("pool demand", "pool scale"),
    "test_tasklogs": ("logs",),
    "test_top": ("top",),
}
"""Commands that need an execution in some state, or a server, which a module of its tests makes."""
IN_A_LOOP = {"service planner", "service scheduler", "service resource", "service worker"}
"""Started by operations.md under names that stand in a variable."""
CALLED = re.compile(r"\btalka ([a-z][a-z -]*)")


@cache
def all_commands() -> Any:
    """Return the tree of commands, which takes a while to build."""
    return typer.main.get_command(app)


def command_of(words: list[str]) -> str:
    """Return the command at the start of some words, with the group that it is in."""
    command = all_commands()
    names: list[str] = []
    for word in (each.strip(",") for each in words):
        if not hasattr(command, "commands") or word not in command.commands:
            break
        names.append(word)
        command = command.commands[word]
    return "" if hasattr(command, "commands") else " ".join(names)


def run_commands() -> Iterator[str]:
    """Yield each command in a block that is run, and in the first lines of an example."""
    shown = [block.text for page in PAGES for block in blocks(page) if block.is_run]
    shown += [path.read_text(encoding="utf-8") for path in EXAMPLES]
    for text in shown:
        for called in CALLED.findall(text):
            yield command_of(called.split())


def test_every_shown_command_is_run_or_listed_with_a_reason() -> None:
    """What a page shows works, since some page runs it."""
    shown = {command_of(words[1:]) for page in PAGES for words in shown_commands(page)} - {""}
    missing = shown - set(run_commands()) - IN_A_LOOP
    assert missing <= {command for commands in ELSEWHERE.values() for command in commands}


@pytest.mark.parametrize("module", ELSEWHERE)
def test_what_is_listed_is_run_there(module: str) -> None:
    """The module of tests that the list names gives the command's words to the command line."""
    text = (ROOT / "tests" / "integration" / "cli" / f"{module}.py").read_text(encoding="utf-8")
    for command in ELSEWHERE[module]:
        assert ", ".join(f'"{word}"' for word in command.split()) in text, command
