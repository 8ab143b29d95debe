"""What ``talka --help`` shows."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from talka_services.cli.main import app
from talka_services.cli.sections import SECTIONS


@pytest.fixture(scope="module")
def tree() -> Any:
    """The tree of commands, which takes a while to build."""
    return get_command(app)


def test_each_command_stands_in_one_section(tree: Any) -> None:
    """A new command needs a place, and one that is gone leaves none behind."""
    assert sorted(chain.from_iterable(SECTIONS.values())) == sorted(tree.commands)


@pytest.mark.parametrize("arguments", [["--help"], ["service", "--help"], ["schedule", "-h"]])
def test_no_sentence_is_cut_short(arguments: list[str]) -> None:
    """Who reads what there is reads whole sentences."""
    shown = CliRunner().invoke(app, arguments, terminal_width=60)
    assert shown.exit_code == 0
    assert "..." not in shown.output.replace("COMMAND [ARGS]...", "")


def test_groups_have_no_sections_of_others(tree: Any) -> None:
    """``schedule run`` is not what ``run`` is."""
    shown = CliRunner().invoke(app, ["schedule", "--help"]).output
    assert "Commands:" in shown
    assert not any(f"{title}:" in shown for title in SECTIONS)
    assert set(tree.commands["schedule"].commands) >= {"set", "run"}
