"""What goes to standard output: one JSON object, or tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 2_000

STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "red",
    "timed_out": "red",
    "rejected": "red",
    "cancelled": "yellow",
    "skipped": "yellow",
    "retrying": "yellow",
    "paused": "yellow",
    "partial": "yellow",
    "compensating": "yellow",
    "rolling_back": "yellow",
    "rolled_back": "yellow",
    "waiting": "magenta",
}


def print_json(document: Any) -> None:
    """Print one JSON value on one line."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def console(*, is_error: bool = False) -> Console:
    """Return a console for people."""
    from rich.console import Console

    screen = Console(stderr=is_error, highlight=False, soft_wrap=True, emoji=False)
    if not screen.is_terminal:
        # Whoever reads a pipe wants whole ids, however long the line.
        screen.width = PIPE_WIDTH
    return screen


def coloured(status: str) -> str:
    """Return a status in its colour."""
    style = STYLES.get(status)
    return f"[{style}]{status}[/{style}]" if style else status


def plain(text: object) -> str:
    """Return a text that came from outside, so that brackets and control characters mean nothing."""
    from rich.control import strip_control_codes
    from rich.markup import escape

    return escape(strip_control_codes(str(text).replace("\x1b", "")))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table; cells may hold markup, so escape what came from outside with `plain`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def local_time(seconds: float | None) -> str:
    """Return an instant (Unix seconds) on this machine's clock, or a dash."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Return a duration for people, or a dash."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"
