"""The page of all commands with their arguments and options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from talka_services.cli.main import app

INTRODUCTION = """# Commands and options

What every command takes, as `talka COMMAND --help` prints it. [The command line](../cli.md) explains
the exit codes and what `--json` gives.
"""
OF_EVERY_COMMAND = {"help", "install_completion", "show_completion"}


def commands_page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *_sections(typer.main.get_command(app), "talka")]) + "\n"


def _sections(command: Any, called: str) -> Iterator[str]:
    """Yield the lines on a command, and on all below it."""
    if not hasattr(command, "commands"):
        yield from _section(command, called)
        return
    for name, below in command.commands.items():
        yield from _sections(below, f"{called} {name}")


def _section(command: Any, called: str) -> Iterator[str]:
    context = command.make_context(called, [], resilient_parsing=True)
    usage = " ".join([called, *command.collect_usage_pieces(context)])
    yield f"## {called}\n\n```text\n{usage}\n```\n\n{_cell(command.help or '')}\n"
    rows = [row for each in command.params if (row := _row(each, context))]
    if rows:
        yield "\n".join(["| argument or option | meaning |", "|---|---|", *rows]) + "\n"


def _row(parameter: Any, context: Any) -> str | None:
    if parameter.name in OF_EVERY_COMMAND or getattr(parameter, "hidden", False):
        return None
    shown, meaning = parameter.get_help_record(context) or (parameter.make_metavar(context), "")
    return f"| `{_cell(shown)}` | {_cell(meaning)} |"


def _cell(text: str) -> str:
    """Return a text as one line that no bar and no tag breaks."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
