"""How ``--help`` lists commands: by what they are for, each with its whole first sentence."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup

WHOLE = 10_000
"""More characters than a first sentence has."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Run work": ("run", "submit", "validate", "publish", "schedule", "trigger"),
    "See how it goes": ("list", "status", "watch", "top", "events", "logs", "explain", "eta", "alerts"),
    "Steer it": (
        "cancel",
        "pause",
        "resume",
        "release",
        "reprioritize",
        "signal",
        "approve",
    ),
    "Go back, or another way": ("replay", "rollback", "restart", "fork", "diff"),
    "Learn from it": ("stats", "trend", "trace", "bottlenecks", "usage", "predict", "simulate", "bench"),
    "Resources": ("workers", "pools", "pool", "reserve"),
    "Keep it": ("export", "import", "archive", "backup", "restore", "audit"),
    "Run the platform": ("up", "service", "doctor", "deploy", "keys", "token", "projection"),
}
"""The commands of the command line, by what they are for."""


class Group(TyperGroup):
    """A group of commands whose help cuts no sentence short."""

    sections: ClassVar[dict[str, tuple[str, ...]]] = {}
    """The titles under which commands stand; the others come last, under a plain one."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands that can be seen."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        left = {
            name: command.get_short_help_str(WHOLE)
            for name, command in found.items()
            if command is not None and not command.hidden
        }
        width = max(map(len, left), default=0)
        for title, names in self.sections.items():
            _write(formatter, title, [(name, left.pop(name)) for name in names if name in left], width)
        _write(formatter, "Commands", list(left.items()), width)


class MainGroup(Group):
    """All commands."""

    sections = SECTIONS


def _write(formatter: Any, title: str, rows: list[tuple[str, str]], width: int) -> None:
    if rows:
        with formatter.section(title):
            # Names of one width let the sentences of all sections begin in one column.
            formatter.write_dl([(name.ljust(width), sentence) for name, sentence in rows])
