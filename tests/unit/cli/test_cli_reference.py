"""The command line's reference, held against the commands and their tests."""

from __future__ import annotations

import re
from pathlib import Path

from talka_services.cli.main import app

ROOT = Path(__file__).parents[3]
BENCH = "bench"


def command_names() -> set[str]:
    """Return the names of all commands, groups included."""
    commands = {command.name for command in app.registered_commands if command.name}
    return commands | {group.name for group in app.registered_groups if isinstance(group.name, str)}


def test_the_reference_names_every_command_and_no_other() -> None:
    """docs/cli.md lists exactly the commands that there are."""
    text = (ROOT / "docs" / "cli.md").read_text()
    documented = {
        name for row in text.splitlines() if row[:1] == "|" for name in re.findall(r"`talka (\w+)", row)
    }
    assert documented == command_names()


def test_every_command_is_run_by_a_test() -> None:
    """Each command occurs in the tests that run the real program."""
    files = (ROOT / "tests" / "integration" / "cli").glob("test_*.py")
    tests = "".join(file.read_text() for file in files)
    missing = {name for name in command_names() - {BENCH} if f'"{name}"' not in tests}
    assert missing == set()
